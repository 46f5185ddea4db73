package kill

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/etcd"
	"github.com/portolan-dev/portolan/test/framework"
)

// store is a data directory, the clients of its servers, and the journal of
// their writes.
type store struct {
	// root contains the data directory and the journal.
	root    string
	port    string
	journal *journal
	clients []*client
	random  *rand.Rand
}

// newStore creates an empty store, one of several of a seed. It is kept if the
// test fails.
func newStore(t *testing.T, seed uint64, index int) *store {
	t.Helper()
	root, err := os.MkdirTemp("", "portolan-kill-")
	if err != nil {
		t.Fatal(err)
	}
	own := seed + uint64(index)
	s := &store{root: root, port: framework.FreePort(t), random: framework.Random(own, maxClients)}
	if err := os.Mkdir(s.dir(), 0o700); err != nil {
		t.Fatal(err)
	}
	if s.journal, err = openJournal(filepath.Join(root, "journal")); err != nil {
		t.Fatal(err)
	}
	for id := range maxClients {
		s.clients = append(s.clients, newClient(t, id, framework.Random(own, id), s.journal))
	}
	t.Cleanup(func() {
		if err := s.journal.file.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("the data directory and the journal are kept in %s; to run this store again:\n"+
				"%s=%d go test ./test/chaos/kill -count=1 -v -run='^%s$'", root, framework.SeedVariable, seed, strings.ReplaceAll(t.Name(), "/", "$/^"))
			return
		}
		if err := os.RemoveAll(root); err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s *store) dir() string { return filepath.Join(s.root, "data") }

// serve starts a server on the store.
func (s *store) serve(t *testing.T, flags ...string) *framework.Process {
	t.Helper()
	return framework.Serve(t, s.dir(), s.port, append(slices.Clone(ranges), flags...)...)
}

// dial makes connections that are not reset.
var dial = (&net.Dialer{}).DialContext

// connect makes a client of a server that is ready.
func connect(t *testing.T, server *framework.Process) dynamic.Interface {
	t.Helper()
	return connectThrough(t, server, dial)
}

func connectThrough(t *testing.T, server *framework.Process, dial framework.Dialer) dynamic.Interface {
	t.Helper()
	connection, err := dynamic.NewForConfigAndClient(server.HTTP(t, dial))
	if err != nil {
		t.Fatal(err)
	}
	return connection
}

// write lets all clients write until a function returns, and returns when every
// client is done.
func (s *store) write(l *life, until func()) {
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for _, c := range s.clients {
		running.Go(func() { c.run(ctx, l) })
	}
	// The function may end the test.
	defer running.Wait()
	defer stop()
	until()
}

// checkStored replays the journal against a data directory that no server uses.
func (s *store) checkStored(t *testing.T) {
	t.Helper()
	for _, problem := range problemsOf(t, s, s.dir()) {
		t.Error(problem)
	}
}

// problemsOf compares a data directory with a store's journal.
func problemsOf(t *testing.T, s *store, dir string) []string {
	t.Helper()
	opened, err := etcd.StartEmbedded(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	problems := s.problems(t, opened.Client)
	closeStore(t, opened)
	return problems
}

// closeStore closes a store that the next process opens. A process that another
// test starts meanwhile would keep etcd's files open, and locked, until its exec.
func closeStore(t *testing.T, opened *etcd.Store) {
	t.Helper()
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err := opened.Close(); err != nil {
		t.Fatal(err)
	}
}

// problems replays the journal against an etcd.
func (s *store) problems(t *testing.T, client *clientv3.Client) []string {
	t.Helper()
	s.journal.replay(t)
	stored := map[key]int64{}
	for _, kind := range kinds() {
		prefix := path.Join("/registry", v1.GroupName, kind.resource, namespace) + "/"
		found, err := client.Get(t.Context(), prefix, clientv3.WithPrefix(), clientv3.WithKeysOnly())
		if err != nil {
			t.Fatal(err)
		}
		for _, kv := range found.Kvs {
			stored[key{kind.resource, strings.TrimPrefix(string(kv.Key), prefix)}] = kv.ModRevision
		}
	}
	return append(framework.Check(t, client).Violations, s.journal.checkRevisions(stored)...)
}

// checkShown replays the journal against what a server shows, and records the
// outcome of the writes in doubt.
func (s *store) checkShown(t *testing.T, connection dynamic.Interface) {
	t.Helper()
	s.journal.replay(t)
	found := shown(t, connection)
	for _, problem := range s.journal.checkObjects(found) {
		t.Error(problem)
	}
	s.journal.settle(t, found)
	for _, c := range s.clients {
		c.refresh()
	}
}

// shown returns all objects of the clients' kinds that a server shows.
func shown(t *testing.T, connection dynamic.Interface) map[key]*unstructured.Unstructured {
	t.Helper()
	shown := map[key]*unstructured.Unstructured{}
	for _, kind := range kinds() {
		found, err := connection.Resource(kind.groups[0].WithResource(kind.resource)).Namespace(namespace).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for i := range found.Items {
			shown[key{kind.resource, found.Items[i].GetName()}] = &found.Items[i]
		}
	}
	return shown
}

// expectAllFree deletes all Services and wants every claim to be gone.
func expectAllFree(t *testing.T, connection dynamic.Interface) {
	t.Helper()
	inGroup := func(resource string) dynamic.NamespaceableResourceInterface {
		return connection.Resource(v1.SchemeGroupVersion.WithResource(resource))
	}
	if err := inGroup("services").Namespace(namespace).DeleteCollection(t.Context(), metav1.DeleteOptions{},
		metav1.ListOptions{}); err != nil {
		t.Error(err)
	}
	for _, resource := range []string{"ipaddresses", "nodeports"} {
		left, err := inGroup(resource).List(t.Context(), metav1.ListOptions{})
		if err != nil || len(left.Items) > 0 {
			t.Errorf("with no Service there are %d %s, error %v", len(left.Items), resource, err)
		}
	}
}

func kinds() []*kind { return append([]*kind{&services}, others...) }

// summary describes what happened to a store.
func (s *store) summary() string { return fmt.Sprintf("%d writes", s.journal.writes) }
