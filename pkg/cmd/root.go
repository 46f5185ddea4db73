// Package cmd is the command line.
package cmd

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"k8s.io/component-base/cli"
	"k8s.io/klog/v2"

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

// serverError is what a server ended with, which belongs into its log.
type serverError struct{ error }

func (e serverError) Unwrap() error { return e.error }

// ended marks what a server ended with.
func ended(err error) error {
	if err == nil {
		return nil
	}
	return serverError{err}
}

// Run runs a command and returns its exit code. What a server ended with is
// logged, in the format of its log. What is wrong otherwise is told to whoever
// typed the command.
func Run(cmd *cobra.Command) int {
	err := cli.RunNoErrOutput(cmd)
	if err == nil {
		return 0
	}
	if _, ok := errors.AsType[serverError](err); ok {
		klog.ErrorS(err, "command failed")
	} else {
		fmt.Fprintf(cmd.ErrOrStderr(), "Error: %v\n", err)
	}
	return 1
}

// newGroup makes a command that has others and does nothing by itself. Without
// arguments it says which those are.
func newGroup(use, short string, commands ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use:   use,
		Short: short,
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(commands...)
	return cmd
}
