// Package cmd is the command line.
package cmd

import (
	"github.com/spf13/cobra"

	"github.com/portolan-dev/portolan/pkg/version"
)

// NewCommand makes the command portolan.
func NewCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "portolan",
		Short: "An API server for Kubernetes Services that hands out addresses and ports",
		Long: "Portolan serves Services in the API group portolan.dev. It commits a Service and everything it claims, " +
			"cluster IPs and node ports, in one etcd transaction.",
		SilenceUsage: true,
		Version:      version.Release(),
	}
	cmd.AddCommand(
		newServeCommand(), newControllersCommand(), newEnvCommand(),
		newVerifyCommand(), newMigrateCommand(), newSnapshotCommand(),
		newUserCommand(), newCertificatesCommand(), newVersionCommand(),
	)
	return cmd
}
