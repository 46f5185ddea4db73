package cmd

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/portolan-dev/portolan/generated/clientset/versioned"
	"github.com/portolan-dev/portolan/pkg/adoption"
)

type adoptOptions struct {
	kubeconfig, portolanKubeconfig, namespace string
	all, dryRun, managed                      bool
}

func newAdoptCommand() *cobra.Command {
	var o adoptOptions
	cmd := &cobra.Command{
		Use:   "adopt [NAME...]",
		Short: "Make mirrored Services of a cluster Portolan's own",
		Long: `Makes Services that portolan serve --mirror-cluster-services copies from a cluster
Portolan's own. They keep their UID, addresses, ports, status and managed fields,
and their endpoints. The cluster's Services are deleted, each after its copy is
Portolan's own.

The command prints its plan first. With --dry-run it does nothing else. It can be
interrupted and run again. It acts with your rights: on the cluster's Services,
and on services/adopt of portolan.dev.

Services that controllers of the cluster act on are left alone, because these
would notice the deletion: those that an object of the cluster controls, those
with finalizers, and load balancers. Move the controllers to Portolan first, and
then adopt these Services with --managed, which removes their finalizers from the
cluster's Services before it deletes them.`,
		Example: `  # See what would be done
  portolan adopt --all --dry-run --portolan-kubeconfig=gateway.kubeconfig

  # One Service, one namespace, all
  portolan adopt web -n shop --portolan-kubeconfig=gateway.kubeconfig
  portolan adopt -n shop --portolan-kubeconfig=gateway.kubeconfig
  portolan adopt --all --portolan-kubeconfig=gateway.kubeconfig`,
		RunE: func(cmd *cobra.Command, names []string) error { return o.run(cmd, names) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.kubeconfig, "kubeconfig", o.kubeconfig,
		"kubeconfig of the cluster's own API server. The default is kubectl's")
	flags.StringVar(&o.portolanKubeconfig, "portolan-kubeconfig", o.portolanKubeconfig,
		"kubeconfig of Portolan. By default Portolan is reached through the cluster, where it is registered")
	flags.StringVarP(&o.namespace, "namespace", "n", o.namespace, "Namespace of the Services")
	flags.BoolVar(&o.all, "all", o.all, "Adopt the Services of all namespaces")
	flags.BoolVar(&o.dryRun, "dry-run", o.dryRun, "Print the plan and change nothing")
	flags.BoolVar(&o.managed, "managed", o.managed, "Adopt also Services that controllers of the cluster act on")
	return cmd
}

func (o *adoptOptions) run(cmd *cobra.Command, names []string) error {
	selection, err := o.selection(cmd.Flags().Changed("namespace"), names)
	if err != nil {
		return err
	}
	cmd.SilenceUsage = true
	sides, namespace, err := o.sides()
	if err != nil {
		return err
	}
	if !o.all && selection.Namespace == "" {
		selection.Namespace = namespace
	}
	plan, err := adoption.MakePlan(cmd.Context(), sides, selection)
	if err != nil {
		return err
	}
	if _, err := io.WriteString(cmd.OutOrStdout(), plan.String()); err != nil || o.dryRun {
		return err
	}
	return adoption.Adopt(cmd.Context(), sides, plan, cmd.OutOrStdout())
}

// selection returns which Services are meant. Without any argument none are, so that a
// command that was cut short does nothing.
func (o *adoptOptions) selection(namespaced bool, names []string) (adoption.Selection, error) {
	switch {
	case o.all && (namespaced || len(names) > 0):
		return adoption.Selection{}, errors.New("--all is for all Services: name neither a namespace nor Services with it")
	case !o.all && !namespaced && len(names) == 0:
		return adoption.Selection{}, errors.New("name Services, a namespace with -n, or --all")
	}
	return adoption.Selection{Namespace: o.namespace, Names: names, Managed: o.managed}, nil
}

// sides returns clients of both sides, and the namespace of the cluster's kubeconfig.
func (o *adoptOptions) sides() (adoption.Sides, string, error) {
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
