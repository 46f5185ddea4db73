package cmd

import (
	"io"

	"github.com/spf13/cobra"

	"github.com/portolan-dev/portolan/pkg/adoption"
)

func newReleaseCommand() *cobra.Command {
	o := moveOptions{verb: "Release"}
	cmd := &cobra.Command{
		Use:   "release [NAME...]",
		Short: "Give adopted Services back to their cluster",
		Long: `Creates Services of Portolan at the cluster, with the same addresses, ports, status
and managed fields, and replaces Portolan's by copies of them. It is the way back
from portolan adopt. portolan serve --mirror-cluster-services must run, and the
cluster's controllers must write EndpointSlices there.

The cluster chooses another UID. Portolan replaces its Service by the copy and hands
over the claims on addresses and ports in one transaction. It keeps the
EndpointSlices of its own controllers until those of the cluster are copied.

The command prints its plan first. With --dry-run it does nothing else, but asks
the cluster whether it would take each Service. It can be interrupted and run
again. It acts with your rights: on the cluster's Services and endpoints, and on
Portolan's.

Services that were created in Portolan are released only if they are named.
Services that controllers act on are left alone: those that another object
controls, those with finalizers, and load balancers. Move the controllers to the
cluster's API server first, and then release these Services with --managed.`,
		Example: `  # See what would be done
  portolan release --all --dry-run --portolan-kubeconfig=gateway.kubeconfig

  # One Service, one namespace, all
  portolan release web -n shop --portolan-kubeconfig=gateway.kubeconfig
  portolan release -n shop --portolan-kubeconfig=gateway.kubeconfig
  portolan release --all --portolan-kubeconfig=gateway.kubeconfig`,
		RunE: func(cmd *cobra.Command, names []string) error {
			sides, selection, err := o.complete(cmd, names)
			if err != nil {
				return err
			}
			plan, err := adoption.MakeReleasePlan(cmd.Context(), sides, selection)
			if err != nil {
				return err
			}
			if _, err := io.WriteString(cmd.OutOrStdout(), plan.String()); err != nil || o.dryRun {
				return err
			}
			return adoption.Release(cmd.Context(), sides, plan, cmd.OutOrStdout())
		},
	}
	o.addFlags(cmd.Flags())
	return cmd
}
