package txn_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/kubernetes"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/portolan-dev/portolan/pkg/etcd/quota"
	"github.com/portolan-dev/portolan/pkg/requeststate"
	"github.com/portolan-dev/portolan/pkg/txn"
)

// full is a store that has space for replacements only, or for nothing.
type full struct {
	replaces bool
	asked    []quota.Write
	rejected []quota.Write
}

var errFull = errors.New("full up")

func (f *full) Admit(w quota.Write) error {
	f.asked = append(f.asked, w)
	if w.Replaces && f.replaces {
		return nil
	}
	return errFull
}

func (f *full) Reject(w quota.Write) { f.rejected = append(f.rejected, w) }

func isFull(err error) bool {
	var full *txn.NoSpaceError
	return errors.As(err, &full) && full.Status().Code == http.StatusInsufficientStorage && full.Status().Reason == "InsufficientStorage"
}

// TestFull rejects writes that need space before anything is sent, and nothing else.
func TestFull(t *testing.T) {
	t.Parallel()
	const value, larger = "value", 1100
	for name, test := range map[string]struct {
		replaces bool
		// there is whether the object exists.
		there    bool
		expected bool
		value    string
		claims   int
		mayFill  bool
		full     bool
		conflict bool
	}{
		"create":                           {value: "v", full: true},
		"create with claims":               {value: "v", claims: 2, full: true},
		"create what is there":             {value: "v", there: true, conflict: true},
		"create that may fill":             {replaces: true, value: "v", claims: 2, mayFill: true},
		"create where nothing has room":    {value: "v", mayFill: true, full: true},
		"update":                           {replaces: true, there: true, expected: true, value: "other"},
		"update that grows":                {replaces: true, there: true, expected: true, value: strings.Repeat("v", larger), full: true},
		"update that claims much":          {replaces: true, there: true, expected: true, value: "v", claims: 5, full: true},
		"update of what has changed":       {replaces: true, there: true, value: "v", conflict: true},
		"update where nothing has room":    {there: true, expected: true, value: "other", full: true},
		"update of what has changed, full": {there: true, value: "v", conflict: true},
	} {
		for _, planned := range []bool{false, true} {
			for _, dryRun := range []bool{false, true} {
				if test.claims > 0 && !planned {
					continue
				}
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					s, room := newStore(t), &full{replaces: test.replaces}
					s.decorated = txn.Decorate(s.client, room, nil).Kubernetes
					expected := int64(0)
					if test.there {
						put, err := s.client.Put(t.Context(), object, value)
						if err != nil {
							t.Fatal(err)
						}
						if test.expected {
							expected = put.Header.Revision
						}
					}
					before, ctx, plan := s.revision(), t.Context(), claimsOf(test.claims)
					ctx = requeststate.With(ctx, requeststate.State{MayFill: test.mayFill})
					if dryRun {
						ctx = requeststate.WithDryRun(ctx)
					}
					if planned {
						ctx = txn.WithPlan(ctx, plan)
					}
					put, err := s.decorated.OptimisticPut(ctx, object, []byte(test.value), expected, kubernetes.PutOptions{})
					if isFull(err) != test.full || (err != nil) != test.full || (err == nil && put.Succeeded == test.conflict) {
						t.Fatalf("planned %v, dry run %v: got %+v, %v", planned, dryRun, put, err)
					}
					if written := s.revision() != before; written != (!test.full && !test.conflict && !dryRun) {
						t.Errorf("planned %v, dry run %v: written is %v", planned, dryRun, written)
					}
					if len(room.rejected) > 0 != test.full {
						t.Errorf("%d were rejected", len(room.rejected))
					}
					for _, asked := range room.asked {
						if asked.DryRun != dryRun || asked.Bytes < int64(len(test.value)) {
							t.Errorf("asked for %+v", asked)
						}
					}
					if test.full && planned {
						checkOutcome(t, plan, txn.NotSent, 0)
					}
				})
			}
		}
	}
}

// TestFullStoreDeletes needs no space for a delete.
func TestFullStoreDeletes(t *testing.T) {
	t.Parallel()
	s, room := newStore(t), &full{}
	s.decorated = txn.Decorate(s.client, room, nil).Kubernetes
	put, err := s.client.Put(t.Context(), object, "v")
	if err != nil {
		t.Fatal(err)
	}
	ctx := txn.WithPlan(t.Context(), &txn.Plan{Deletes: []string{"/claims/0"}})
	if deleted, err := s.decorated.OptimisticDelete(ctx, object, put.Header.Revision, kubernetes.DeleteOptions{}); err != nil ||
		!deleted.Succeeded {
		t.Errorf("got %+v, %v", deleted, err)
	}
	if len(room.asked) > 0 {
		t.Errorf("asked for %v", room.asked)
	}
}

// noSpace is an etcd that answers every transaction with ErrNoSpace. It has the object at
// a revision.
type noSpace struct {
	failing
	revision int64
	lost     error
}

func (n noSpace) Get(context.Context, string, ...clientv3.OpOption) (*clientv3.GetResponse, error) {
	if n.revision == 0 || n.lost != nil {
		return &clientv3.GetResponse{}, n.lost
	}
	return &clientv3.GetResponse{Kvs: []*mvccpb.KeyValue{{ModRevision: n.revision}}}, nil
}

// TestNoSpace is about an etcd that reports that it is full, which it also does for writes
// that it has carried out.
func TestNoSpace(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		found     int64
		lost      error
		uncertain bool
	}{
		"unchanged":     {found: 7},
		"changed":       {found: 8, uncertain: true},
		"gone":          {found: 0, uncertain: true},
		"can't be read": {found: 7, lost: rpctypes.ErrNoLeader, uncertain: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var results []txn.Result
			observe := func(result txn.Result, _ int) { results = append(results, result) }
			kv := noSpace{failing: failing{err: rpctypes.ErrNoSpace}, revision: test.found, lost: test.lost}
			store := txn.Decorate(&clientv3.Client{KV: kv}, nil, observe).Kubernetes
			check := func(what string, err error) {
				t.Helper()
				if isFull(err) == test.uncertain || apierrors.IsTimeout(err) != test.uncertain || !errors.Is(err, rpctypes.ErrNoSpace) {
					t.Errorf("%s: got %v", what, err)
				}
				want := "compact, defragment and disarm the alarm, in that order"
				if test.uncertain {
					want = "etcd's database is full: etcdserver: mvcc: database space exceeded; the write may have been carried out"
				}
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%s: got %v, want %s", what, err, want)
				}
			}
			_, err := store.OptimisticPut(t.Context(), "/a", nil, 7, kubernetes.PutOptions{})
			check("put", err)
			plan := &txn.Plan{}
			_, err = store.OptimisticPut(txn.WithPlan(t.Context(), plan), "/a", nil, 7, kubernetes.PutOptions{})
			check("put with a plan", err)
			want, result := txn.NotSent, txn.ResultFull
			if test.uncertain {
				want, result = txn.Unknown, txn.ResultUnknown
			}
			if outcome, _ := plan.Outcome(); outcome != want || len(results) != 1 || results[0] != result {
				t.Errorf("the outcome is %v, observed %v", outcome, results)
			}
			_, err = store.OptimisticDelete(txn.WithPlan(t.Context(), &txn.Plan{}), "/a", 7, kubernetes.DeleteOptions{})
			check("delete with a plan", err)
		})
	}
}

// TestTooManyRequests is about an etcd that rejects requests until it has caught up.
func TestTooManyRequests(t *testing.T) {
	t.Parallel()
	store := txn.Decorate(&clientv3.Client{KV: failing{err: rpctypes.ErrTooManyRequests}}, nil, nil).Kubernetes
	plan := &txn.Plan{}
	_, err := store.OptimisticPut(txn.WithPlan(t.Context(), plan), "/a", nil, 0, kubernetes.PutOptions{})
	if outcome, _ := plan.Outcome(); outcome != txn.NotSent || !apierrors.IsTooManyRequests(err) {
		t.Errorf("got %v, the outcome is %v", err, outcome)
	}
}

type fullLease struct {
	clientv3.Lease
	err error
}

func (f fullLease) Grant(context.Context, int64) (*clientv3.LeaseGrantResponse, error) {
	return nil, f.err
}

// TestLease is about objects that expire, which need a lease first.
func TestLease(t *testing.T) {
	t.Parallel()
	if _, err := txn.Lease(fullLease{err: rpctypes.ErrNoSpace}).Grant(t.Context(), 1); !isFull(err) {
		t.Errorf("got %v", err)
	}
	_, err := txn.Lease(fullLease{err: rpctypes.ErrNoLeader}).Grant(t.Context(), 1)
	if !apierrors.IsTimeout(err) || strings.Contains(err.Error(), "carried out") {
		t.Errorf("got %v", err)
	}
}
