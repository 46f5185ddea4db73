package cmd

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/portolan-dev/portolan/pkg/occupancy"
)

type renumberOptions struct {
	kubeconfig, from, to, namespace, selector string
	rate                                      float32
	dns, dryRun                               bool
}

func newRenumberCommand() *cobra.Command {
	o := renumberOptions{rate: 10}
	cmd := &cobra.Command{
		Use:   "renumber --from KIND/RANGE --to KIND/RANGE",
		Short: "Move Services from one range to another",
		Long: `Gives each Service that holds values of one range values of another instead. The
kinds of ranges are servicecidr, nodeportrange and loadbalancerpool. Each Service is
moved in one transaction: it claims the new values, changes, and releases the old
ones. Clients that have its old address lose it at that moment.

The command prints its plan first, and then moves one Service after the other. It
leaves Services alone that nodes or certificates know by address: the Service
kubernetes, and those of the cluster's DNS. With --dry-run it asks the server about
each Service and changes nothing. It stops if the target is full.

You can interrupt the command and run it again: it moves the Services that still
hold values of the first range. To undo it, run it with the ranges exchanged. The
Services then get values of the first range again, but not the same ones.

The command acts with your rights. You need to create services/renumber of
portolan.dev, to update the Services and both ranges, and to list Services, ranges
and claims.`,
		Example: `  # See what would be done
  portolan renumber --from=servicecidr/old --to=servicecidr/new --dry-run

  # One namespace, then everything
  portolan renumber --from=servicecidr/old --to=servicecidr/new -n shop
  portolan renumber --from=servicecidr/old --to=servicecidr/new`,
		Args:              noArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			renumber, err := o.renumber()
			if err != nil {
				return err
			}
			cmd.SilenceUsage = true
			if renumber.Client, err = portolanClient(o.kubeconfig); err != nil {
				return err
			}
			renumber.Out = cmd.OutOrStdout()
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return explained(renumber.Run(ctx), "--kubeconfig")
		},
	}
	addKubeconfigFlag(cmd, &o.kubeconfig)
	o.addFlags(cmd.Flags())
	for _, flag := range []string{"from", "to"} {
		completeRangeFlag(cmd, flag, &o.kubeconfig)
	}
	return cmd
}

func (o *renumberOptions) addFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.from, "from", o.from, "Range whose values Services give up, such as servicecidr/old")
	flags.StringVar(&o.to, "to", o.to, "Range that gives them values instead, of the same kind")
	flags.StringVarP(&o.namespace, "namespace", "n", o.namespace, "Namespace of the Services (default all)")
	flags.StringVarP(&o.selector, "selector", "l", o.selector, "Labels of the Services, such as app=web,tier!=db (default all)")
	flags.Float32Var(&o.rate, "rate", o.rate, "Services to move in a second, at most")
	flags.BoolVar(&o.dns, "dns", o.dns, "Move Services with the label k8s-app=kube-dns too")
	flags.BoolVar(&o.dryRun, "dry-run", o.dryRun, "Print the plan, ask the server about each Service, and change nothing")
}

// renumber returns what the flags ask for.
func (o *renumberOptions) renumber() (occupancy.Renumber, error) {
	r := occupancy.Renumber{Namespace: o.namespace, DNS: o.dns, Rate: o.rate, DryRun: o.dryRun}
	if o.from == "" || o.to == "" {
		return r, errors.New("name both ranges: --from=servicecidr/old --to=servicecidr/new")
	}
	kind, from, err := rangeOf([]string{o.from})
	if err != nil {
		return r, fmt.Errorf("--from: %w", err)
	}
	target, to, err := rangeOf([]string{o.to})
	switch {
	case err != nil:
		return r, fmt.Errorf("--to: %w", err)
	case kind != target:
		return r, fmt.Errorf("--to names a %s and --from a %s: both must be of the same kind", target.Name, kind.Name)
	case from == to:
		return r, fmt.Errorf("--from and --to name the same range, %q", from)
	case o.rate <= 0:
		return r, fmt.Errorf("--rate must be greater than 0, not %v", o.rate)
	}
	r.Kind, r.From, r.To = kind, from, to
	if r.Selector, err = labels.Parse(o.selector); err != nil {
		return r, fmt.Errorf("--selector: %w", err)
	}
	return r, nil
}

// completeRangeFlag makes a shell complete a flag that names a range. It completes nothing if
// the server can't be reached.
func completeRangeFlag(cmd *cobra.Command, flag string, kubeconfig *string) {
	// It fails only if there is no such flag.
	_ = cmd.RegisterFlagCompletionFunc(flag, func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		var words []string
		for _, kind := range occupancy.Kinds() {
			word := strings.ToLower(kind.Name)
			for _, name := range completeRange(cmd.Context(), *kubeconfig, []string{word}) {
				words = append(words, word+"/"+name)
			}
		}
		return words, cobra.ShellCompDirectiveNoFileComp
	})
}
