package cmd

import (
	"io"

	"github.com/spf13/cobra"

	"github.com/portolan-dev/portolan/pkg/adoption"
)

func newAdoptCommand() *cobra.Command {
	o := moveOptions{verb: "Adopt"}
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
		RunE: func(cmd *cobra.Command, names []string) error {
			sides, selection, err := o.complete(cmd, names)
			if err != nil {
				return err
			}
			plan, err := adoption.MakePlan(cmd.Context(), sides, selection)
			if err != nil {
				return err
			}
			if _, err := io.WriteString(cmd.OutOrStdout(), plan.String()); err != nil || o.dryRun {
				return err
			}
			return adoption.Adopt(cmd.Context(), sides, plan, cmd.OutOrStdout())
		},
	}
	o.addFlags(cmd.Flags())
	return cmd
}
