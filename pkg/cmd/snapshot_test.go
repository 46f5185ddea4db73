package cmd

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSnapshot checks the file; test/chaos/upgrade restores one.
func TestSnapshot(t *testing.T) {
	dir, saved := t.TempDir(), filepath.Join(t.TempDir(), "snapshot.db")
	store := openStore(t, dir)
	fillStore(t, store.Client)
	_, err := runCommand(t, "snapshot", saved, "--data-dir", dir)
	expectError(t, err, "in use by another process")
	closeStore(t, store)

	out, err := runCommand(t, "snapshot", saved, "--data-dir", dir)
	if err != nil || !strings.HasPrefix(out, "Saved to "+saved+": ") {
		t.Errorf("%v\n%s", err, out)
	}
	data, err := os.ReadFile(saved)
	if err != nil {
		t.Fatal(err)
	}
	content, sum := data[:len(data)-sha256.Size], data[len(data)-sha256.Size:]
	if want := sha256.Sum256(content); !bytes.Equal(sum, want[:]) || !bytes.Contains(content, []byte(webService)) {
		t.Errorf("the snapshot has %d bytes and the checksum %x", len(data), sum)
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

// TestSnapshotOfNoRoom fails in the middle of a stream that is larger than etcd's
// buffers.
func TestSnapshotOfNoRoom(t *testing.T) {
	dir, saved := t.TempDir(), filepath.Join(t.TempDir(), "snapshot.db")
	store := openStore(t, dir)
	for i := range 16 {
		if _, err := store.Client.Put(t.Context(), fmt.Sprint("large", i), strings.Repeat("x", 1<<20)); err != nil {
			t.Fatal(err)
		}
	}
	closeStore(t, store)
	if err := os.Symlink("/dev/full", saved+".part"); err != nil {
		t.Fatal(err)
	}
	_, err := runCommand(t, "snapshot", saved, "--data-dir", dir)
	expectError(t, err, "no space left on device")
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(saved), "*")); err != nil || len(left) != 0 {
		t.Errorf("%v is left, %v", left, err)
	}
}
