package cmd

import (
	"github.com/spf13/cobra"

	"github.com/portolan-dev/portolan/pkg/adoption"
)

func newReleaseCommand() *cobra.Command {
	o := moveOptions{verb: "Release"}
	cmd := &cobra.Command{
		Use:   "release [NAME...]",
		Short: "Give adopted Services back to their cluster",
		Long: `Undoes "portolan adopt". The command creates Portolan's Services in the cluster, with
the same addresses, ports, status and managed fields, and Portolan's become copies
of them. "portolan serve --mirror-cluster-services" must be running, and the
cluster's controllers must write EndpointSlices there.

The cluster gives each Service a new UID. Portolan replaces its Service with the
copy, and moves the claims on addresses and ports to it, in one transaction. It
keeps the EndpointSlices of its own controllers until it has copied those of the
cluster.

The command prints its plan first. With --dry-run it does nothing else, but asks
the cluster whether it would accept each Service. You can interrupt it and run it
again. It acts with your rights: on the cluster's Services and endpoints, and on
Portolan's.

It releases Services that were created in Portolan only if you name them. It leaves
Services alone that controllers act on: Services that another object controls,
Services with finalizers, and load balancers. Move the controllers to the cluster's
API server first, and then release these Services with --managed.`,
		Example: `  # See what would be done
  portolan release --all --dry-run --portolan-kubeconfig=gateway.kubeconfig

  # One Service, one namespace, all
  portolan release web -n shop --portolan-kubeconfig=gateway.kubeconfig
  portolan release -n shop --portolan-kubeconfig=gateway.kubeconfig
  portolan release --all --portolan-kubeconfig=gateway.kubeconfig`,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              planned(&o, adoption.MakeReleasePlan, adoption.Release),
	}
	o.addFlags(cmd.Flags())
	return cmd
}
