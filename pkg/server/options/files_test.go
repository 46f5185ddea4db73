package options

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	cliflag "k8s.io/component-base/cli/flag"
)

// flagsOf returns all flags of a server with these options.
func flagsOf(o *Options) *pflag.FlagSet {
	var sets cliflag.NamedFlagSets
	o.AddFlags(&sets)
	all := pflag.NewFlagSet("", pflag.ContinueOnError)
	for _, set := range sets.FlagSets {
		all.AddFlagSet(set)
	}
	return all
}

// TestFileFlags expects an error that names the flag if a file can't be used, for every
// flag that names a file.
func TestFileFlags(t *testing.T) {
	dir := t.TempDir()
	garbage := filepath.Join(dir, "garbage")
	if err := os.WriteFile(garbage, []byte("garbage\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	// These name files that the server writes, or that CheckFiles reads otherwise.
	others := []string{"audit-log-path", "debug-socket-path", "tls-sni-cert-key"}
	read := regexp.MustCompile(`file$|kubeconfig$|-config$`)
	flagsOf(New()).VisitAll(func(flag *pflag.Flag) {
		if flag.Value.Type() != "string" || !read.MatchString(flag.Name) || slices.Contains(others, flag.Name) {
			return
		}
		for path, want := range map[string]string{
			filepath.Join(dir, "none"): "--" + flag.Name + ": there is no file " + filepath.Join(dir, "none"),
			dir:                        "--" + flag.Name + ": " + dir + " is a directory, not a file",
		} {
			o := New()
			if err := flagsOf(o).Set(flag.Name, path); err != nil {
				t.Fatal(err)
			}
			if err := o.CheckFiles(); err == nil || err.Error() != want {
				t.Errorf("got %v, want %s", err, want)
			}
		}
	})
	for flag, want := range map[string]string{
		"client-ca-file": garbage + " has no certificate in PEM: ",
		"kubeconfig":     garbage + " is not a kubeconfig: ",
	} {
		o := New()
		if err := flagsOf(o).Set(flag, garbage); err != nil {
			t.Fatal(err)
		}
		if err := o.CheckFiles(); err == nil || !strings.HasPrefix(err.Error(), "--"+flag+": "+want) {
			t.Errorf("got %v", err)
		}
	}
}

func TestCertificateFlags(t *testing.T) {
	dir := t.TempDir()
	garbage := filepath.Join(dir, "garbage")
	if err := os.WriteFile(garbage, []byte("garbage\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		set  map[string]string
		want string
	}{
		{map[string]string{"tls-cert-file": garbage}, "--tls-cert-file has no key: name its file with --tls-private-key-file"},
		{map[string]string{"tls-private-key-file": garbage}, "--tls-private-key-file has no certificate: name its file with --tls-cert-file"},
		{map[string]string{"etcd-certfile": garbage}, "--etcd-certfile has no key: name its file with --etcd-keyfile"},
		{map[string]string{"tls-cert-file": garbage, "tls-private-key-file": garbage},
			"--tls-cert-file: " + garbage + " and " + garbage + " are not a certificate and its key in PEM: "},
		{map[string]string{"tls-sni-cert-key": garbage + "," + garbage},
			"--tls-sni-cert-key: " + garbage + " and " + garbage + " are not a certificate and its key in PEM: "},
		{map[string]string{"data-dir": garbage}, "--data-dir: " + garbage + " is a file, not a directory"},
	} {
		o := New()
		flags := flagsOf(o)
		for name, value := range test.set {
			if err := flags.Set(name, value); err != nil {
				t.Fatal(err)
			}
		}
		err := o.Validate()
		if err == nil {
			err = o.CheckFiles()
		}
		if err == nil || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("got %v, want %s", err, test.want)
		}
	}
}
