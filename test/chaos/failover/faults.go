//go:build linux && e2e

package failover

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/apimachinery/pkg/util/wait"
)

// part is what a fault breaks. All faults of a part have the same answers:
// which one a client gets depends on timing.
type part string

const (
	nothing  part = "nothing"
	aReplica part = "a replica"
	etcd     part = "etcd"
)

// fault breaks something, and returns a function that repairs it.
type fault struct {
	breaks part
	name   string
	do     func(t testing.TB, c *cluster) (heal func())
}

func replicaName(i int) string { return fmt.Sprintf("replica-%d", i) }

// faults lists all faults in the order of a run. Faults of a follower and of
// the leader of etcd differ.
var faults = []fault{
	{nothing, "nothing", func(testing.TB, *cluster) func() { return func() {} }},
	{aReplica, "a replica is killed", func(t testing.TB, c *cluster) func() {
		c.replicas[0].kill(t)
		return func() { c.replicas[0].start(t) }
	}},
	{aReplica, "a replica is paused", func(t testing.TB, c *cluster) func() {
		c.replicas[1].pause(t)
		return func() { c.replicas[1].resume(t) }
	}},
	{etcd, "a follower is killed", func(t testing.TB, c *cluster) func() { return kill(t, c.store.follower(t)) }},
	{etcd, "the leader is killed", func(t testing.TB, c *cluster) func() { return kill(t, c.store.leader(t)) }},
	{etcd, "a follower is paused", func(t testing.TB, c *cluster) func() { return pause(t, c.store.follower(t)) }},
	{etcd, "the leader is paused", func(t testing.TB, c *cluster) func() { return pause(t, c.store.leader(t)) }},
	{etcd, "a follower is cut off", func(t testing.TB, c *cluster) func() { return c.isolate(c.store.follower(t), passage{hole: true}) }},
	{etcd, "the leader is cut off", func(t testing.TB, c *cluster) func() {
		leader := c.store.leader(t)
		heal := c.isolate(leader, passage{hole: true})
		c.store.awaitOtherLeader(t, leader)
		return heal
	}},
	{etcd, "the leader is cut off from members only", func(t testing.TB, c *cluster) func() {
		leader := c.store.leader(t)
		heal := c.separate(leader.name, c.others(leader), passage{hole: true})
		c.store.awaitOtherLeader(t, leader)
		return heal
	}},
	{etcd, "a member refuses connections",
		func(t testing.TB, c *cluster) func() { return c.isolate(c.store.leader(t), passage{refuse: true}) }},
	{etcd, "the leader is far away", func(t testing.TB, c *cluster) func() {
		return c.isolate(c.store.leader(t), passage{delay: 50 * time.Millisecond})
	}},
	{etcd, "the leader stops again and again", func(t testing.TB, c *cluster) func() { return stutter(t, c.store.leader(t)) }},
	{etcd, "a replica is cut off from etcd", cutReplica},
	{etcd, "the member without fsync is killed", func(t testing.TB, c *cluster) func() { return kill(t, c.store.members[members-1]) }},
	{etcd, "the quorum is lost", loseQuorum},
	{etcd, "all members are killed", killAllMembers},
	{nothing, "replicas are rolled", rollReplicas},
	{etcd, "members are rolled", rollMembers},
	{nothing, "members are defragmented", defragment},
	{aReplica, "history is compacted while replicas are paused", compactUnderPaused},
	{etcd, "history is compacted while replicas are cut off", func(t testing.TB, c *cluster) func() {
		c.forgetHistory(t)
		return func() {}
	}},
	{etcd, "a member loses its data and is replaced", func(t testing.TB, c *cluster) func() {
		c.store.replace(t, c.store.leader(t))
		return func() {}
	}},
}

func kill(t testing.TB, m *member) (heal func()) {
	m.kill(t)
	return func() { m.start(t) }
}

func pause(t testing.TB, m *member) (heal func()) {
	m.pause(t)
	return func() { m.resume(t) }
}

func killAllMembers(t testing.TB, c *cluster) (heal func()) {
	for _, m := range c.store.members {
		m.kill(t)
	}
	return func() {
		for _, m := range c.store.members {
			m.start(t)
		}
	}
}

func rollReplicas(t testing.TB, c *cluster) (heal func()) {
	for _, r := range c.replicas {
		r.stop(t)
		if r.err != nil {
			t.Errorf("%s ended with: %v", r.name, r.err)
		}
		r.start(t)
		r.awaitReady(t)
	}
	return func() {}
}

func rollMembers(t testing.TB, c *cluster) (heal func()) {
	for _, m := range c.store.members {
		m.stop(t)
		m.start(t)
		c.store.awaitHealthy(t)
	}
	return func() {}
}

func defragment(t testing.TB, c *cluster) (heal func()) {
	for _, m := range c.store.members {
		if _, err := c.store.client.Defragment(context.Background(), m.client); err != nil {
			t.Error(err)
		}
	}
	return func() {}
}

func compactUnderPaused(t testing.TB, c *cluster) (heal func()) {
	paused := c.replicas[:len(c.replicas)-1]
	for _, r := range paused {
		r.pause(t)
	}
	return func() {
		c.store.compact(t)
		for _, r := range paused {
			r.resume(t)
		}
	}
}

// stutter stops a member for a moment again and again, like a member whose disk
// is slow to sync.
func stutter(t testing.TB, m *member) (heal func()) {
	const stop, step = 300 * time.Millisecond, 200 * time.Millisecond
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		wait.UntilWithContext(ctx, func(ctx context.Context) {
			m.pause(t)
			last(ctx, stop)
			m.resume(t)
		}, step)
	})
	return func() {
		cancel()
		running.Wait()
	}
}

// separate changes the connections between one node and others.
func (c *cluster) separate(node string, others []string, p passage) (heal func()) {
	set := func(p passage) {
		for _, other := range others {
			c.network.between(node, other, p)
			c.network.between(other, node, p)
		}
	}
	set(p)
	return func() { set(passage{}) }
}

// others returns the names of the other members.
func (c *cluster) others(m *member) (names []string) {
	for _, other := range c.store.members {
		if other != m {
			names = append(names, other.name)
		}
	}
	return names
}

func (c *cluster) memberNames() (names []string) {
	for _, m := range c.store.members {
		names = append(names, m.name)
	}
	return names
}

// isolate changes the connections between a member and all other nodes.
func (c *cluster) isolate(m *member, p passage) (heal func()) {
	others := c.others(m)
	for _, r := range c.replicas {
		others = append(others, r.name)
	}
	return c.separate(m.name, others, p)
}

// cutReplica cuts a replica off from etcd. It must turn unready and stay alive.
func cutReplica(t testing.TB, c *cluster) (heal func()) {
	r := c.replicas[0]
	heal = c.separate(r.name, c.memberNames(), passage{hole: true})
	r.awaitNotReady(t)
	await(t, r.name+" is alive", func(ctx context.Context) error { return r.get(ctx, "/livez?exclude=etcd") })
	return heal
}

// loseQuorum kills two of three members.
func loseQuorum(t testing.TB, c *cluster) (heal func()) {
	killed := c.store.members[:members/2+1]
	for _, m := range killed {
		m.kill(t)
	}
	return func() {
		for _, m := range killed {
			m.start(t)
		}
	}
}

// forgetHistory makes the watch caches of all replicas list again: while they
// are cut off from etcd, the events that they need next are compacted.
func (c *cluster) forgetHistory(t testing.TB) {
	t.Helper()
	var heals []func()
	for _, r := range c.replicas {
		heals = append(heals, c.separate(r.name, c.memberNames(), passage{refuse: true}))
	}
	for _, r := range c.replicas {
		r.awaitNotReady(t)
	}
	c.store.compact(t)
	for _, heal := range heals {
		heal()
	}
}

// compact compacts the history of the store up to a revision that no client has
// seen, and the one before, which is the first that a watch then requests.
func (s *store) compact(t testing.TB) {
	t.Helper()
	await(t, "history is compacted", func(ctx context.Context) error {
		if _, err := s.client.Put(ctx, "compacted", ""); err != nil {
			return err
		}
		now, err := s.client.Put(ctx, "compacted", "")
		if err != nil {
			return err
		}
		_, err = s.client.Compact(ctx, now.Header.Revision, clientv3.WithCompactPhysical())
		return err
	})
}
