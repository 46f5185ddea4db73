package kill

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"

	"github.com/portolan-dev/portolan/pkg/etcd"
	"github.com/portolan-dev/portolan/test/framework"
)

// maxTorn is how many bytes at most are missing at the end of the log.
const maxTorn = 100_000

// TestCopies starts servers on directories that no server has left: copies made
// file by file while a server was writing, and ones whose log has lost its end.
// Each server starts, is consistent and keeps its writes from then on, or
// rejects the directory with a message.
func TestCopies(t *testing.T) {
	t.Parallel()
	n := 6
	if testing.Short() {
		n = 2
	}
	seed := framework.Seed(t)
	for i := range n {
		torn := i%2 == 1
		name := "while it ran"
		if torn {
			name = "without the end of its log"
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tryCopy(t, newStore(t, seed, 2*i), newStore(t, seed, 2*i+1), torn)
		})
	}
}

// tryCopy copies a store to which clients write.
func tryCopy(t *testing.T, from, to *store, torn bool) {
	server := from.serve(t)
	server.WaitReady(t)
	l := &life{servers: []dynamic.Interface{connect(t, server)}}
	from.write(l, func() {
		time.Sleep(maxLife + time.Duration(from.random.Int64N(int64(maxLife))))
		if !torn {
			copyDir(t, from.dir(), to.dir())
		}
	})
	server.Kill(t)
	if torn {
		copyDir(t, from.dir(), to.dir())
		tearLog(t, filepath.Join(to.dir(), "etcd", "member", "wal"), 1+from.random.IntN(maxTorn))
	}

	server = to.serve(t)
	select {
	case <-server.Ready():
	case <-server.Exited():
		server.AwaitEnd(t)
		said := lastLines(server.Output())
		t.Logf("the copy is rejected:\n%s", said)
		if strings.Contains(server.Output(), "goroutine ") || said == "" {
			t.Error("the server ends without a sentence")
		}
		return
	}
	connection := connect(t, server)
	from.journal.replay(t)
	t.Logf("the copy starts: %d objects of %d are as they were acknowledged last", unchanged(t, from, connection), len(from.journal.records))
	server.Kill(t)
	expectConsistent(t, to)

	// From now on writes must be durable.
	server = to.serve(t)
	server.WaitReady(t)
	connection = connect(t, server)
	for _, kind := range kinds() {
		resource := connection.Resource(kind.groups[0].WithResource(kind.resource)).Namespace(namespace)
		if err := resource.DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	to.writeAndKill(t, []dynamic.Interface{connection}, server, answering)
	to.checkStored(t)
	server = to.serve(t)
	server.WaitReady(t)
	to.checkShown(t, connect(t, server))
}

// copyDir copies a directory. Files that disappear meanwhile are missing.
func copyDir(t *testing.T, from, to string) {
	t.Helper()
	if said, err := exec.CommandContext(t.Context(), "cp", "-r", from+"/.", to).CombinedOutput(); err != nil {
		t.Logf("cp: %v %s", err, said)
	}
}

// unchanged counts the objects that a server shows as acknowledged.
func unchanged(t *testing.T, s *store, connection dynamic.Interface) (n int) {
	t.Helper()
	found := shown(t, connection)
	for _, k := range s.journal.keys() {
		var object map[string]any
		if found[k] != nil {
			object = found[k].Object
		}
		if s.journal.records[k].checkObject(object) == "" {
			n++
		}
	}
	return n
}

func expectConsistent(t *testing.T, s *store) {
	t.Helper()
	opened, err := etcd.StartEmbedded(t.Context(), s.dir())
	if err != nil {
		t.Fatal(err)
	}
	framework.Verify(t, opened.Client)
	closeStore(t, opened)
}

// tearLog clears the last written bytes of a log, which is a file with zeros at
// its end.
func tearLog(t *testing.T, dir string, n int) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.wal"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s has no log, error %v", dir, err)
	}
	last := slices.Max(files)
	content, err := os.ReadFile(last)
	if err != nil {
		t.Fatal(err)
	}
	written := len(bytes.TrimRight(content, "\x00"))
	left := max(0, written-n)
	t.Logf("the log has %d bytes of %d left", left, written)
	clear(content[left:])
	if err := os.WriteFile(last, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func lastLines(text string) string {
	const lines = 12
	all := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
