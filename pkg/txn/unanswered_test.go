package txn_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/kubernetes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/portolan-dev/portolan/pkg/requeststate"
	"github.com/portolan-dev/portolan/pkg/txn"
)

// failing is an etcd that answers every request with an error or, if that is nil, waits
// until the request times out.
type failing struct {
	clientv3.KV
	err error
}

func (f failing) fail(ctx context.Context) error {
	if f.err != nil {
		return f.err
	}
	<-ctx.Done()
	return ctx.Err()
}

func (f failing) Get(ctx context.Context, _ string, _ ...clientv3.OpOption) (*clientv3.GetResponse, error) {
	return nil, f.fail(ctx)
}

func (f failing) Txn(ctx context.Context) clientv3.Txn { return failingTxn{store: f, ctx: ctx} }

type failingTxn struct {
	clientv3.Txn
	store failing
	ctx   context.Context
}

func (f failingTxn) If(...clientv3.Cmp) clientv3.Txn        { return f }
func (f failingTxn) Then(...clientv3.Op) clientv3.Txn       { return f }
func (f failingTxn) Else(...clientv3.Op) clientv3.Txn       { return f }
func (f failingTxn) Commit() (*clientv3.TxnResponse, error) { return nil, f.store.fail(f.ctx) }

// requests are all kinds of requests to etcd, and whether they write.
var requests = map[string]struct {
	write bool
	do    func(context.Context, kubernetes.Interface) error
}{
	"get": {false, func(ctx context.Context, i kubernetes.Interface) error {
		_, err := i.Get(ctx, "/a", kubernetes.GetOptions{})
		return err
	}},
	"list": {false, func(ctx context.Context, i kubernetes.Interface) error {
		_, err := i.List(ctx, "/a", kubernetes.ListOptions{})
		return err
	}},
	"put": {true, func(ctx context.Context, i kubernetes.Interface) error {
		_, err := i.OptimisticPut(ctx, "/a", nil, 0, kubernetes.PutOptions{})
		return err
	}},
	"delete": {true, func(ctx context.Context, i kubernetes.Interface) error {
		_, err := i.OptimisticDelete(ctx, "/a", 1, kubernetes.DeleteOptions{})
		return err
	}},
	"put with a plan": {true, func(ctx context.Context, i kubernetes.Interface) error {
		_, err := i.OptimisticPut(txn.WithPlan(ctx, &txn.Plan{}), "/a", nil, 0, kubernetes.PutOptions{})
		return err
	}},
	"delete with a plan": {true, func(ctx context.Context, i kubernetes.Interface) error {
		_, err := i.OptimisticDelete(txn.WithPlan(ctx, &txn.Plan{}), "/a", 1, kubernetes.DeleteOptions{})
		return err
	}},
	"put of a dry run": {false, func(ctx context.Context, i kubernetes.Interface) error {
		_, err := i.OptimisticPut(requeststate.WithDryRun(ctx), "/a", nil, 0, kubernetes.PutOptions{})
		return err
	}},
}

func TestUnanswered(t *testing.T) {
	for name, test := range map[string]struct {
		err      error
		answered bool
	}{
		"no leader":       {rpctypes.ErrNoLeader, false},
		"etcd's timeout":  {rpctypes.ErrTimeout, false},
		"connection lost": {status.Error(codes.Unavailable, "error reading from server: EOF"), false},
		"member removed":  {status.Error(codes.Unknown, "raft: stopped"), false},
		"never":           {nil, false},
		"etcd's deadline": {rpctypes.ErrGRPCDeadlineExceeded, false},
		"etcd canceled":   {rpctypes.ErrGRPCCanceled, false},
		"stream lost":     {status.Error(codes.Internal, "stream terminated by RST_STREAM with error code: INTERNAL_ERROR"), false},
		"corrupt":         {rpctypes.ErrCorrupt, true},
		"not etcd's":      {errors.New("no"), true},
		"compacted":       {rpctypes.ErrCompacted, true},
	} {
		for what, request := range requests {
			t.Run(name+", "+what, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					store := txn.Decorate(&clientv3.Client{KV: failing{err: test.err}}, nil, nil).Kubernetes
					err := request.do(t.Context(), store)
					var unanswered *txn.UnansweredError
					if errors.As(err, &unanswered) == test.answered {
						t.Fatalf("got %v", err)
					}
					if test.err != nil && !errors.Is(err, test.err) {
						t.Errorf("the cause is not in %v", err)
					}
					if test.answered {
						return
					}
					if unanswered.Write != request.write {
						t.Errorf("%v: a write is %v", err, unanswered.Write)
					}
					if status := unanswered.Status(); !apierrors.IsTimeout(err) || status.Code != http.StatusGatewayTimeout ||
						status.Details.RetryAfterSeconds != 0 {
						t.Errorf("to clients it is %+v", status)
					}
				})
			})
		}
	}
}

// The caller left, so etcd is not to blame.
func TestCallerHasGone(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	store := txn.Decorate(&clientv3.Client{KV: failing{}}, nil, nil).Kubernetes
	for what, request := range requests {
		if err := request.do(ctx, store); !errors.Is(err, context.Canceled) || apierrors.IsTimeout(err) {
			t.Errorf("%s: got %v", what, err)
		}
	}
}
