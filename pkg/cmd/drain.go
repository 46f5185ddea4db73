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
		Use:   "drain servicecidr|nodeportrange NAME",
		Short: "Disable a range and wait until no Service holds a value of it",
		Long: `Sets spec.allocation of a range to Disabled, so that no Service gets a value of it,
and waits until no Service holds one. Services keep their values; delete or change
the Services yourself. The command shows which they are, and its progress. It
prints how to undo the change.

It can be interrupted and run again. The range stays disabled. Reservations don't
count: they are no Service's.

The command acts with your rights: to list, watch and patch the ranges, and to
list and watch the claims.`,
		Example: `  # Which Services hold values
  portolan drain servicecidr old --dry-run

  # Disable the range, and wait
  portolan drain servicecidr old`,
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			return completeRange(cmd.Context(), kubeconfig, args), cobra.ShellCompDirectiveNoFileComp
		},
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return fmt.Errorf("name a kind and a range, such as %q", "servicecidr old")
			}
			_, err := occupancy.KindOf(args[0])
			return err
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			cmd.SilenceUsage = true
			client, err := portolanClient(kubeconfig)
			if err != nil {
				return err
			}
			kind, err := occupancy.KindOf(args[0])
			if err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			drain := occupancy.Drain{Client: client, Kind: kind, Name: args[1], DryRun: dryRun, Out: cmd.OutOrStdout()}
			return drain.Run(ctx)
		},
	}
	addKubeconfigFlag(cmd, &kubeconfig)
	cmd.Flags().BoolVar(&dryRun, "dry-run", dryRun, "Show which Services hold values, and change nothing")
	return cmd
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
