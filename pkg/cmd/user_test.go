package cmd

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/portolan-dev/portolan/pkg/certificates/datadir"
	"github.com/portolan-dev/portolan/pkg/users"
)

func runUser(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cmd := newUserCommand()
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

func TestUserAdd(t *testing.T) {
	dir := t.TempDir()
	if _, err := datadir.Ensure(dir, datadir.Server{URL: "https://127.0.0.1:6443"}, time.Now()); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args       []string
		file, want string
	}{
		{[]string{"ann", "--group=portolan:readers", "--group=system:masters"}, "ann.kubeconfig",
			"the kubeconfig of ann, in portolan:readers, system:masters, valid until "},
		{[]string{"a/b", "--out=" + filepath.Join(dir, "other"), "--validity=1h"}, "other", "the kubeconfig of a/b, in no group, valid until "},
	} {
		out, err := runUser(t, append([]string{"add", "--data-dir=" + dir}, test.args...)...)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, test.file)
		if want := regexp.MustCompile("^" + regexp.QuoteMeta(file+" is "+test.want) +
			`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\.\n$`); !want.MatchString(out) {
			t.Errorf("it prints %q, want %s", out, want)
		}
		if _, err := os.Stat(file); err != nil {
			t.Error(err)
		}
	}
	_, err := runUser(t, "add", "ann", "--data-dir="+dir)
	expectError(t, err, "ann.kubeconfig: file exists: remove it, or name another file with --out")
}

// TestUserAddUnknownGroup expects a certificate for a group without rights, and a
// warning.
func TestUserAddUnknownGroup(t *testing.T) {
	dir := t.TempDir()
	if _, err := datadir.Ensure(dir, datadir.Server{URL: "https://127.0.0.1:6443"}, time.Now()); err != nil {
		t.Fatal(err)
	}
	out, err := runUser(t, "add", "ann", "--group=portolan:reader", "--data-dir="+dir)
	const want = `Warning: the group "portolan:reader" has no rights, unless the server's --authorization-config grants some. ` +
		"The groups with rights are portolan:readers, portolan:writers, portolan:scrapers, system:masters\n"
	if err != nil || !strings.HasPrefix(out, want) ||
		!strings.Contains(out, "ann.kubeconfig is the kubeconfig of ann, in portolan:reader, valid until ") {
		t.Errorf("it ends with %v and prints\n%s", err, out)
	}
}

func TestUserAddFlags(t *testing.T) {
	for _, test := range []struct {
		args []string
		want string
	}{
		{nil, "one argument is needed, not 0: user add NAME [flags]"},
		{[]string{"ann", "bob"}, "one argument is needed, not 2: user add NAME [flags]"},
		{[]string{""}, `user "": it must not be empty`},
		{[]string{"a/b"}, `user "a/b" can't be used as a file name: name a file with --out`},
		{[]string{"ann", "--group="}, `group "": it must not be empty`},
		{[]string{"ann", "--validity=0s"}, "--validity: 0s must be more than 0s"},
		{[]string{"ann", "--server=http://x"}, `--server: "http://x" is not a URL like https://192.0.2.7:6443`},
		{[]string{"ann", "--data-dir=/missing"},
			"/missing is not the data directory of a standalone server, or the server has not been started yet: "},
	} {
		_, err := runUser(t, append([]string{"add"}, test.args...)...)
		expectError(t, err, test.want)
	}
}

func TestUserAddHelp(t *testing.T) {
	out, err := runUser(t, "add", "--help")
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"User flags:", "--validity", users.Readers, users.Writers,
		"portolan user add ann --group=portolan:readers"} {
		if !strings.Contains(out, part) {
			t.Errorf("no %q in:\n%s", part, out)
		}
	}
}
