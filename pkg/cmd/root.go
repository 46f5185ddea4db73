// Package cmd implements the command line.
package cmd

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
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
		Long: `Portolan serves Services in the API group portolan.dev. It commits a Service and
everything it claims (cluster IPs, node ports and load-balancer addresses) in one
etcd transaction.`,
		SilenceUsage: true,
		Version:      version.Release(),
	}
	cmd.SetHelpFunc(helpOf(cmd.HelpFunc()))
	cmd.AddCommand(
		newServeCommand(), newControllersCommand(), newAdoptCommand(), newReleaseCommand(), newEnvCommand(),
		newRangesCommand(), newUICommand(), newDrainCommand(), newRenumberCommand(),
		newVerifyCommand(), newMigrateCommand(), newSnapshotCommand(), newRestoreCommand(), newImportCommand(),
		newUserCommand(), newCertificatesCommand(), newVersionCommand(),
	)
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		invalid, ok := errors.AsType[*pflag.InvalidValueError](err)
		if parsing, failed := errors.AsType[*strconv.NumError](err); ok && failed && parsing.Func == "ParseBool" {
			err = fmt.Errorf("--%s must be true or false, not %q", invalid.GetFlag().Name, invalid.GetValue())
		}
		return fmt.Errorf("%w (see %q)", err, cmd.CommandPath()+" --help")
	})
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
		return strings.Split(withSuggestions(err.Error()), "\n")
	}
	var all []string
	for _, one := range utilerrors.Flatten(aggregate).Errors() {
		all = append(all, messages(one)...)
	}
	return all
}

// withSuggestions puts the suggestions that cobra adds to an error on the same line.
func withSuggestions(text string) string {
	text, suggestions, found := strings.Cut(text, "\n\nDid you mean this?\n\t")
	if !found {
		return text
	}
	return suggest(text, strings.Split(strings.TrimSpace(suggestions), "\n\t"))
}

func suggest(text string, names []string) string {
	if len(names) == 0 {
		return text
	}
	return fmt.Sprintf("%s: did you mean %s?", text, strings.Join(names, " or "))
}

// excludeEachOther makes two flags of a command exclude each other.
func excludeEachOther(cmd *cobra.Command, a, b string) {
	// A shell completes only one of the two. The error of cobra itself is hard to read.
	cmd.MarkFlagsMutuallyExclusive(a, b)
	before := cmd.PreRunE
	cmd.PreRunE = func(cmd *cobra.Command, args []string) error {
		if cmd.Flags().Changed(a) && cmd.Flags().Changed(b) {
			return fmt.Errorf("--%s and --%s exclude each other: leave one of them out", a, b)
		}
		if before == nil {
			return nil
		}
		return before(cmd, args)
	}
}

// noArgs is the Args of a command that has neither arguments nor subcommands.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%q takes no arguments, but got %q (see %q)", cmd.CommandPath(), args[0], cmd.CommandPath()+" --help")
	}
	return nil
}

// oneArg is the Args of a command that has one argument, which its Use names.
func oneArg(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("one argument is needed, not %d: %s", len(args), cmd.UseLine())
	}
	return nil
}

// ofGroup is the Args of a command that only has subcommands.
func ofGroup(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	const maxDistance = 2
	cmd.SuggestionsMinimumDistance = maxDistance
	return errors.New(suggest(fmt.Sprintf("unknown command %q for %q", args[0], cmd.CommandPath()), cmd.SuggestionsFor(args[0])))
}

// newGroup returns a command that only has subcommands. Without arguments it prints
// its help.
func newGroup(use, short string, commands ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use:   use,
		Short: short,
		Args:  ofGroup,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(commands...)
	return cmd
}
