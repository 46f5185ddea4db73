package cmd

import (
	"github.com/spf13/cobra"

	"github.com/portolan-dev/portolan/pkg/adoption"
)

func newAdoptCommand() *cobra.Command {
	o := moveOptions{verb: "Adopt"}
	cmd := &cobra.Command{
		Use:   "adopt [NAME...]",
		Short: "Make mirrored Services of a cluster Portolan's own",
		Long: `Turns copies of a cluster's Services into Portolan's own Services. "portolan serve
--mirror-cluster-services" makes the copies. They keep their UID, addresses, ports,
status, managed fields and endpoints. The command deletes each of the cluster's
Services after its copy has become Portolan's own.

The command prints its plan first. With --dry-run it does nothing else. You can
interrupt it and run it again. It acts with your rights: on the cluster's Services,
and on services/adopt of portolan.dev.

It leaves Services alone that controllers of the cluster act on, because the
controllers would notice the deletion: Services that an object of the cluster
controls, Services with finalizers, and load balancers. Move the controllers to
Portolan first, and then adopt these Services with --managed. It removes the
finalizers of the cluster's Services before it deletes them.`,
		Example: `  # See what would be done
  portolan adopt --all --dry-run --portolan-kubeconfig=gateway.kubeconfig

  # One Service, one namespace, all
  portolan adopt web -n shop --portolan-kubeconfig=gateway.kubeconfig
  portolan adopt -n shop --portolan-kubeconfig=gateway.kubeconfig
  portolan adopt --all --portolan-kubeconfig=gateway.kubeconfig`,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              planned(&o, adoption.MakePlan, adoption.Adopt),
	}
	o.addFlags(cmd.Flags())
	return cmd
}
