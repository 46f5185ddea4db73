package cmd

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const encryptionConfig = `apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
- resources: ["*.portolan.dev"]
  providers:
  - secretbox:
      keys:
      - name: first
        secret: cG9ydG9sYW4tcG9ydG9sYW4tcG9ydG9sYW4tMTIzNDU=
  - identity: {}
`

func runCommand(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cmd := NewCommand()
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	cmd.SetErr(&bytes.Buffer{})
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

// squeezed returns a table without its alignment.
func squeezed(text string) string { return regexp.MustCompile(" +").ReplaceAllString(text, " ") }

// TestMigrateToEncrypted turns encryption on for the store of a stopped server. verify
// can then read it only with the keys.
func TestMigrateToEncrypted(t *testing.T) {
	dir := t.TempDir()
	store := openStore(t, dir)
	fillStore(t, store.Client)
	closeStore(t, store)
	config := filepath.Join(t.TempDir(), "encryption.yaml")
	if err := os.WriteFile(config, []byte(encryptionConfig), 0o600); err != nil {
		t.Fatal(err)
	}
	encrypted := "--encryption-provider-config=" + config

	for _, step := range []struct {
		args []string
		want string
	}{
		{[]string{"migrate", "--dry-run", encrypted}, "\nall 5 5 0 0\n"},
		{[]string{"migrate", encrypted}, "\nall 5 5 0 0\n"},
		{[]string{"migrate", encrypted}, "\nall 5 0 0 0\n"},
		{[]string{"migrate", encrypted, "--storage-media-type=application/json"}, "\nall 5 5 0 0\n"},
		{[]string{"verify", encrypted}, "\nOK: "},
	} {
		out, err := runCommand(t, append(step.args, "--data-dir", dir)...)
		if err != nil || !strings.Contains(squeezed(out), step.want) {
			t.Errorf("%v: %v\n%s", step.args, err, out)
		}
	}
	out, err := runCommand(t, "verify", "--data-dir", dir)
	expectError(t, err, "5 violations")
	if !strings.Contains(out, "encrypted with secretbox, so verify can't read them") {
		t.Errorf("got\n%s", out)
	}
	out, err = runCommand(t, "migrate", "--data-dir", dir)
	expectError(t, err, "5 objects can't be read")
	if !strings.HasPrefix(out, "The store is in format 1.\n") || strings.Count(out, "\nunreadable: decrypting ") != 5 {
		t.Errorf("got\n%s", out)
	}
}

func TestMigrateNothing(t *testing.T) {
	dir := t.TempDir()
	closeStore(t, openStore(t, dir))
	out, err := runCommand(t, "migrate", "--data-dir", dir, "--etcd-prefix", "/elsewhere")
	if err != nil || !strings.Contains(out, "warning: nothing is stored under /elsewhere") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestNewerFormat expects commands to print only an error for the store of a later
// release.
func TestNewerFormat(t *testing.T) {
	dir := t.TempDir()
	store := openStore(t, dir)
	fillStore(t, store.Client)
	if _, err := store.Client.Put(t.Context(), "/registry/portolan.dev/format", `{"format":2,"release":"v9.0.0"}`); err != nil {
		t.Fatal(err)
	}
	closeStore(t, store)
	for _, command := range []string{"verify", "migrate"} {
		out, err := runCommand(t, command, "--data-dir", dir)
		expectError(t, err, "the store is in format 2, raised by Portolan v9.0.0")
		if out != "" {
			t.Errorf("%s prints\n%s", command, out)
		}
	}
}

func TestMigrateFlags(t *testing.T) {
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"--storage-media-type=text/plain"}, `unable to find serializer for "text/plain"`},
		{[]string{"--encryption-provider-config=missing.yaml"}, "missing.yaml"},
		{[]string{"--etcd-cafile=ca.crt"}, "--etcd-servers is missing"},
		{[]string{"--data-dir", filepath.Join(t.TempDir(), "missing")}, "is not a server's data directory"},
	} {
		_, err := runCommand(t, append([]string{"migrate"}, test.args...)...)
		expectError(t, err, test.want)
	}
}
