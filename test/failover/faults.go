//go:build linux && e2e

package failover

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// fault breaks something, and returns what heals it.
type fault struct {
	name string
	// answers are what clients may get besides the usual.
	answers []string
	do      func(t testing.TB, c *cluster) (heal func())
}

func replicaName(i int) string { return fmt.Sprintf("replica-%d", i) }

// faults are all of them, in the order of a run. A follower and the leader of
// etcd are another matter each.
var faults = []fault{
	{"nothing", nil, func(testing.TB, *cluster) func() { return func() {} }},
	{"a replica is killed", noReplica, func(t testing.TB, c *cluster) func() {
		c.replicas[0].kill(t)
		return func() { c.replicas[0].start(t) }
	}},
	{"a replica is paused", []string{clientsTimeout}, func(t testing.TB, c *cluster) func() {
		c.replicas[1].pause(t)
		return func() { c.replicas[1].resume(t) }
	}},
	{"a follower is killed", noEtcd, func(t testing.TB, c *cluster) func() { return kill(t, c.store.follower(t)) }},
	{"the leader is killed", noEtcd, func(t testing.TB, c *cluster) func() { return kill(t, c.store.leader(t)) }},
	{"a follower is paused", noEtcd, func(t testing.TB, c *cluster) func() { return pause(t, c.store.follower(t)) }},
	{"the leader is paused", noEtcd, func(t testing.TB, c *cluster) func() { return pause(t, c.store.leader(t)) }},
	{"a follower is cut off", noEtcd, func(t testing.TB, c *cluster) func() { return c.isolate(c.store.follower(t), passage{hole: true}) }},
	{"the leader is cut off", noEtcd, func(t testing.TB, c *cluster) func() {
		leader := c.store.leader(t)
		heal := c.isolate(leader, passage{hole: true})
		c.store.awaitOtherLeader(t, leader)
		return heal
	}},
	{"the leader is cut off from members only", noEtcd, func(t testing.TB, c *cluster) func() {
		leader := c.store.leader(t)
		heal := c.separate(leader.name, c.others(leader), passage{hole: true})
		c.store.awaitOtherLeader(t, leader)
		return heal
	}},
	{"a member refuses connections", noEtcd, func(t testing.TB, c *cluster) func() { return c.isolate(c.store.leader(t), passage{refuse: true}) }},
	{"the leader is far away", nil, func(t testing.TB, c *cluster) func() {
		return c.isolate(c.store.leader(t), passage{delay: 50 * time.Millisecond})
	}},
	{"a replica is cut off from etcd", []string{noEtcd[0], clientsTimeout}, cutReplica},
	{"the member without fsync is killed", noEtcd, func(t testing.TB, c *cluster) func() { return kill(t, c.store.members[members-1]) }},
	{"the quorum is lost", noEtcd, loseQuorum},
	{"all members are killed", noEtcd, func(t testing.TB, c *cluster) func() {
		for _, m := range c.store.members {
			m.kill(t)
		}
		return func() {
			for _, m := range c.store.members {
				m.start(t)
			}
		}
	}},
	{"replicas are rolled", nil, func(t testing.TB, c *cluster) func() {
		for _, r := range c.replicas {
			r.stop(t)
			if r.err != nil {
				t.Errorf("%s ended with: %v", r.name, r.err)
			}
			r.start(t)
			r.awaitReady(t)
		}
		return func() {}
	}},
	{"members are rolled", noEtcd, func(t testing.TB, c *cluster) func() {
		for _, m := range c.store.members {
			m.stop(t)
			m.start(t)
			c.store.awaitHealthy(t)
		}
		return func() {}
	}},
	{"members are defragmented", nil, func(t testing.TB, c *cluster) func() {
		for _, m := range c.store.members {
			if _, err := c.store.client.Defragment(context.Background(), m.client); err != nil {
				t.Error(err)
			}
		}
		return func() {}
	}},
	{"history is compacted while replicas are paused", []string{clientsTimeout}, func(t testing.TB, c *cluster) func() {
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
	}},
	{"history is compacted while replicas are cut off", noEtcd, func(t testing.TB, c *cluster) func() {
		c.forgetHistory(t)
		return func() {}
	}},
	{"a member loses its data and is replaced", noEtcd, func(t testing.TB, c *cluster) func() {
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

// separate changes what one node and others say to each other.
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

// others are the names of the other members.
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

// isolate changes what a member and everybody else say to each other.
func (c *cluster) isolate(m *member, p passage) (heal func()) {
	others := c.others(m)
	for _, r := range c.replicas {
		others = append(others, r.name)
	}
	return c.separate(m.name, others, p)
}

// cutReplica takes etcd away from a replica. That isn't ready any more, and is
// left running for it.
func cutReplica(t testing.TB, c *cluster) (heal func()) {
	r := c.replicas[0]
	heal = c.separate(r.name, c.memberNames(), passage{hole: true})
	await(t, r.name+" is not ready", func(ctx context.Context) error {
		if r.get(ctx, "/readyz") == nil {
			return errors.New("it is ready")
		}
		return nil
	})
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

// forgetHistory makes the watch caches of all replicas list again: what they have
// to hear next is not there any more.
func (c *cluster) forgetHistory(t testing.TB) {
	t.Helper()
	var heals []func()
	for _, r := range c.replicas {
		heals = append(heals, c.separate(r.name, c.memberNames(), passage{refuse: true}))
	}
	c.store.compact(t)
	for _, heal := range heals {
		heal()
	}
}

// compact drops the history of the store up to a revision that nobody has seen
// yet.
func (s *store) compact(t testing.TB) {
	t.Helper()
	await(t, "history is compacted", func(ctx context.Context) error {
		now, err := s.client.Put(ctx, "compacted", "")
		if err != nil {
			return err
		}
		_, err = s.client.Compact(ctx, now.Header.Revision, clientv3.WithCompactPhysical())
		return err
	})
}
