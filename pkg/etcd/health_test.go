package etcd

import (
	"context"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/storage/etcd3/testserver"
	"k8s.io/apiserver/pkg/storage/storagebackend"
)

// member is a proxy in front of etcd that can hang: it then accepts connections and
// requests but forwards nothing.
type member struct {
	endpoint string

	mu    sync.Mutex
	flows chan struct{}
}

func newMember(t *testing.T, target string) *member {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	m := &member{endpoint: "http://" + listener.Addr().String(), flows: make(chan struct{})}
	close(m.flows)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go m.serve(t.Context(), conn, target)
		}
	}()
	return m
}

func (m *member) serve(ctx context.Context, conn net.Conn, target string) {
	defer conn.Close()
	to, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer to.Close()
	go m.copy(ctx, conn, to)
	m.copy(ctx, to, conn)
}

func (m *member) copy(ctx context.Context, to io.Writer, from io.Reader) {
	buffer := make([]byte, 4096)
	for {
		n, err := from.Read(buffer)
		m.mu.Lock()
		flows := m.flows
		m.mu.Unlock()
		select {
		case <-flows:
		case <-ctx.Done():
			return
		}
		if _, writeErr := to.Write(buffer[:n]); err != nil || writeErr != nil {
			return
		}
	}
}

// hang makes the member hang until the returned function is called.
func (m *member) hang() (resume func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	flows := make(chan struct{})
	m.flows = flows
	return func() { close(flows) }
}

// connectThrough connects to one etcd through n members.
func connectThrough(t *testing.T, n int) (*Store, []*member) {
	t.Helper()
	server := testserver.RunEtcd(t, nil)
	var members []*member
	var endpoints []string
	for range n {
		m := newMember(t, address(server.Endpoints()[0]))
		members = append(members, m)
		endpoints = append(endpoints, m.endpoint)
	}
	store, err := Connect(t.Context(), storagebackend.TransportConfig{ServerList: endpoints})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store, members
}

// awaitEndpoints polls until the client uses exactly these members.
func awaitEndpoints(t *testing.T, client *clientv3.Client, want ...string) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 10*time.Millisecond, time.Minute, true, func(context.Context) (bool, error) {
		return slices.Equal(client.Endpoints(), want), nil
	})
	if err != nil {
		t.Fatalf("the client uses %v, want %v", client.Endpoints(), want)
	}
}

func TestMemberThatHangs(t *testing.T) {
	store, members := connectThrough(t, 3)
	client, all := store.Client, []string{members[0].endpoint, members[1].endpoint, members[2].endpoint}
	// gRPC balances, so each member serves a watch.
	var watches []clientv3.WatchChan
	for range all {
		watches = append(watches, clientv3.NewWatcher(client).Watch(t.Context(), "/a"))
	}
	put := func(value string) {
		t.Helper()
		if _, err := client.Put(t.Context(), "/a", value); err != nil {
			t.Fatal(err)
		}
		for _, events := range watches {
			if got := <-events; len(got.Events) != 1 || string(got.Events[0].Kv.Value) != value {
				t.Fatalf("a watch got %v, want %q", got, value)
			}
		}
	}
	put("first")

	resume := members[1].hang()
	var requests sync.WaitGroup
	for range all {
		requests.Go(func() {
			if _, err := client.Get(t.Context(), "/a"); err != nil {
				t.Errorf("a read was not retried on another member: %v", err)
			}
		})
		// A write whose outcome is unknown is not retried.
		requests.Go(func() {
			if _, err := client.Put(t.Context(), "/b", ""); err != nil {
				t.Logf("the write that the member had: %v", err)
			}
		})
	}
	requests.Wait()
	awaitEndpoints(t, client, all[0], all[2])
	put("second")

	resume()
	awaitEndpoints(t, client, all...)
	put("third")
}

// TestAllMembersHang expects the client to keep all members if none answers.
func TestAllMembersHang(t *testing.T) {
	store, members := connectThrough(t, 2)
	var resumes []func()
	for _, member := range members {
		resumes = append(resumes, member.hang())
	}
	ctx, cancel := context.WithTimeout(t.Context(), (maxMisses+2)*(probePeriod+probeTimeout))
	defer cancel()
	if _, err := store.Client.Get(ctx, "/a"); err == nil {
		t.Error("a member answered")
	}
	if got := store.Client.Endpoints(); len(got) != len(members) {
		t.Errorf("the client uses only %v", got)
	}
	for _, resume := range resumes {
		resume()
	}
	if _, err := store.Client.Get(t.Context(), "/a"); err != nil {
		t.Error(err)
	}
}
