package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

func newCompareCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "compare BEFORE.json AFTER.json",
		Short: "Compare Portolan in two runs whose --json has been kept",
		Long: `Compares Portolan in two runs. The two were made at different times, so each
number is given in relation to kube-apiserver's of the same run as well.`,
		Args:          cobra.ExactArgs(2),
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			var reports [2]*Report
			for n, path := range args {
				report, err := readReport(path)
				if err != nil {
					return err
				}
				reports[n] = report
			}
			return compare(cmd.OutOrStdout(), reports[0], reports[1])
		},
	}
}

// key is what two runs must have in common.
func (c *Cell) key() string { return fmt.Sprintf("%s/%d/%d", c.title(), c.Services, c.Clients) }

// compare prints the lines that both runs have.
func compare(out io.Writer, before, after *Report) error {
	var b strings.Builder
	fmt.Fprintf(&b, "| | Services in place | clients | before | after | CPU, before : after | CPU, kube-apiserver : Portolan, before / after |\n"+
		"|---|--:|--:|--:|--:|--:|--:|\n")
	earlier := map[string]*Cell{}
	for _, c := range before.Requests {
		earlier[c.key()] = c
	}
	for _, c := range after.Requests {
		old := earlier[c.key()]
		if old == nil {
			continue
		}
		was, is := over(old.Rounds[portolanName]), over(c.Rounds[portolanName])
		fmt.Fprintf(&b, "| %s | %s | %d | %s | %s | %s | %s / %s |\n",
			c.title(), thousands(c.Services), c.Clients, was, is, times(quotient(was.CPU, is.CPU)), times(old.ratio(kubeName, portolanName).CPU),
			times(c.ratio(kubeName, portolanName).CPU))
	}
	memory := map[string]Memory{}
	for _, m := range before.Memory {
		memory[m.When] = m
	}
	for _, m := range after.Memory {
		if old, ok := memory[m.When]; ok {
			was, is := old.Servers[portolanName], m.Servers[portolanName]
			fmt.Fprintf(&b, "| memory, %s | | | %s | %s | %.2f of it | |\n", m.When, was, is,
				quotient(float64(is.Bytes), float64(was.Bytes)))
		}
	}
	_, err := io.WriteString(out, b.String())
	return err
}
