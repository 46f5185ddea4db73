package cmd

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	cliflag "k8s.io/component-base/cli/flag"
	"k8s.io/component-base/logs"

	"github.com/portolan-dev/portolan/pkg/controllers"
	"github.com/portolan-dev/portolan/pkg/server/options"
)

// servers returns the commands with many flags, and their flags by topic.
func servers() map[string]struct {
	cmd    *cobra.Command
	topics cliflag.NamedFlagSets
	common []options.CommonFlags
} {
	var ofServe, ofControllers cliflag.NamedFlagSets
	options.New().AddFlags(&ofServe)
	o := controllersOptions{controllers: controllers.NewOptions(), logs: logs.NewOptions()}
	o.addFlags(&ofControllers)
	return map[string]struct {
		cmd    *cobra.Command
		topics cliflag.NamedFlagSets
		common []options.CommonFlags
	}{
		"serve":       {newServeCommand(), ofServe, options.Common()},
		"controllers": {newControllersCommand(), ofControllers, commonOfControllers()},
	}
}

// helpAt returns the help of a command at a width, for a flag as a user types it.
func helpAt(t *testing.T, cmd *cobra.Command, width int, flag string) string {
	t.Helper()
	var out bytes.Buffer
	cmd.SetHelpFunc(func(cmd *cobra.Command, _ []string) {
		shown, ok := cmd.Flags().Lookup("help").Value.(*help)
		if !ok {
			t.Fatal("--help takes no topic")
		}
		shown.write(&out, cmd, width)
	})
	cmd.SetArgs([]string{flag})
	if err := cmd.Execute(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// TestHelpFits expects the help of servers to be short and to fit the terminal.
func TestHelpFits(t *testing.T) {
	for name, server := range servers() {
		for _, width := range []int{80, 100, 120} {
			for _, topic := range append(slices.Clone(server.topics.Order), "all", "") {
				flag := strings.TrimSuffix("--help="+topic, "=")
				text := helpAt(t, server.cmd, width, flag)
				if lines := strings.Count(text, "\n"); topic == "" && (lines > 60 || lines < 15) {
					t.Errorf("%s %s in %d columns has %d lines", name, flag, width, lines)
				}
				for line := range strings.Lines(text) {
					if len([]rune(strings.TrimRight(line, "\n"))) > width {
						t.Errorf("%s %s in %d columns: %s", name, flag, width, line)
					}
				}
				if strings.Contains(text, "AllAlpha") {
					t.Errorf("%s %s lists the feature gates", name, flag)
				}
			}
		}
	}
	for _, command := range []*cobra.Command{newDrainCommand(), newRenumberCommand(), newAdoptCommand()} {
		var out bytes.Buffer
		(&help{}).write(&out, command, 60)
		long, _, _ := strings.Cut(out.String(), "\n\n")
		for _, line := range strings.Split(long, "\n")[:2] {
			if len(line) < 40 || len(line) > 60 {
				t.Errorf("%s --help in 60 columns breaks a paragraph into the line %q", command.Name(), line)
			}
		}
	}
	serve := servers()["serve"]
	if gates := helpAt(t, serve.cmd, 80, "--help=feature-gates"); !strings.Contains(gates, "AllAlpha=true|false") {
		t.Errorf("the feature gates:\n%s", gates)
	}
}

// TestHelpTopics expects every flag under one topic, and under all.
func TestHelpTopics(t *testing.T) {
	for name, server := range servers() {
		topics := map[string][]string{}
		for _, topic := range server.topics.Order {
			shown := helpAt(t, server.cmd, 100, "--help="+topic)
			server.cmd.Flags().VisitAll(func(flag *pflag.Flag) {
				if strings.Contains(shown, "--"+flag.Name+"\n") ||
					strings.Contains(shown, "--"+flag.Name+" ") && server.topics.FlagSets[topic].Lookup(flag.Name) != nil {
					topics[flag.Name] = append(topics[flag.Name], topic)
				}
			})
		}
		all := helpAt(t, server.cmd, 100, "--help=all")
		server.cmd.Flags().VisitAll(func(flag *pflag.Flag) {
			if flag.Name == "help" || flag.Hidden || flag.Deprecated != "" {
				return
			}
			if len(topics[flag.Name]) != 1 {
				t.Errorf("%s: --%s is under %q", name, flag.Name, topics[flag.Name])
			}
			if !strings.Contains(all, "--"+flag.Name) {
				t.Errorf("%s: --help=all has no --%s", name, flag.Name)
			}
		})
		short := helpAt(t, server.cmd, 80, "--help")
		for _, group := range server.common {
			for _, flag := range group.Flags {
				if server.cmd.Flags().Lookup(flag.Name) == nil {
					t.Errorf("%s has no flag --%s", name, flag.Name)
				}
				if !strings.Contains(short, "-"+flag.Name+" ") {
					t.Errorf("%s: the short help has no --%s", name, flag.Name)
				}
			}
		}
	}
}

func TestHelpOfNoTopic(t *testing.T) {
	_, err := runCommand(t, "serve", "--help=nothing")
	expectError(t, err, `invalid argument "nothing" for "-h, --help" flag: the topics are portolan, serving, `)
}
