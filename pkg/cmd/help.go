package cmd

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	cliflag "k8s.io/component-base/cli/flag"
	"k8s.io/component-base/term"

	"github.com/portolan-dev/portolan/pkg/server/options"
)

const (
	allTopics    = "all"
	featureGates = "feature-gates"
	// plainWidth is the width of help that isn't printed to a terminal, in characters.
	plainWidth, leastWidth = 100, 40
)

// help prints the flags of a command by topic. For a command with many flags it prints
// the common ones, and the others on request.
type help struct {
	topics cliflag.NamedFlagSets
	common []options.CommonFlags
	// topic is the value of --help. It is empty without --help.
	topic string
}

// addFlags adds flags to a command, whose help then shows them by topic, after the
// examples. If there are common flags, the help shows only those, and the others with
// --help=TOPIC and --help=all.
func addFlags(cmd *cobra.Command, sets cliflag.NamedFlagSets, common ...options.CommonFlags) {
	h := &help{topics: sets, common: common}
	for _, name := range sets.Order {
		cmd.Flags().AddFlagSet(sets.FlagSets[name])
	}
	if len(common) > 0 {
		cmd.Flags().AddFlag(&pflag.Flag{
			Name: "help", Shorthand: "h", NoOptDefVal: "true", DefValue: "false", Value: h,
			Usage: "Show the flags that are set most often; --help=all shows all",
		})
	}
	cmd.SetHelpFunc(func(cmd *cobra.Command, _ []string) { h.print(cmd) })
}

// helpOf returns the help of commands for which addFlags was not called.
func helpOf(groupHelp func(*cobra.Command, []string)) func(*cobra.Command, []string) {
	return func(cmd *cobra.Command, args []string) {
		if cmd.HasSubCommands() || cmd.Long == "" {
			groupHelp(cmd, args)
			return
		}
		var flags cliflag.NamedFlagSets
		flags.FlagSet("flags").AddFlagSet(cmd.LocalFlags())
		(&help{topics: flags}).print(cmd)
	}
}

// String implements pflag.Value. cobra expects the value of --help to be a bool.
func (h *help) String() string {
	if h.topic == "" {
		return "false"
	}
	return "true"
}

// Set implements pflag.Value. The topic is "true" for --help without a value.
func (h *help) Set(topic string) error {
	if topic != "true" && !slices.Contains(h.names(), topic) {
		return fmt.Errorf("the topics are %s", strings.Join(h.names(), ", "))
	}
	h.topic = topic
	return nil
}

// Type implements pflag.Value.
func (h *help) Type() string { return "bool" }

func (h *help) names() []string {
	names := slices.Clone(h.topics.Order)
	if h.gates() != nil {
		names = append(names, featureGates)
	}
	return append(names, allTopics)
}

// gates returns the flag of the feature gates, or nil if there is none. Its usage is
// longer than all others together.
func (h *help) gates() *pflag.Flag {
	for _, set := range h.topics.FlagSets {
		if flag := set.Lookup(featureGates); flag != nil {
			return flag
		}
	}
	return nil
}

func (h *help) print(cmd *cobra.Command) {
	columns, _, err := term.TerminalSize(cmd.OutOrStdout())
	if err != nil || columns == 0 {
		columns = plainWidth
	}
	h.write(cmd.OutOrStdout(), cmd, max(columns, leastWidth))
}

// write writes the help. A line is longer than the width only if a single word is.
func (h *help) write(out io.Writer, cmd *cobra.Command, width int) {
	topic := h.topic
	if topic == featureGates {
		usage := h.gates().Usage
		for line := range strings.Lines(usage) {
			writeWrapped(out, "", "    ", strings.TrimSpace(line), width)
		}
		return
	}
	if h.topics.FlagSets[topic] != nil {
		h.writeTopic(out, topic, width)
		return
	}
	for i, paragraph := range strings.Split(cmd.Long, "\n\n") {
		if i > 0 {
			fmt.Fprintln(out)
		}
		writeParagraph(out, paragraph, width)
	}
	if cmd.Example != "" {
		// Examples are not wrapped, so that they can be copied.
		fmt.Fprintf(out, "\nExamples:\n%s\n", cmd.Example)
	}
	fmt.Fprintf(out, "\nUsage:\n  %s\n", cmd.UseLine())
	if len(h.common) > 0 && topic != allTopics {
		h.writeCommon(out, cmd, width)
		return
	}
	for _, name := range h.topics.Order {
		fmt.Fprintln(out)
		h.writeTopic(out, name, width)
	}
}

// writeCommon writes a line or two about each common flag.
func (h *help) writeCommon(out io.Writer, cmd *cobra.Command, width int) {
	const column = 32
	for _, group := range h.common {
		fmt.Fprintf(out, "\n%s:\n", group.Title)
		for _, common := range group.Flags {
			name := "--" + common.Name
			if flag := cmd.Flags().Lookup(common.Name); len(common.Name) == 1 {
				name = "-" + flag.Shorthand
			}
			writeWrapped(out, fmt.Sprintf("  %-*s", column-2, name), strings.Repeat(" ", column), common.Summary, width)
		}
	}
	fmt.Fprintln(out)
	writeWrapped(out, "", "", "There are more flags. --help=TOPIC shows the flags of a topic and their defaults. The topics are: "+
		strings.Join(h.names(), ", ")+".", width)
}

func (h *help) writeTopic(out io.Writer, topic string, width int) {
	set := h.topics.FlagSets[topic]
	if !set.HasAvailableFlags() {
		return
	}
	title := strings.ToUpper(topic[:1]) + topic[1:]
	if topic != "flags" {
		title += " flags"
	}
	fmt.Fprintf(out, "%s:\n", title)
	set.VisitAll(func(flag *pflag.Flag) {
		if flag.Hidden || flag.Deprecated != "" {
			return
		}
		kind, usage := pflag.UnquoteUsage(flag)
		if flag.Name == featureGates {
			usage = "Feature gates to set, NAME=true or NAME=false. --help=" + featureGates + " lists them."
		}
		name := "--" + flag.Name
		if flag.Shorthand != "" {
			name = "-" + flag.Shorthand + ", " + name
		}
		if kind != "" {
			name += " " + kind
		}
		fmt.Fprintf(out, "  %s\n", name)
		if !strings.Contains(usage, "(default") && !slices.Contains([]string{"", "false", "0", "0s", "[]", "<nil>"}, flag.DefValue) &&
			flag.Name != featureGates {
			usage += fmt.Sprintf(" (default %s)", strings.Trim(flag.DefValue, "[]"))
		}
		for line := range strings.Lines(usage) {
			writeWrapped(out, "        ", "        ", strings.TrimSpace(line), width)
		}
	})
}

// writeParagraph writes a paragraph. It keeps the lines if they fit, and otherwise breaks the
// text anew.
func writeParagraph(out io.Writer, paragraph string, width int) {
	lines := strings.Split(paragraph, "\n")
	isTable := slices.ContainsFunc(lines, func(line string) bool { return strings.HasPrefix(line, " ") })
	isLong := slices.ContainsFunc(lines, func(line string) bool { return len([]rune(line)) > width })
	if isLong && !isTable {
		lines = []string{strings.Join(lines, " ")}
	}
	for _, line := range lines {
		writeWrapped(out, "", "", line, width)
	}
}

// writeWrapped wraps a text to a width. The first line begins with the indent first,
// and the others with the indent others.
func writeWrapped(out io.Writer, first, others, text string, width int) {
	// A short text is written unchanged, with its own spaces.
	if len([]rune(first+text)) <= width {
		fmt.Fprintln(out, strings.TrimRight(first+text, " "))
		return
	}
	line, empty := first, true
	for word := range strings.FieldsSeq(text) {
		if !empty && len([]rune(line))+1+len([]rune(word)) > width {
			fmt.Fprintln(out, line)
			line, empty = others, true
		}
		if !empty {
			line += " "
		}
		line, empty = line+word, false
	}
	fmt.Fprintln(out, line)
}
