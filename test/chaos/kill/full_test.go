//go:build e2e && linux

package kill

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	"k8s.io/client-go/dynamic"

	"github.com/portolan-dev/portolan/test/framework"
)

// diskSize has room for an empty store, whose log is preallocated.
const diskSize = 256 << 20

// TestDiskFull fills the disk of a server under load, several times. The server
// exits with one line that says what failed, where, and what to do. After a
// restart with free space all acknowledged writes are there.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	s := newStore(t, framework.Seed(t), 0)
	mountDisk(t, s.dir())
	var acknowledged, unanswered int64
	for _, left := range []int64{1 << 20, 0} {
		server := s.serve(t)
		server.WaitReady(t)
		connection := connect(t, server)
		s.checkShown(t, connection)
		l := &life{servers: []dynamic.Interface{connection}, slow: true}
		var ballast string
		s.write(l, func() {
			awaitCount(t, l, 50)
			l.ended.Store(true)
			ballast = fill(t, s.dir(), left)
			server.AwaitEnd(t)
		})
		acknowledged, unanswered = acknowledged+l.count.Load(), unanswered+l.unanswered.Load()
		expectFull(t, s.dir(), server.Output())
		expectStartOnFull(t, s)
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
		s.checkStored(t)
		if t.Failed() {
			t.Fatalf("with %d bytes left", left)
		}
	}
	server := s.serve(t)
	server.WaitReady(t)
	connection := connect(t, server)
	s.checkShown(t, connection)
	expectAllFree(t, connection)
	t.Logf("the disk was full twice; %d writes acknowledged and found again, %d without an answer", acknowledged, unanswered)
}

// mountDisk mounts a small file system in memory.
func mountDisk(t *testing.T, dir string) {
	t.Helper()
	err := unix.Mount("portolan-test", dir, "tmpfs", 0, fmt.Sprintf("size=%d,mode=700", diskSize))
	if errors.Is(err, unix.EPERM) {
		t.Skip("only root may mount a small disk")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}

// fill fills a file system except for some space.
func fill(t *testing.T, dir string, left int64) (ballast string) {
	t.Helper()
	file, err := os.Create(filepath.Join(dir, "ballast"))
	if err != nil {
		t.Fatal(err)
	}
	var stat unix.Statfs_t
	if err := unix.Statfs(dir, &stat); err != nil {
		t.Fatal(err)
	}
	size := int64(stat.Bavail)*stat.Bsize - left
	// The server may use some meanwhile.
	for size > 0 && errors.Is(unix.Fallocate(int(file.Fd()), 0, 0, size), unix.ENOSPC) {
		size -= stat.Bsize
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	return file.Name()
}

// expectFull wants one line about the failure, and no goroutine dump.
func expectFull(t *testing.T, dir, output string) {
	t.Helper()
	var last []string
	for line := range strings.Lines(output) {
		if strings.Contains(line, "The embedded etcd failed") {
			last = append(last, line)
		}
	}
	if len(last) != 1 || strings.Contains(output, "goroutine ") {
		t.Fatalf("%d lines say why the server ended:\n%s", len(last), output)
	}
	for _, want := range []string{"no space left on device", "Free space on the file system of " + dir, "No acknowledged write is lost."} {
		if !strings.Contains(last[0], want) {
			t.Errorf("%q is not in %s", want, last[0])
		}
	}
	t.Log(last[0])
}

// expectStartOnFull starts a server on a full disk. It starts, or says why not.
func expectStartOnFull(t *testing.T, s *store) {
	t.Helper()
	server := s.serve(t)
	select {
	case <-server.Ready():
		server.Kill(t)
	case <-server.Exited():
		server.AwaitEnd(t)
		if output := server.Output(); !strings.Contains(strings.ToLower(output), "free space") || strings.Contains(output, "goroutine ") {
			t.Errorf("on a full disk the server ended with:\n%s", output)
		}
	}
}
