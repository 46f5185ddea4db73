package etcd

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	bolt "go.etcd.io/bbolt"
	"go.etcd.io/etcd/client/pkg/v3/fileutil"
	"go.etcd.io/etcd/server/v3/storage/schema"
	"go.etcd.io/etcd/server/v3/storage/wal"
)

const (
	databaseFile = "etcd/member/snap/db"
	logDir       = "etcd/member/wal"
)

// sound is an undamaged store with several log files, of which tests make damaged
// copies.
type sound struct {
	dir  string
	keys int
	// logs are the files of the log, in order.
	logs []string
	// size is the size of the used part of the database.
	size int64
}

func newSound(t *testing.T) sound {
	t.Helper()
	segment := wal.SegmentSizeBytes
	wal.SegmentSizeBytes = 128 << 10
	t.Cleanup(func() { wal.SegmentSizeBytes = segment })
	s := sound{dir: t.TempDir(), keys: 100}
	store := start(t, s.dir)
	for i := range s.keys {
		if _, err := store.Client.Put(t.Context(), fmt.Sprintf("/key%d", i), strings.Repeat("x", 4000)); err != nil {
			t.Fatal(err)
		}
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	all, err := filepath.Glob(filepath.Join(s.dir, logDir, "*.wal"))
	if err != nil || len(all) < 3 {
		t.Fatalf("%v, %v", all, err)
	}
	for _, file := range all {
		s.logs = append(s.logs, filepath.Join(logDir, filepath.Base(file)))
	}
	edit(t, filepath.Join(s.dir, databaseFile), func(tx *bolt.Tx) error {
		s.size = tx.Size()
		return nil
	})
	return s
}

func (s sound) copy(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(s.dir)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// expectWhole expects a store to start with all its keys and to accept a write.
func (s sound) expectWhole(t *testing.T, dir string) {
	t.Helper()
	store := start(t, dir)
	for i := range s.keys {
		got, err := store.Client.Get(t.Context(), fmt.Sprintf("/key%d", i))
		if err != nil || len(got.Kvs) != 1 {
			t.Fatalf("key %d: %v, %v", i, got, err)
		}
	}
	if _, err := store.Client.Put(t.Context(), "/another", ""); err != nil {
		t.Error(err)
	}
	if err := store.Close(); err != nil {
		t.Error(err)
	}
}

// expectDamaged expects an error on one line that says what is damaged and how to
// restore it.
func expectDamaged(t *testing.T, dir string, what ...string) {
	t.Helper()
	store, err := StartEmbedded(t.Context(), dir)
	if err == nil {
		store.Close()
		t.Error("it starts")
		return
	}
	restore := fmt.Sprintf(`the store is damaged: move %s/etcd aside and restore a backup with "portolan restore FILE --data-dir=%[1]s"`, dir)
	for _, text := range append(what, restore) {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("got %v, want %q", err, text)
		}
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("more than a line: %v", err)
	}
}

// TestDamagedDirectory damages a data directory in each way that inspect distinguishes.
func TestDamagedDirectory(t *testing.T) {
	s := newSound(t)
	first, middle, last := s.logs[0], s.logs[len(s.logs)/2], s.logs[len(s.logs)-1]
	const log, database = "etcd/member/wal", "etcd/member/snap/db"
	for _, test := range []struct {
		name   string
		damage func(t *testing.T, dir string)
		what   []string
	}{
		{"log truncated in its first file", cut(first, 50), []string{log, "lost its end"}},
		{"log truncated in the middle", cut(middle, 50), []string{log}},
		{"log truncated at its end", cut(last, 1), []string{log, "lost its end"}},
		{"first file of the log emptied", cut(first, 0), []string{log}},
		{"a file of the log emptied", cut(middle, 0), []string{log, "crc mismatch"}},
		{"last file of the log emptied", cut(last, 0), []string{log, "lost its end"}},
		{"first file of the log missing", remove(first), []string{log, "file not found"}},
		{"a file of the log missing", remove(middle), []string{log, "crc mismatch"}},
		{"last file of the log missing", remove(last), []string{log, "lost its end"}},
		{"log missing", remove(logDir), []string{log, "is missing"}},
		{"garbage in the log", garble(middle, 3000, 500), []string{log, "crc mismatch"}},
		{"garbage instead of the log", garble(last, 0, 100), []string{log}},
		{"database missing", remove(databaseFile), []string{database, "missing or empty"}},
		{"database emptied", cut(databaseFile, 0), []string{database, "missing or empty"}},
		{"database truncated", truncate(databaseFile, s.size/2), []string{database, "truncated"}},
		{"database truncated to less than a page", truncate(databaseFile, 100), []string{database}},
		{"garbage in the database", garble(databaseFile, 8192, s.size-8192), []string{database, "Page expected"}},
		{"garbage instead of the database", garble(databaseFile, 0, s.size), []string{database, "invalid database"}},
		{"folder of the database missing", remove(filepath.Dir(databaseFile)), []string{database, "missing or empty"}},
		{"a file in the place of the log", replace(logDir), []string{log, "not a directory"}},
		{"a file in the place of the store", replace("etcd"), []string{"etcd", "not a directory"}},
		{"garbage in the list of free pages", func(t *testing.T, dir string) {
			file := filepath.Join(dir, databaseFile)
			// bbolt's tools write the list of free pages into the database; etcd leaves
			// it there.
			db, err := bolt.Open(file, 0o600, nil)
			if err != nil {
				t.Fatal(err)
			}
			err = db.Update(func(tx *bolt.Tx) error { return tx.Bucket(schema.Meta.Name()).Put([]byte("x"), nil) })
			// The list includes the pages that this write freed.
			stats := db.Stats()
			if err := errors.Join(err, db.Close()); err != nil || stats.FreePageN+stats.PendingPageN == 0 {
				t.Fatal(stats, err)
			}
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for at := 2 * os.Getpagesize(); at < len(data); at += os.Getpagesize() {
				if data[at+8] == 0x10 { // the flag of such a page
					garble(databaseFile, int64(at), int64(os.Getpagesize()))(t, dir)
				}
			}
		}, []string{database, "freelist"}},
		{"not etcd's database", func(t *testing.T, dir string) {
			edit(t, filepath.Join(dir, databaseFile), func(tx *bolt.Tx) error { return tx.DeleteBucket(schema.Meta.Name()) })
		}, []string{database, "not etcd's"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := s.copy(t)
			test.damage(t, dir)
			expectDamaged(t, dir, test.what...)
			// The advised command works.
			if err := os.Rename(filepath.Join(dir, "etcd"), filepath.Join(dir, "etcd.damaged")); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestTornTail expects a store to start although a crash left the last record of
// the log half written. That record was never acknowledged.
func TestTornTail(t *testing.T) {
	s := newSound(t)
	last := s.logs[len(s.logs)-1]
	t.Run("undamaged", func(t *testing.T) { s.expectWhole(t, s.copy(t)) })
	t.Run("without the space allocated ahead", func(t *testing.T) {
		dir := s.copy(t)
		cut(last, 70)(t, dir)
		s.expectWhole(t, dir)
	})
	t.Run("a record that is half written", func(t *testing.T) {
		dir := s.copy(t)
		path := filepath.Join(dir, last)
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		end := len(bytes.TrimRight(data, "\x00"))
		end += (8 - end%8) % 8
		// The length field of a record that extends beyond the end of the file.
		torn := append(data[:end:end], 0, 4, 0, 0, 0, 0, 0, 0, 1, 2, 3)
		if err := os.WriteFile(path, torn, 0o600); err != nil {
			t.Fatal(err)
		}
		s.expectWhole(t, dir)
	})
}

var rounds = flag.Int("rounds", 40, "how many stores TestDamageAtRandom damages")

// TestDamageAtRandom overwrites a random part of the store. Either the part is
// unused, or the start fails with advice. Nothing crashes or hangs.
func TestDamageAtRandom(t *testing.T) {
	s := newSound(t)
	random := rand.New(rand.NewPCG(1, 2))
	failed := 0
	for round := range *rounds {
		dir := s.copy(t)
		file, size := databaseFile, s.size
		if round%4 == 0 {
			file, size = s.logs[random.IntN(len(s.logs))], wal.SegmentSizeBytes
		}
		at, n := random.Int64N(size), 1+random.Int64N(8192)
		garble(file, at, n)(t, dir)
		store, err := StartEmbedded(t.Context(), dir)
		if err != nil {
			failed++
			if !strings.Contains(err.Error(), "portolan restore") || strings.Contains(err.Error(), "\n") {
				t.Errorf("%d bytes at %d of %s: %v", n, at, file, err)
			}
			continue
		}
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	}
	t.Logf("%d of %d did not start", failed, *rounds)
}

// TestNewerEtcd starts a store that a later etcd wrote.
func TestNewerEtcd(t *testing.T) {
	dir := t.TempDir()
	if err := start(t, dir).Close(); err != nil {
		t.Fatal(err)
	}
	edit(t, filepath.Join(dir, databaseFile), func(tx *bolt.Tx) error {
		return tx.Bucket(schema.Meta.Name()).Put(schema.MetaStorageVersionName, []byte("3.8.0"))
	})
	_, err := StartEmbedded(t.Context(), dir)
	if err == nil || !strings.Contains(err.Error(), "was written by a later etcd: 3.8, and this is 3.7: run a later release of Portolan") {
		t.Errorf("got %v", err)
	}
}

// TestDataDirIsFile starts a store where --data-dir names a file.
func TestDataDirIsFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := StartEmbedded(t.Context(), file)
	if err == nil || err.Error() != file+" is a file, not a directory" {
		t.Errorf("got %v", err)
	}
}

// TestDatabaseInUse starts a store whose database another process has open. etcd
// would wait for it forever.
func TestDatabaseInUse(t *testing.T) {
	dir := t.TempDir()
	if err := start(t, dir).Close(); err != nil {
		t.Fatal(err)
	}
	db, err := bolt.Open(filepath.Join(dir, databaseFile), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := StartEmbedded(t.Context(), dir); err == nil ||
		!strings.Contains(err.Error(), "another process has it open: stop that one first") {
		t.Errorf("got %v", err)
	}
}

// TestLogInUse starts a store whose log another process has open. That is no damage.
func TestLogInUse(t *testing.T) {
	dir := t.TempDir()
	if err := start(t, dir).Close(); err != nil {
		t.Fatal(err)
	}
	logs, err := filepath.Glob(filepath.Join(dir, logDir, "*.wal"))
	if err != nil || len(logs) == 0 {
		t.Fatalf("%v, %v", logs, err)
	}
	held, err := fileutil.TryLockFile(logs[len(logs)-1], os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	if _, err := StartEmbedded(t.Context(), dir); err == nil ||
		!strings.Contains(err.Error(), "another process has it open: stop that one first") || strings.Contains(err.Error(), "restore") {
		t.Errorf("got %v", err)
	}
}

// TestStartError expects no advice to restore a backup for errors that aren't
// damage.
func TestStartError(t *testing.T) {
	for _, test := range []struct {
		err  error
		want string
	}{
		{context.Canceled, "context canceled"},
		{&fs.PathError{Op: "open", Path: "/d/etcd", Err: syscall.EACCES}, "must own all of /d/etcd"},
		{&fs.PathError{Op: "open", Path: "/d/etcd", Err: syscall.EROFS}, "be able to write there"},
		{errors.New("cannot access data directory: no space left on device"), "free space on the file system of /d/etcd and start again"},
	} {
		got := startError(test.err, "/d/etcd").Error()
		if !strings.Contains(got, test.want) || strings.Contains(got, "restore") {
			t.Errorf("%v: got %s", test.err, got)
		}
	}
}

func cut(file string, percent int64) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		t.Helper()
		info, err := os.Stat(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		truncate(file, info.Size()*percent/100)(t, dir)
	}
}

func truncate(file string, size int64) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		t.Helper()
		if err := os.Truncate(filepath.Join(dir, file), size); err != nil {
			t.Fatal(err)
		}
	}
}

func remove(path string) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		t.Helper()
		if err := os.RemoveAll(filepath.Join(dir, path)); err != nil {
			t.Fatal(err)
		}
	}
}

// replace replaces a folder with a file.
func replace(path string) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		t.Helper()
		remove(path)(t, dir)
		if err := os.WriteFile(filepath.Join(dir, path), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// garble overwrites n bytes of a file.
func garble(file string, at, n int64) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		t.Helper()
		opened, err := os.OpenFile(filepath.Join(dir, file), os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		garbage := make([]byte, n)
		for i := range garbage {
			garbage[i] = byte(i*7 + 13)
		}
		_, err = opened.WriteAt(garbage, at)
		if err := errors.Join(err, opened.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

func edit(t *testing.T, file string, change func(*bolt.Tx) error) {
	t.Helper()
	db, err := bolt.Open(file, 0o600, &bolt.Options{NoFreelistSync: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.Update(change), db.Close()); err != nil {
		t.Fatal(err)
	}
}
