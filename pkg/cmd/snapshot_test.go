package cmd

import (
	"bytes"
	"crypto/sha256"
	"os"
	"path/filepath"
	"testing"
)

// TestSnapshot is about the file; test/upgrade restores one.
func TestSnapshot(t *testing.T) {
	dir, saved := t.TempDir(), filepath.Join(t.TempDir(), "snapshot.db")
	store := openStore(t, dir)
	fillStore(t, store.Client)
	_, err := runCommand(t, "snapshot", saved, "--data-dir", dir)
	expectError(t, err, "in use by another process")
	closeStore(t, store)

	out, err := runCommand(t, "snapshot", saved, "--data-dir", dir)
	if err != nil || out != "Saved to "+saved+".\n" {
		t.Errorf("%v\n%s", err, out)
	}
	data, err := os.ReadFile(saved)
	if err != nil {
		t.Fatal(err)
	}
	content, sum := data[:len(data)-sha256.Size], data[len(data)-sha256.Size:]
	if want := sha256.Sum256(content); !bytes.Equal(sum, want[:]) || !bytes.Contains(content, []byte(webService)) {
		t.Errorf("what was saved has %d bytes and the checksum %x", len(data), sum)
	}

	_, err = runCommand(t, "snapshot", saved, "--data-dir", dir)
	expectError(t, err, "exists already")
	missing := filepath.Join(t.TempDir(), "missing")
	_, err = runCommand(t, "snapshot", filepath.Join(missing, "snapshot.db"), "--data-dir", dir)
	expectError(t, err, "no such file")
	_, err = runCommand(t, "snapshot", "elsewhere.db", "--data-dir", missing)
	expectError(t, err, "is not a server's data directory")
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(saved), "*")); err != nil || len(left) != 1 {
		t.Errorf("%v is left, %v", left, err)
	}
}
