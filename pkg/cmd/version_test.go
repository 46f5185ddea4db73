package cmd

import (
	"bytes"
	"regexp"
	"testing"
)

func TestVersion(t *testing.T) {
	for _, args := range [][]string{{"version"}, {"--version"}} {
		var out bytes.Buffer
		cmd := NewCommand()
		cmd.SetArgs(args)
		cmd.SetOut(&out)
		if err := cmd.Execute(); err != nil {
			t.Fatal(err)
		}
		want := regexp.MustCompile(`^portolan version \S+\n$`)
		if args[0] == "version" {
			want = regexp.MustCompile(`^Portolan \S+\nKubernetes libraries (v1\.\S+)?\netcd v3\.\S+\nStore format \d+\n$`)
		}
		if !want.MatchString(out.String()) {
			t.Errorf("%v prints %q", args, out.String())
		}
	}
}
