// Package cmd implements the command line.
package cmd

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/component-base/cli"
	logsapi "k8s.io/component-base/logs/api/v1"
	"k8s.io/klog/v2"

	"github.com/portolan-dev/portolan/pkg/version"
)

// NewCommand returns the command portolan.
func NewCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "portolan",
		Short: "An API server for Kubernetes Services that allocates addresses and ports",
		Long: "Portolan serves Services in the API group portolan.dev. It commits a Service and everything it claims, " +
			"cluster IPs and node ports, in one etcd transaction.",
		SilenceUsage: true,
		Version:      version.Release(),
	}
	cmd.SetHelpFunc(helpOf(cmd.HelpFunc()))
	cmd.AddCommand(
		newServeCommand(), newControllersCommand(), newAdoptCommand(), newReleaseCommand(), newEnvCommand(),
		newRangesCommand(), newDrainCommand(),
		newVerifyCommand(), newMigrateCommand(), newSnapshotCommand(), newRestoreCommand(), newImportCommand(),
		newUserCommand(), newCertificatesCommand(), newVersionCommand(),
	)
	return cmd
}

// loggedError is an error that Run logs instead of printing it.
type loggedError struct{ error }

func (e loggedError) Unwrap() error { return e.error }

// markLogged makes Run log a server's error instead of printing it, if the log is not
// text: programs read it there.
func markLogged(err error, format string) error {
	if err == nil || format == logsapi.DefaultLogFormat {
		return err
	}
	return loggedError{err}
}

// Run runs a command and returns its exit code. It prints errors to stderr, one on each
// line.
func Run(cmd *cobra.Command) int {
	err := cli.RunNoErrOutput(cmd)
	if err == nil {
		return 0
	}
	if _, ok := errors.AsType[loggedError](err); ok {
		klog.ErrorS(err, "command failed")
		return 1
	}
	for _, message := range messages(err) {
		fmt.Fprintf(cmd.ErrOrStderr(), "Error: %s\n", message)
	}
	return 1
}

func messages(err error) []string {
	aggregate, ok := err.(utilerrors.Aggregate) //nolint:errorlint // What wraps one has words of its own.
	if !ok {
		return strings.Split(err.Error(), "\n")
	}
	var all []string
	for _, one := range utilerrors.Flatten(aggregate).Errors() {
		all = append(all, messages(one)...)
	}
	return all
}

// newGroup returns a command that only has subcommands. Without arguments it prints
// its help.
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
