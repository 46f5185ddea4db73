// Package kill kills servers with SIGKILL while they are written to at full
// rate, and proves after each kill that the store is consistent and that what
// clients were told is so.
package kill

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/generated/clientset/versioned"
	"github.com/portolan-dev/portolan/pkg/etcd"
	"github.com/portolan-dev/portolan/test/harness"
)

// ranges are those of every server here. The lowest 128 ports are the static
// band, which automatic picks leave alone: each client asks for its own of them.
var ranges = []string{"--service-cluster-ip-range=10.96.0.0/16,fd00:10:96::/112", "--service-node-port-range=20000-24095"}

const firstStaticPort = 20000

// maxLife is the longest a server is written to before it is killed, and
// maxStart the longest that one which is killed while it starts is left alone.
const (
	maxLife  = 500 * time.Millisecond
	maxStart = 500 * time.Millisecond
)

func TestMain(m *testing.M) { harness.Main(m) }

// TestKillEmbedded kills servers with an etcd of their own. The store is
// looked at while nothing runs on it.
func TestKillEmbedded(t *testing.T) {
	t.Parallel()
	stores, kills := 4, 13
	if testing.Short() {
		stores, kills = 2, 3
	}
	seed := harness.Seed(t)
	for store := range stores {
		t.Run(fmt.Sprint(store), func(t *testing.T) {
			t.Parallel()
			killEmbedded(t, seed+uint64(store), kills)
		})
	}
}

func killEmbedded(t *testing.T, seed uint64, kills int) {
	dir := t.TempDir()
	clients := newClients(t, seed)
	random := harness.Random(seed, maxClients)
	killsAtStart := 0
	for n := 0; n < kills; n++ {
		server := harness.Spawn(t, dir, ranges...)
		if n > 0 && random.IntN(8) == 0 {
			time.Sleep(time.Duration(random.Int64N(int64(maxStart))))
			killsAtStart++
		} else {
			server.WaitReady(t)
			client := server.Client(t)
			found := list(t, client)
			compare(t, clients, found)
			settle(clients, found)
			writeAndKill(t, clients, []versioned.Interface{client}, server, random)
		}
		server.Kill(t)

		store, err := etcd.StartEmbedded(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		harness.Verify(t, store.Client)
		compare(t, clients, harness.Read(t, store.Client).Services)
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
		if t.Failed() {
			t.Fatalf("after kill %d of %d", n+1, kills)
		}
	}
	t.Logf("%d kills, %d of them while starting; %d writes", kills, killsAtStart, writes(clients))

	// What survived can be deleted, and then everything is free.
	server := harness.Spawn(t, dir, ranges...)
	server.WaitReady(t)
	expectAllFree(t, server.Client(t))
}

// TestKillReplica kills one of two replicas on one etcd while both are written
// to.
func TestKillReplica(t *testing.T) {
	t.Parallel()
	kills := 12
	if testing.Short() {
		kills = 4
	}
	seed := harness.Seed(t)
	store := harness.StartEtcd(t)
	clients := newClients(t, seed)
	random := harness.Random(seed, maxClients)
	spawn := func(dir string) *harness.Process {
		return harness.Spawn(t, dir, append(slices.Clone(ranges), "--etcd-servers="+store.URL)...)
	}
	replicas := []*harness.Process{spawn(t.TempDir()), spawn(t.TempDir())}
	connections := make([]versioned.Interface, len(replicas))
	for i, replica := range replicas {
		replica.WaitReady(t)
		connections[i] = replica.Client(t)
	}
	for n := range kills {
		victim := random.IntN(len(replicas))
		writeAndKill(t, clients, connections, replicas[victim], random)
		harness.Verify(t, store.Client)
		compare(t, clients, harness.Read(t, store.Client).Services)
		if t.Failed() {
			t.Fatalf("after kill %d of %d", n+1, kills)
		}

		replicas[victim] = spawn(replicas[victim].DataDir)
		replicas[victim].WaitReady(t)
		connections[victim] = replicas[victim].Client(t)
		// By now etcd has done what it still had from the one that was killed.
		found := list(t, connections[victim])
		compare(t, clients, found)
		settle(clients, found)
	}
	t.Logf("%d kills; %d writes", kills, writes(clients))
	expectAllFree(t, connections[0])
	harness.Verify(t, store.Client)
}

func newClients(t *testing.T, seed uint64) []*client {
	clients := make([]*client, maxClients)
	for id := range clients {
		clients[id] = newClient(t, id, harness.Random(seed, id))
	}
	return clients
}

// writeAndKill lets all clients write for a random while, kills the server in
// the middle of it, and returns when every client has its answer or none.
func writeAndKill(t *testing.T, clients []*client, servers []versioned.Interface, victim *harness.Process, random *rand.Rand) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	var killed atomic.Bool
	var running sync.WaitGroup
	for _, c := range clients {
		running.Go(func() { c.run(ctx, servers, &killed) })
	}
	time.Sleep(time.Duration(random.Int64N(int64(maxLife))))
	killed.Store(true)
	victim.Kill(t)
	stop()
	running.Wait()
}

func list(t *testing.T, client versioned.Interface) []v1.Service {
	t.Helper()
	found, err := client.PortolanV1().Services(namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return found.Items
}

func expectAllFree(t *testing.T, client versioned.Interface) {
	t.Helper()
	api := client.PortolanV1()
	if err := api.Services(namespace).DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
		t.Error(err)
	}
	addresses, err := api.IPAddresses().List(t.Context(), metav1.ListOptions{})
	if err != nil || len(addresses.Items) > 0 {
		t.Errorf("with no Service there are %d addresses, error %v", len(addresses.Items), err)
	}
	ports, err := api.NodePorts().List(t.Context(), metav1.ListOptions{})
	if err != nil || len(ports.Items) > 0 {
		t.Errorf("with no Service there are %d ports, error %v", len(ports.Items), err)
	}
}

func writes(clients []*client) int {
	sum := 0
	for _, c := range clients {
		sum += c.ops
	}
	return sum
}
