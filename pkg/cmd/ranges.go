package cmd

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"
	"k8s.io/component-base/term"
	"sigs.k8s.io/yaml"

	"github.com/portolan-dev/portolan/generated/clientset/versioned"
	"github.com/portolan-dev/portolan/pkg/occupancy"
)

type rangesOptions struct {
	kubeconfig, output string
	watch              bool
}

func newRangesCommand() *cobra.Command {
	o := rangesOptions{output: "table"}
	cmd := &cobra.Command{
		Use:   "ranges",
		Short: "Show how full the ranges are, and who holds their values",
		Long: `Shows each ServiceCIDR, NodePortRange and LoadBalancerPool: how full it is, how
much of its static band is in use, how many claims were made in the last hour and
still exist, and the namespaces that hold the most values. The notes show the allocation if it is
not Automatic, the number of reservations, and the conditions of the range that
are true. Below the table are claimed values that lie in no range.

The command acts with your rights. It lists ranges and claims and, with --watch,
watches them.`,
		Example: `  # All ranges
  portolan ranges

  # Again after every change
  portolan ranges --watch

  # The ranges that are more than 90 % full, for a script
  portolan ranges -o json | jq -r '.[] | select(.allocated > .capacity * 0.9) | .name'`,
		Args:              noArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !slices.Contains([]string{"table", "json", "yaml"}, o.output) {
				return fmt.Errorf("--output must be table, json or yaml, not %q", o.output)
			}
			cmd.SilenceUsage = true
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return explained(o.run(ctx, cmd.OutOrStdout()), "--kubeconfig")
		},
	}
	addKubeconfigFlag(cmd, &o.kubeconfig)
	cmd.Flags().StringVarP(&o.output, "output", "o", o.output, "Output format: table, json or yaml")
	cmd.Flags().BoolVarP(&o.watch, "watch", "w", o.watch,
		"Show the ranges again when a range or a claim changes, at most once a second, until interrupted")
	completeOutput(cmd, "table", "json", "yaml")
	return cmd
}

// completeOutput makes a shell complete the values of --output.
func completeOutput(cmd *cobra.Command, formats ...string) {
	// It fails only if there is no such flag.
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp))
}

func addKubeconfigFlag(cmd *cobra.Command, kubeconfig *string) {
	cmd.Flags().StringVar(kubeconfig, "kubeconfig", *kubeconfig, "kubeconfig of the server (default that of kubectl)")
}

// portolanClient returns a client of the server of a kubeconfig.
func portolanClient(kubeconfig string) (versioned.Interface, error) {
	config, _, err := clientConfig(kubeconfig, "")
	if err != nil {
		return nil, err
	}
	config.WarningHandlerWithContext = rest.NoWarnings{}
	// A command that sends many requests limits their rate itself.
	config.QPS = -1
	return versioned.NewForConfig(config)
}

func (o rangesOptions) run(ctx context.Context, out io.Writer) error {
	client, err := portolanClient(o.kubeconfig)
	if err != nil {
		return err
	}
	if !o.watch {
		objs, err := occupancy.Read(ctx, client, occupancy.Kinds()...)
		if err != nil {
			return err
		}
		text, err := o.text(objs)
		if err != nil {
			return err
		}
		_, err = io.WriteString(out, text)
		return err
	}
	screen := isTerminal(out) && o.output == "table"
	last := ""
	err = occupancy.Follow(ctx, client, func(objs occupancy.Objects) error {
		text, err := o.text(objs)
		if err != nil || text == last {
			return err
		}
		separator := "\n"
		switch {
		case screen:
			// Clear the terminal and go to its upper left corner.
			separator = "\x1b[2J\x1b[H"
		case last == "":
			separator = ""
		case o.output == "yaml":
			separator = "---\n"
		}
		last = text
		_, err = io.WriteString(out, separator+text)
		return err
	}, occupancy.Kinds()...)
	if ctx.Err() == nil {
		return err
	}
	// An interrupt is how a watch ends.
	return nil
}

func isTerminal(out io.Writer) bool {
	_, _, err := term.TerminalSize(out)
	return err == nil
}

func (o rangesOptions) text(objs occupancy.Objects) (string, error) {
	usages := occupancy.Usages(objs, time.Now())
	var text bytes.Buffer
	switch o.output {
	case "table":
		err := occupancy.WriteTable(&text, usages, occupancy.Outside(objs))
		return text.String(), err
	case "json":
		encoder := json.NewEncoder(&text)
		encoder.SetIndent("", "  ")
		err := encoder.Encode(usages)
		return text.String(), err
	default:
		data, err := yaml.Marshal(usages)
		return string(data), err
	}
}
