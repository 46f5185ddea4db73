// Package kill injects faults into servers under load, and proves that no
// acknowledged write is lost.
//
// Clients keep a journal of what each is about to send, and of the answers.
// After each fault the journal is replayed against the store, with no server on
// it, and against what the restarted server shows. Acknowledged objects must be
// there as acknowledged, with their resource versions, addresses and ports,
// unless a later write changed them. A write without an answer must be there
// completely, a Service with all its claims, or not at all. No value has two
// holders, and nothing exists that no client wrote.
//
// Besides SIGKILL the faults are: a disk that is slow to sync, and one that
// fails to; copies of a data directory made while a server was writing, and
// ones whose log has lost its end; connections that are reset during a request,
// and requests that are canceled at any time.
//
// The environment can change a run:
//
//	PORTOLAN_KILLS         how many kills TestKillEmbedded makes, 100 by default
//	PORTOLAN_TEST_SEED     the seed of what clients write and when servers are killed
//	PORTOLAN_TEST_PROGRAM  the portolan that is run, by default the test binary
package kill

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/dynamic"

	"github.com/portolan-dev/portolan/test/framework"
)

const (
	killsVariable = "PORTOLAN_KILLS"
	// killsPerStore yields some old stores and many new ones.
	killsPerStore = 25

	// maxLife is the longest time under load before a server is killed, and
	// maxStart the longest time before one is killed that still starts.
	maxLife  = 400 * time.Millisecond
	maxStart = 700 * time.Millisecond
	// maxAnswers is the highest count of acknowledgements before a server is
	// killed right after one.
	maxAnswers = 100
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(defragmentDir); dir != "" {
		fmt.Fprintln(os.Stderr, defragment(dir))
		os.Exit(1)
	}
	framework.Main(m)
}

// moment is when a server is killed.
type moment string

const (
	starting   moment = "while it started"
	underLoad  moment = "at some time under load"
	answering  moment = "right after an acknowledgement"
	compacting moment = "while it compacted its history again and again"
	// defragmenting is the moment of a process that only defragments.
	defragmenting moment = "while it defragmented"
)

// moments has frequent moments more than once.
var moments = []moment{starting, underLoad, underLoad, answering, answering, compacting, defragmenting}

// kills counts the kills of all stores of a test. It is safe for concurrent
// use.
type kills struct {
	total int
	began time.Time

	mu   sync.Mutex
	done map[moment]int
}

// add counts a kill, and logs the progress now and then.
func (k *kills) add(t *testing.T, m moment) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.done[m]++
	done := 0
	for _, n := range k.done {
		done += n
	}
	if done%max(1, min(k.total/10, 100)) == 0 {
		took := time.Since(k.began)
		left := took / time.Duration(done) * time.Duration(k.total-done)
		t.Logf("%d kills of %d after %v, %v to go: %v", done, k.total, took.Round(time.Second), left.Round(time.Second), k.done)
	}
}

// TestKillEmbedded kills servers with an embedded etcd. It checks the store
// while nothing runs on it, and then through the next server.
func TestKillEmbedded(t *testing.T) {
	t.Parallel()
	k := &kills{total: number(t, killsVariable, 100), began: time.Now(), done: map[moment]int{}}
	if testing.Short() {
		k.total = 6
	}
	seed := framework.Seed(t)
	for i := range (k.total + killsPerStore - 1) / killsPerStore {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			killEmbedded(t, newStore(t, seed, i), min(killsPerStore, k.total-i*killsPerStore), k)
		})
	}
}

func killEmbedded(t *testing.T, s *store, n int, k *kills) {
	for range n {
		m := pick(s.random, moments...)
		if s.journal.writes == 0 && m == defragmenting {
			// An empty store cannot be defragmented.
			m = starting
		}
		if m == defragmenting {
			s.killDefragmenting(t)
		} else {
			s.killServer(t, m)
		}
		s.checkStored(t)
		if t.Failed() {
			t.Fatalf("after a kill %s", m)
		}
		k.add(t, m)
	}
	// All objects can be deleted, and then everything is free.
	server := s.serve(t)
	server.WaitReady(t)
	connection := connect(t, server)
	s.checkShown(t, connection)
	expectAllFree(t, connection)
	t.Log(s.summary())
}

// killServer starts a server, and kills it at the given moment.
func (s *store) killServer(t *testing.T, m moment) {
	t.Helper()
	var flags []string
	if m == compacting {
		flags = []string{"--etcd-compaction-interval=20ms"}
	}
	server := s.serve(t, flags...)
	if m == starting {
		time.Sleep(time.Duration(s.random.Int64N(int64(maxStart))))
	} else {
		server.WaitReady(t)
		connection := connect(t, server)
		s.checkShown(t, connection)
		s.writeAndKill(t, []dynamic.Interface{connection}, server, m)
	}
	server.Kill(t)
}

// writeAndKill lets all clients write, and kills a server at the given moment.
func (s *store) writeAndKill(t *testing.T, servers []dynamic.Interface, victim *framework.Process, m moment) {
	t.Helper()
	l := &life{servers: servers}
	killed := make(chan struct{})
	kill := sync.OnceFunc(func() {
		l.ended.Store(true)
		victim.Kill(t)
		close(killed)
	})
	if m == answering {
		last := 1 + s.random.Int64N(maxAnswers)
		l.acknowledged = func(n int64) {
			if n == last {
				kill()
			}
		}
		s.write(l, func() { <-killed })
		return
	}
	s.write(l, func() {
		time.Sleep(time.Duration(s.random.Int64N(int64(maxLife))))
		kill()
	})
}

// TestKillReplica kills one of two replicas on one etcd while both are written
// to.
func TestKillReplica(t *testing.T) {
	t.Parallel()
	n := 12
	if testing.Short() {
		n = 4
	}
	shared := framework.StartEtcd(t)
	s := newStore(t, framework.Seed(t), 0)
	ports := []string{s.port, framework.FreePort(t)}
	dirs := []string{t.TempDir(), t.TempDir()}
	replicas, connections := make([]*framework.Process, len(ports)), make([]dynamic.Interface, len(ports))
	start := func(i int) {
		replicas[i] = framework.Serve(t, dirs[i], ports[i], append(slices.Clone(ranges), "--etcd-servers="+shared.URL)...)
		replicas[i].WaitReady(t)
		connections[i] = connect(t, replicas[i])
	}
	for i := range replicas {
		start(i)
	}
	for range n {
		victim := s.random.IntN(len(replicas))
		s.writeAndKill(t, connections, replicas[victim], pick(s.random, underLoad, answering))
		for _, problem := range s.problems(t, shared.Client) {
			t.Error(problem)
		}
		if t.Failed() {
			t.FailNow()
		}
		start(victim)
		// By now etcd has carried out the last writes of the killed replica.
		s.checkShown(t, connections[victim])
	}
	t.Logf("%d kills; %s", n, s.summary())
	expectAllFree(t, connections[0])
	framework.Verify(t, shared.Client)
}

func pick[T any](random *rand.Rand, from ...T) T { return from[random.IntN(len(from))] }

// number returns a number of the environment, or a default.
func number(t *testing.T, variable string, otherwise int) int {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", variable, err)
	}
	return n
}
