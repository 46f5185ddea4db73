package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/portolan-dev/portolan/generated/clientset/versioned"
	"github.com/portolan-dev/portolan/pkg/adoption"
)

// moveOptions are those of the commands that move Services between a cluster and Portolan.
type moveOptions struct {
	// verb is what the command does.
	verb                                      string
	kubeconfig, portolanKubeconfig, namespace string
	all, dryRun, managed                      bool
}

func (o *moveOptions) addFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.kubeconfig, "kubeconfig", o.kubeconfig,
		"kubeconfig of the cluster's own API server (default that of kubectl)")
	flags.StringVar(&o.portolanKubeconfig, "portolan-kubeconfig", o.portolanKubeconfig,
		"kubeconfig of Portolan (default that of the cluster, if Portolan is registered there)")
	flags.StringVarP(&o.namespace, "namespace", "n", o.namespace, "Namespace of the Services. Without names, all Services of the namespace")
	flags.BoolVar(&o.all, "all", o.all, o.verb+" the Services of all namespaces")
	flags.BoolVar(&o.dryRun, "dry-run", o.dryRun, "Print the plan and change nothing")
	flags.BoolVar(&o.managed, "managed", o.managed, o.verb+" Services that controllers act on too")
}

// planned returns what a command runs: it makes a plan, prints it, and carries it out unless
// the run is dry.
func planned[Plan fmt.Stringer](o *moveOptions, makePlan func(context.Context, adoption.Sides, adoption.Selection) (Plan, error),
	carryOut func(context.Context, adoption.Sides, Plan, io.Writer) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, names []string) error {
		sides, selection, err := o.complete(cmd, names)
		if err != nil {
			return err
		}
		plan, err := makePlan(cmd.Context(), sides, selection)
		if err != nil {
			return explained(err, "--portolan-kubeconfig")
		}
		if _, err := io.WriteString(cmd.OutOrStdout(), plan.String()); err != nil || o.dryRun {
			return err
		}
		return carryOut(cmd.Context(), sides, plan, cmd.OutOrStdout())
	}
}

// complete returns what the flags and arguments select.
func (o *moveOptions) complete(cmd *cobra.Command, names []string) (adoption.Sides, adoption.Selection, error) {
	selection, err := o.selection(cmd.Flags().Changed("namespace"), names)
	if err != nil {
		return adoption.Sides{}, adoption.Selection{}, err
	}
	cmd.SilenceUsage = true
	sides, namespace, err := o.sides()
	if !o.all && selection.Namespace == "" {
		selection.Namespace = namespace
	}
	return sides, selection, err
}

// selection returns which Services are meant. Without any argument none are, so that a
// command that was cut short does nothing.
func (o *moveOptions) selection(namespaced bool, names []string) (adoption.Selection, error) {
	switch {
	case o.all && (namespaced || len(names) > 0):
		return adoption.Selection{}, errors.New("--all is for all Services: name neither a namespace nor Services with it")
	case !o.all && !namespaced && len(names) == 0:
		return adoption.Selection{}, errors.New("name Services, a namespace with -n, or --all")
	}
	return adoption.Selection{Namespace: o.namespace, Names: names, Managed: o.managed}, nil
}

// sides returns clients of both sides, and the namespace of the cluster's kubeconfig.
func (o *moveOptions) sides() (adoption.Sides, string, error) {
	config, namespace, err := clientConfig(o.kubeconfig, o.namespace)
	if err != nil {
		return adoption.Sides{}, "", err
	}
	portolan := config
	if o.portolanKubeconfig != "" {
		if portolan, _, err = clientConfig(o.portolanKubeconfig, ""); err != nil {
			return adoption.Sides{}, "", fmt.Errorf("--portolan-kubeconfig: %w", err)
		}
	}
	sides, err := newSides(config, portolan)
	return sides, namespace, err
}

func newSides(cluster, portolan *rest.Config) (sides adoption.Sides, err error) {
	for _, config := range []*rest.Config{cluster, portolan} {
		config.WarningHandlerWithContext = rest.NoWarnings{}
		// The servers limit their clients.
		config.QPS = -1
	}
	if sides.Cluster, err = kubernetes.NewForConfig(cluster); err != nil {
		return sides, fmt.Errorf("client of the cluster: %w", err)
	}
	if sides.Portolan, err = versioned.NewForConfig(portolan); err != nil {
		return sides, fmt.Errorf("client of Portolan: %w", err)
	}
	return sides, nil
}
