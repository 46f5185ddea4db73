package txn_test

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/kubernetes"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"
	"go.uber.org/zap"
	"k8s.io/apiserver/pkg/storage/etcd3/testserver"

	"github.com/portolan-dev/portolan/pkg/txn"
)

func claimsOf(count int) *txn.Plan {
	plan := &txn.Plan{}
	for i := range count {
		key := fmt.Sprintf("/claims/%d", i)
		plan.Guards = append(plan.Guards, txn.Guard{Key: key})
		plan.Puts = append(plan.Puts, txn.Put{Key: key, Value: []byte("a")})
	}
	return plan
}

// etcd's default is 128 operations: the object and 127 claims.
func TestTooLarge(t *testing.T) {
	t.Run("in process", func(t *testing.T) { checkTooLarge(t, startDefaultEtcd(t)) })
	t.Run("over the network", func(t *testing.T) { checkTooLarge(t, testserver.RunEtcd(t, nil).Client) })
}

func checkTooLarge(t *testing.T, client *clientv3.Client) {
	s := store{t, client, txn.Decorate(client, nil, nil).Kubernetes}

	before := s.revision()
	plan := claimsOf(128)
	_, err := s.optimisticPut(t.Context(), plan, 0, "v")
	var large *txn.TooLargeError
	if !errors.As(err, &large) {
		t.Fatalf("got %v", err)
	}
	if large.Operations != 129 {
		t.Errorf("%d operations, want 129", large.Operations)
	}
	const want = "the write needs a transaction of 129 operations, more than etcd is set up to take: " +
		"raise etcd's --max-txn-ops above that, or let the object claim less"
	if large.Error() != want {
		t.Errorf("got %q, want %q", large.Error(), want)
	}
	checkOutcome(t, plan, txn.NotSent, 0)
	if got := s.revision(); got != before {
		t.Errorf("the store moved from revision %d to %d", before, got)
	}

	plan = claimsOf(127)
	put, err := s.optimisticPut(t.Context(), plan, 0, "v")
	if err != nil || !put.Succeeded {
		t.Errorf("127 claims: %+v, %v", put, err)
	}
	checkOutcome(t, plan, txn.Committed, before+1)
}

// etcd's default is 1.5 MiB. gRPC counts before etcd does: on this side with the same
// limit, on the other with half a MiB more.
func TestTooManyBytes(t *testing.T) {
	for name, client := range map[string]*clientv3.Client{
		"in process":       startDefaultEtcd(t),
		"over the network": testserver.RunEtcd(t, nil).Client,
	} {
		t.Run(name, func(t *testing.T) {
			s := store{t, client, txn.Decorate(client, nil, nil).Kubernetes}
			before := s.revision()
			for _, bytes := range []int{1_600_000, 2_090_000, 2_200_000} {
				check := func(what string, err error, atLeast int) {
					t.Helper()
					var large *txn.TooLargeError
					if !errors.As(err, &large) || large.Bytes < atLeast || large.Bytes > atLeast+1000 || large.Operations != 0 {
						t.Fatalf("%s of %d bytes: got %v", what, bytes, err)
					}
					want := fmt.Sprintf("the write takes %d bytes, more than etcd is set up to take in a request: "+
						"make the object smaller, or raise etcd's --max-request-bytes, which is 1.5 MiB by default", large.Bytes)
					if status := large.Status(); large.Error() != want || status.Code != 413 || !strings.Contains(status.Message, want) {
						t.Errorf("got %q, %+v, want %q", large, status, want)
					}
				}
				_, err := s.decorated.OptimisticPut(t.Context(), object, []byte(strings.Repeat("v", bytes)), 0, kubernetes.PutOptions{})
				check("a plain write", err, bytes)

				plan := claimsOf(2)
				plan.Puts[0].Value = []byte(strings.Repeat("v", bytes/2))
				_, err = s.optimisticPut(t.Context(), plan, 0, strings.Repeat("v", bytes/2))
				check("a write with claims", err, bytes)
				checkOutcome(t, plan, txn.NotSent, 0)
			}
			if got := s.revision(); got != before {
				t.Errorf("the store moved from revision %d to %d", before, got)
			}
		})
	}
}

func TestEmbeddedTakesThousands(t *testing.T) {
	s := newStore(t)
	if put, err := s.optimisticPut(t.Context(), claimsOf(20000), 0, "v"); err != nil || !put.Succeeded {
		t.Errorf("got %+v, %v", put, err)
	}
}

// startDefaultEtcd starts an etcd with etcd's defaults.
func startDefaultEtcd(t *testing.T) *clientv3.Client {
	t.Helper()
	config := embed.NewConfig()
	config.Dir = t.TempDir()
	config.UnsafeNoFsync = true
	config.TickMs, config.ElectionMs = 10, 100
	config.ListenClientUrls, config.ListenPeerUrls = nil, nil
	config.AdvertiseClientUrls = []url.URL{{Scheme: "http", Host: "localhost:0"}}
	config.AdvertisePeerUrls = []url.URL{{Scheme: "http", Host: "localhost:0"}}
	config.InitialCluster = config.InitialClusterFromName(config.Name)
	config.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	member, err := embed.StartEtcd(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(member.Close)
	select {
	case <-member.Server.ReadyNotify():
	case <-time.After(30 * time.Second):
		t.Fatal("etcd doesn't get ready")
	}
	client := v3client.New(member.Server)
	t.Cleanup(func() { client.Close() })
	return client
}
