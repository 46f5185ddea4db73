package cmd

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestErrors expects errors to be printed. Only a server that logs in JSON logs them
// instead.
func TestErrors(t *testing.T) {
	server := &cobra.Command{RunE: func(*cobra.Command, []string) error { return markLogged(errors.New("no more"), "json") }}
	plain := &cobra.Command{RunE: func(*cobra.Command, []string) error { return markLogged(errors.New("no more"), "text") }}
	for name, test := range map[string]struct {
		cmd  *cobra.Command
		args []string
		want string
	}{
		"a command that fails":      {NewCommand(), []string{"verify", "--data-dir=" + t.TempDir()}, "is not a server's data directory"},
		"an unknown flag":           {NewCommand(), []string{"verify", "--foo"}, `unknown flag: --foo (see "portolan verify --help")`},
		"neither true nor false":    {NewCommand(), []string{"drain", "a", "--dry-run=server"}, `--dry-run must be true or false, not "server"`},
		"an unknown command":        {NewCommand(), []string{"frob"}, `unknown command "frob" for "portolan"`},
		"an unknown one of users":   {NewCommand(), []string{"user", "frob"}, `unknown command "frob" for "portolan user"`},
		"a typo":                    {NewCommand(), []string{"range"}, `unknown command "range" for "portolan": did you mean ranges?` + "\n"},
		"a typo of one of users":    {NewCommand(), []string{"user", "lst"}, `unknown command "lst" for "portolan user": did you mean list?`},
		"an argument too many":      {NewCommand(), []string{"ranges", "all"}, `"portolan ranges" takes no arguments, but got "all"`},
		"no such kubeconfig":        {NewCommand(), []string{"ranges", "--kubeconfig=/none"}, "kubeconfig /none: no such file or directory"},
		"an import of nothing":      {NewCommand(), []string{"import"}, "name the source with --kubeconfig or --etcd-snapshot"},
		"one of two sources":        {NewCommand(), []string{"import", "--kubeconfig=a", "--etcd-snapshot=b"}, "there are two sources"},
		"one of certificates":       {NewCommand(), []string{"certificates", "list"}, `unknown command "list" for "portolan certificates"`},
		"a server that ended badly": {plain, nil, "no more"},
		"one that logs in JSON":     {server, nil, ""},
	} {
		var text bytes.Buffer
		test.cmd.SetArgs(test.args)
		test.cmd.SetErr(&text)
		code := Run(test.cmd)
		message, printed := strings.CutPrefix(text.String(), "Error: ")
		if code != 1 || printed != (test.want != "") || !strings.Contains(message, test.want) || strings.Count(message, "\n") > 1 {
			t.Errorf("%s: exit code %d, printed %q", name, code, text.String())
		}
	}
}
