//go:build linux && e2e

package failover

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/portolan-dev/portolan/test/framework"
)

const (
	askTimeout = 2 * time.Second
	members    = 3
)

// store is an etcd of three members.
type store struct {
	dir       string
	binary    string
	network   *network
	processes *processes
	members   []*member
	// client connects to the members directly, not through the network.
	client *clientv3.Client
}

// member is a member of etcd. Others connect to it through the network.
type member struct {
	*process
	store *store
	name  string
	id    uint64
	// peer and client are its addresses, which only proxies and the test use.
	peer, client string
	// public is its address for the other members.
	public *proxy
	flags  []string
}

// startStore runs three members. The last one does not sync its disk.
func startStore(t testing.TB, n *network, ps *processes, binary string) *store {
	t.Helper()
	s := &store{dir: t.TempDir(), binary: binary, network: n, processes: ps}
	var peers, endpoints []string
	for i := range members {
		m := &member{
			store: s, name: fmt.Sprintf("etcd-%d", i), peer: "127.0.0.1:" + framework.FreePort(t), client: "127.0.0.1:" + framework.FreePort(t),
		}
		m.public = n.listen(t, "", m.name, m.peer)
		if i == members-1 {
			m.flags = append(m.flags, "--unsafe-no-fsync")
		}
		s.members = append(s.members, m)
		peers = append(peers, m.name+"=http://"+m.public.address)
		endpoints = append(endpoints, m.client)
	}
	for _, m := range s.members {
		m.start(t, "--initial-cluster="+strings.Join(peers, ","), "--initial-cluster-state=new")
	}
	s.client = framework.ConnectEtcd(t, endpoints...)
	s.awaitHealthy(t)
	return s
}

// start runs a member on its data. A member without data needs flags to find
// the others.
func (m *member) start(t testing.TB, flags ...string) {
	t.Helper()
	args := []string{
		"--name=" + m.name, "--data-dir=" + m.dataDir(),
		"--listen-peer-urls=http://" + m.peer, "--initial-advertise-peer-urls=http://" + m.public.address,
		"--listen-client-urls=http://" + m.client, "--advertise-client-urls=http://" + m.client,
		"--log-level=warn",
	}
	args = append(append(args, m.flags...), flags...)
	m.process = m.store.processes.launch(t, m.name, m.store.dir, exec.Command(m.store.binary, args...))
}

func (m *member) dataDir() string { return filepath.Join(m.store.dir, m.name) }

// awaitHealthy returns when each member takes part in the quorum.
func (s *store) awaitHealthy(t testing.TB) {
	t.Helper()
	await(t, "etcd is healthy", func(ctx context.Context) error {
		listed, err := s.client.MemberList(ctx)
		if err != nil {
			return err
		}
		for _, m := range listed.Members {
			for _, mine := range s.members {
				if mine.name == m.Name {
					mine.id = m.ID
					s.network.introduce(fmt.Sprintf("%x", m.ID), m.Name)
				}
			}
		}
		for _, m := range s.members {
			if err := m.answers(ctx); err != nil {
				return fmt.Errorf("%s: %w", m.name, err)
			}
		}
		return nil
	})
}

// answers checks that a member answers a request that needs a quorum.
func (m *member) answers(ctx context.Context) error {
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{m.client}, Logger: zap.NewNop()})
	if err != nil {
		return err
	}
	defer client.Close()
	_, err = client.Get(ctx, "health")
	return err
}

// leader returns the current leader.
func (s *store) leader(t testing.TB) *member {
	t.Helper()
	var leader *member
	await(t, "etcd has a leader", func(ctx context.Context) error {
		for _, m := range s.members {
			status, err := s.client.Status(ctx, m.client)
			if err != nil {
				return err
			}
			if status.Leader == m.id {
				leader = m
				return nil
			}
		}
		return errors.New("no member leads")
	})
	return leader
}

// awaitOtherLeader returns when the rest has another leader.
func (s *store) awaitOtherLeader(t testing.TB, former *member) {
	t.Helper()
	await(t, "another member leads", func(ctx context.Context) error {
		for _, m := range s.members {
			if m == former {
				continue
			}
			status, err := s.client.Status(ctx, m.client)
			if err != nil {
				return err
			}
			if status.Leader == 0 || status.Leader == former.id {
				return fmt.Errorf("to %s the leader is %x", m.name, status.Leader)
			}
		}
		return nil
	})
}

// follower returns a member that does not lead.
func (s *store) follower(t testing.TB) *member {
	t.Helper()
	leader := s.leader(t)
	for _, m := range s.members {
		if m != leader {
			return m
		}
	}
	return nil
}

// replace removes a member from the cluster with all its data, and adds it
// again without data.
func (s *store) replace(t testing.TB, m *member) {
	t.Helper()
	// The request may go to the member itself.
	await(t, "a member is removed", func(ctx context.Context) error {
		_, err := s.client.MemberRemove(ctx, m.id)
		if errors.Is(err, rpctypes.ErrMemberNotFound) {
			return nil
		}
		return err
	})
	m.kill(t)
	if err := os.RemoveAll(m.dataDir()); err != nil {
		t.Fatal(err)
	}
	// Right after the removal, etcd may reject another member because the rest
	// is not healthy enough.
	await(t, "a member is added", func(ctx context.Context) error {
		_, err := s.client.MemberAdd(ctx, []string{"http://" + m.public.address})
		return err
	})
	var peers []string
	for _, other := range s.members {
		peers = append(peers, other.name+"=http://"+other.public.address)
	}
	m.start(t, "--initial-cluster="+strings.Join(peers, ","), "--initial-cluster-state=existing")
}

// await waits until a function returns no error. Each call has its own timeout. A
// failure shows an error that says more than that the last call timed out.
func await(t testing.TB, what string, check func(context.Context) error) {
	t.Helper()
	var last error
	err := framework.Poll(t.Context(), func(ctx context.Context) (bool, error) {
		ctx, cancel := context.WithTimeout(ctx, askTimeout)
		defer cancel()
		err := check(ctx)
		if last == nil || !errors.Is(err, context.DeadlineExceeded) {
			last = err
		}
		return err == nil, last
	})
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}
