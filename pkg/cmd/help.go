package cmd

import (
	"fmt"

	"github.com/spf13/cobra"
	cliflag "k8s.io/component-base/cli/flag"
	"k8s.io/component-base/term"
)

// addFlags gives a command flags that its help shows by topic, after its
// examples, which cliflag.SetUsageAndHelpFunc leaves out.
func addFlags(cmd *cobra.Command, sets cliflag.NamedFlagSets) {
	for _, name := range sets.Order {
		cmd.Flags().AddFlagSet(sets.FlagSets[name])
	}
	columns, _, _ := term.TerminalSize(cmd.OutOrStdout())
	cliflag.SetUsageAndHelpFunc(cmd, sets, columns)
	cmd.SetHelpFunc(func(cmd *cobra.Command, _ []string) {
		out := cmd.OutOrStdout()
		fmt.Fprintf(out, "%s\n\nExamples:\n%s\n\nUsage:\n  %s\n", cmd.Long, cmd.Example, cmd.UseLine())
		cliflag.PrintSections(out, sets, columns)
	})
}
