package cmd

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/portolan-dev/portolan/pkg/occupancy"
)

func newDrainCommand() *cobra.Command {
	var kubeconfig string
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "drain servicecidr|nodeportrange|loadbalancerpool NAME",
		Short: "Disable a range and wait until no Service holds a value of it",
		Long: `Sets spec.allocation of a range to Disabled, so that no Service gets a value of it,
and waits until no Service holds one. Services keep their values until you delete or
change them. The command lists these Services, shows its progress, and prints how
to undo the change.

You can interrupt the command and run it again. The range stays disabled.
Reservations do not count, because no Service holds them.

The command acts with your rights. It lists, watches and patches ranges, and lists
and watches claims.`,
		Example: `  # See which Services hold values
  portolan drain servicecidr old --dry-run

  # Disable the range, and wait
  portolan drain servicecidr old`,
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			return completeRange(cmd.Context(), kubeconfig, args), cobra.ShellCompDirectiveNoFileComp
		},
		Args: func(_ *cobra.Command, args []string) error {
			_, _, err := rangeOf(args)
			return err
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			cmd.SilenceUsage = true
			client, err := portolanClient(kubeconfig)
			if err != nil {
				return err
			}
			kind, name, err := rangeOf(args)
			if err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			drain := occupancy.Drain{Client: client, Kind: kind, Name: name, DryRun: dryRun, Out: cmd.OutOrStdout()}
			return explained(drain.Run(ctx), "--kubeconfig")
		},
	}
	addKubeconfigFlag(cmd, &kubeconfig)
	cmd.Flags().BoolVar(&dryRun, "dry-run", dryRun, "Show which Services hold values, and change nothing")
	return cmd
}

// rangeOf returns the kind and the name of a range. The arguments are KIND NAME or KIND/NAME.
func rangeOf(args []string) (occupancy.Kind, string, error) {
	if len(args) == 1 {
		args = strings.SplitN(args[0], "/", 2)
	}
	if len(args) != 2 || args[1] == "" {
		return occupancy.Kind{}, "", fmt.Errorf("name one range by its kind and its name, such as %q", "servicecidr old")
	}
	kind, err := occupancy.KindOf(args[0])
	return kind, args[1], err
}

// completeRange returns what can follow arguments of drain. It returns nothing if the
// server can't be reached.
func completeRange(ctx context.Context, kubeconfig string, args []string) (words []string) {
	if len(args) == 0 {
		for _, kind := range occupancy.Kinds() {
			words = append(words, strings.ToLower(kind.Name))
		}
		return words
	}
	client, err := portolanClient(kubeconfig)
	if err != nil || len(args) > 1 {
		return nil
	}
	kind, err := occupancy.KindOf(args[0])
	if err != nil {
		return nil
	}
	names, _ := occupancy.Names(ctx, client, kind)
	return names
}
