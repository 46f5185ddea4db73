package txn_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/kubernetes"

	"github.com/portolan-dev/portolan/pkg/etcd/etcdtest"
	"github.com/portolan-dev/portolan/pkg/requeststate"
	"github.com/portolan-dev/portolan/pkg/txn"
)

const object = "/services/a"

// store is an etcd with the decorated client under test.
type store struct {
	testing.TB
	client    *clientv3.Client
	decorated kubernetes.Interface
}

func newStore(t testing.TB) store {
	t.Helper()
	embedded := etcdtest.Start(t)
	return store{t, embedded.Client, txn.Decorate(embedded.Client, nil, nil).Kubernetes}
}

func (s store) put(key, value string) (revision int64) {
	s.Helper()
	response, err := s.client.Put(context.Background(), key, value)
	if err != nil {
		s.Fatal(err)
	}
	return response.Header.Revision
}

func (s store) delete(key string) {
	s.Helper()
	if _, err := s.client.Delete(context.Background(), key); err != nil {
		s.Fatal(err)
	}
}

func (s store) revision() int64 {
	s.Helper()
	response, err := s.client.Get(context.Background(), "/", clientv3.WithCountOnly())
	if err != nil {
		s.Fatal(err)
	}
	return response.Header.Revision
}

// check compares the whole contents of etcd: "key=value@revision …".
func (s store) check(want ...string) {
	s.Helper()
	response, err := s.client.Get(context.Background(), "/", clientv3.WithPrefix())
	if err != nil {
		s.Fatal(err)
	}
	var got []string
	for _, kv := range response.Kvs {
		got = append(got, fmt.Sprintf("%s=%s@%d", kv.Key, kv.Value, kv.ModRevision))
	}
	if g, w := strings.Join(got, " "), strings.Join(want, " "); g != w {
		s.Errorf("etcd holds\n%s\nwant\n%s", g, w)
	}
}

func (s store) optimisticPut(ctx context.Context, plan *txn.Plan, expected int64, value string) (kubernetes.PutResponse, error) {
	if plan != nil {
		ctx = txn.WithPlan(ctx, plan)
	}
	return s.decorated.OptimisticPut(ctx, object, []byte(value), expected, kubernetes.PutOptions{GetOnFailure: true})
}

func (s store) optimisticDelete(plan *txn.Plan, expected int64) (kubernetes.DeleteResponse, error) {
	ctx := context.Background()
	if plan != nil {
		ctx = txn.WithPlan(ctx, plan)
	}
	return s.decorated.OptimisticDelete(ctx, object, expected, kubernetes.DeleteOptions{GetOnFailure: true})
}

func checkOutcome(t *testing.T, plan *txn.Plan, want txn.Outcome, wantRevision int64) {
	t.Helper()
	if outcome, revision := plan.Outcome(); outcome != want || revision != wantRevision {
		t.Errorf("outcome %d at %d, want %d at %d", outcome, revision, want, wantRevision)
	}
}

func TestCommitsEverythingAtOneRevision(t *testing.T) {
	s := newStore(t)
	old := s.put("/claims/old", "a")
	facts := s.put("/ranges/r", "10.0.0.0/8")
	plan := &txn.Plan{
		Guards:  []txn.Guard{{Key: "/claims/new"}, {Key: "/claims/old", Revision: old}, {Key: "/ranges/r", Revision: facts}},
		Puts:    []txn.Put{{Key: "/claims/new", Value: []byte("a")}},
		Deletes: []string{"/claims/old"},
	}
	put, err := s.optimisticPut(t.Context(), plan, 0, "v1")
	if err != nil {
		t.Fatal(err)
	}
	if want := facts + 1; !put.Succeeded || put.Revision != want || put.KV != nil {
		t.Errorf("got %+v, want success at %d", put, want)
	}
	checkOutcome(t, plan, txn.Committed, facts+1)
	s.check(fmt.Sprintf("/claims/new=a@%d", facts+1), fmt.Sprintf("/ranges/r=10.0.0.0/8@%d", facts), fmt.Sprintf("/services/a=v1@%d", facts+1))

	plan = &txn.Plan{Guards: []txn.Guard{{Key: "/claims/new", Revision: put.Revision}}, Deletes: []string{"/claims/new"}}
	deleted, err := s.optimisticDelete(plan, put.Revision)
	if err != nil {
		t.Fatal(err)
	}
	if want := put.Revision + 1; !deleted.Succeeded || deleted.Revision != want {
		t.Errorf("got %+v, want success at %d", deleted, want)
	}
	checkOutcome(t, plan, txn.Committed, put.Revision+1)
	s.check(fmt.Sprintf("/ranges/r=10.0.0.0/8@%d", facts))
}

func TestPutKeepsLease(t *testing.T) {
	s := newStore(t)
	lease, err := s.client.Grant(t.Context(), 60)
	if err != nil {
		t.Fatal(err)
	}
	ctx := txn.WithPlan(t.Context(), &txn.Plan{Puts: []txn.Put{{Key: "/claims/x"}}})
	if _, err := s.decorated.OptimisticPut(ctx, object, []byte("v"), 0, kubernetes.PutOptions{LeaseID: lease.ID}); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]clientv3.LeaseID{object: lease.ID, "/claims/x": clientv3.NoLease} {
		got, err := s.client.Get(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		if clientv3.LeaseID(got.Kvs[0].Lease) != want {
			t.Errorf("%s has lease %d, want %d", key, got.Kvs[0].Lease, want)
		}
	}
}

// The store handles a change of its own object, whatever else is wrong, so it must get
// that and not a conflict.
func TestChangedObjectIsNoConflict(t *testing.T) {
	for name, brokenGuard := range map[string]bool{"guards hold": false, "guards fail too": true} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t)
			current := s.put(object, "v2")
			guard := txn.Guard{Key: "/claims/x"}
			if brokenGuard {
				guard.Revision = 99
			}
			plan := &txn.Plan{Guards: []txn.Guard{guard}, Puts: []txn.Put{{Key: "/claims/x"}}}
			for _, expected := range []int64{0, current - 1, current + 5} {
				put, err := s.optimisticPut(t.Context(), plan, expected, "v3")
				if err != nil {
					t.Fatal(err)
				}
				if put.Succeeded || put.KV == nil || put.KV.ModRevision != current || string(put.KV.Value) != "v2" || put.Revision != current {
					t.Errorf("expecting revision %d: got %+v", expected, put)
				}
				deleted, err := s.optimisticDelete(plan, expected)
				if err != nil {
					t.Fatal(err)
				}
				if deleted.Succeeded || deleted.KV == nil || deleted.KV.ModRevision != current {
					t.Errorf("expecting revision %d: got %+v", expected, deleted)
				}
				checkOutcome(t, plan, txn.NotSent, 0)
			}
			s.check(fmt.Sprintf("/services/a=v2@%d", current))
		})
	}
}

func TestGoneObjectIsNoConflict(t *testing.T) {
	s := newStore(t)
	put, err := s.optimisticPut(t.Context(), &txn.Plan{Guards: []txn.Guard{{Key: "/claims/x", Revision: 7}}}, 3, "v")
	if err != nil || put.Succeeded || put.KV != nil {
		t.Errorf("got %+v, %v", put, err)
	}
}

func TestConflictNamesWhatIsThere(t *testing.T) {
	s := newStore(t)
	taken := s.put("/claims/taken", "other")
	gone := s.put("/claims/gone", "mine")
	s.delete("/claims/gone")
	moved := s.put("/ranges/r", "v1")
	now := s.put("/ranges/r", "v2")
	plan := &txn.Plan{
		Guards: []txn.Guard{
			{Key: "/claims/taken"}, {Key: "/claims/gone", Revision: gone}, {Key: "/ranges/r", Revision: moved}, {Key: "/claims/free"},
		},
		Puts:    []txn.Put{{Key: "/claims/taken", Value: []byte("mine")}, {Key: "/claims/free", Value: []byte("mine")}},
		Deletes: []string{"/claims/gone"},
	}
	for verb, write := range map[string]func() error{
		"put":    func() error { _, err := s.optimisticPut(t.Context(), plan, 0, "v"); return err },
		"delete": func() error { _, err := s.optimisticDelete(plan, 0); return err },
	} {
		err := write()
		var conflict *txn.ConflictError
		if !errors.As(fmt.Errorf("wrapped: %w", err), &conflict) {
			t.Fatalf("%s: got %v", verb, err)
		}
		if conflict.Revision != now {
			t.Errorf("%s: refused at %d, want %d", verb, conflict.Revision, now)
		}
		if len(conflict.Found) != len(plan.Guards) {
			t.Errorf("%s: found %v", verb, conflict.Found)
		}
		for key, want := range map[string]int64{"/claims/taken": taken, "/claims/gone": 0, "/ranges/r": now, "/claims/free": 0} {
			kv, named := conflict.Found[key]
			switch {
			case !named:
				t.Errorf("%s: %s is not named", verb, key)
			case want == 0 && kv != nil, want != 0 && (kv == nil || kv.ModRevision != want):
				t.Errorf("%s: %s is %v, want revision %d", verb, key, kv, want)
			}
		}
		checkOutcome(t, plan, txn.NotSent, 0)
	}
	if got := s.revision(); got != now {
		t.Errorf("a refused write moved the store from revision %d to %d", now, got)
	}
	s.check(fmt.Sprintf("/claims/taken=other@%d", taken), fmt.Sprintf("/ranges/r=v2@%d", now))
}

func TestNoneSince(t *testing.T) {
	s := newStore(t)
	write := func(since int64, guards ...txn.Guard) error {
		object := s.put(object, "v")
		_, err := s.optimisticPut(t.Context(), &txn.Plan{Guards: guards, NoneSince: &txn.Guard{Key: "/claims/", Revision: since}}, object, "w")
		return err
	}
	var conflict *txn.ConflictError

	if err := write(0); err != nil {
		t.Errorf("no claim at all: %v", err)
	}
	created := s.put("/claims/x", "a")
	if err := write(created - 1); !errors.As(err, &conflict) || len(conflict.Found) != 0 {
		t.Errorf("a claim since: %v", err)
	}
	if err := write(created); err != nil {
		t.Errorf("a claim at that revision: %v", err)
	}
	s.put("/claims/x", "b")
	if err := write(created); err != nil {
		t.Errorf("a claim that changed since: %v", err)
	}
	s.put("/claimsmore", "b")
	if err := write(created); err != nil {
		t.Errorf("another prefix: %v", err)
	}
	s.delete("/claims/x")
	again := s.put("/claims/x", "c")
	if err := write(created, txn.Guard{Key: "/ranges/r"}); !errors.As(err, &conflict) {
		t.Errorf("a claim made anew since: %v", err)
	} else if kv, named := conflict.Found["/ranges/r"]; !named || kv != nil {
		t.Errorf("the guard that held is not named: %v", conflict.Found)
	}
	if err := write(again); err != nil {
		t.Errorf("the claim made anew is known: %v", err)
	}
}

// TestGuardByCreation relies on a key that other writers change but do not create again.
func TestGuardByCreation(t *testing.T) {
	s := newStore(t)
	created := s.put("/claims/x", "a")
	s.put("/claims/x", "b")
	plan := &txn.Plan{Guards: []txn.Guard{{Key: "/claims/x", Revision: created, Creation: created}}}
	put, err := s.optimisticPut(t.Context(), plan, 0, "v1")
	if err != nil || !put.Succeeded {
		t.Fatalf("a claim that was written since: %+v, %v", put, err)
	}
	s.delete("/claims/x")
	var conflict *txn.ConflictError
	if _, err := s.optimisticPut(t.Context(), plan, put.Revision, "v2"); !errors.As(err, &conflict) {
		t.Errorf("a claim that is gone: %v", err)
	}
	s.put("/claims/x", "a")
	if _, err := s.optimisticPut(t.Context(), plan, put.Revision, "v2"); !errors.As(err, &conflict) {
		t.Errorf("a claim that was made anew: %v", err)
	}
}

func TestResetEmptiesPlanAndKeepsOutcome(t *testing.T) {
	s := newStore(t)
	plan := &txn.Plan{Puts: []txn.Put{{Key: "/claims/x", Value: []byte("a")}}}
	put, err := s.optimisticPut(t.Context(), plan, 0, "v1")
	if err != nil {
		t.Fatal(err)
	}
	plan.Reset()
	checkOutcome(t, plan, txn.Committed, put.Revision)
	if len(plan.Guards)+len(plan.Puts)+len(plan.Deletes) > 0 || plan.NoneSince != nil {
		t.Errorf("left in the plan: %+v", plan)
	}
	if _, err := s.optimisticPut(t.Context(), plan, put.Revision, "v2"); err != nil {
		t.Fatal(err)
	}
	checkOutcome(t, plan, txn.Committed, put.Revision+1)
	s.check(fmt.Sprintf("/claims/x=a@%d", put.Revision), fmt.Sprintf("/services/a=v2@%d", put.Revision+1))
}

func TestNewPlanWasNotSent(t *testing.T) { checkOutcome(t, &txn.Plan{}, txn.NotSent, 0) }

func TestWriteWithoutPlanPassesThrough(t *testing.T) {
	s := newStore(t)
	put, err := s.optimisticPut(t.Context(), nil, 0, "v1")
	if err != nil || !put.Succeeded {
		t.Fatalf("got %+v, %v", put, err)
	}
	refused, err := s.optimisticPut(t.Context(), nil, 0, "v2")
	if err != nil || refused.Succeeded || refused.KV == nil || refused.KV.ModRevision != put.Revision {
		t.Errorf("got %+v, %v", refused, err)
	}
	got, err := s.decorated.Get(t.Context(), object, kubernetes.GetOptions{})
	if err != nil || string(got.KV.Value) != "v1" {
		t.Errorf("got %+v, %v", got, err)
	}
	listed, err := s.decorated.List(t.Context(), "/services/", kubernetes.ListOptions{})
	if err != nil || len(listed.Kvs) != 1 {
		t.Errorf("got %+v, %v", listed, err)
	}
	deleted, err := s.optimisticDelete(nil, put.Revision)
	if err != nil || !deleted.Succeeded {
		t.Errorf("got %+v, %v", deleted, err)
	}
	s.check()
}

// silent is an etcd that commits and never answers.
type silent struct{ clientv3.KV }

func (s silent) Txn(ctx context.Context) clientv3.Txn {
	return silentTxn{s.KV.Txn(context.WithoutCancel(ctx)), ctx}
}

type silentTxn struct {
	clientv3.Txn
	ctx context.Context
}

func (s silentTxn) If(cmps ...clientv3.Cmp) clientv3.Txn { s.Txn = s.Txn.If(cmps...); return s }
func (s silentTxn) Then(ops ...clientv3.Op) clientv3.Txn { s.Txn = s.Txn.Then(ops...); return s }
func (s silentTxn) Else(ops ...clientv3.Op) clientv3.Txn { s.Txn = s.Txn.Else(ops...); return s }
func (s silentTxn) Commit() (*clientv3.TxnResponse, error) {
	if _, err := s.Txn.Commit(); err != nil {
		return nil, err
	}
	<-s.ctx.Done()
	return nil, s.ctx.Err()
}

func TestNoAnswerIsUnknown(t *testing.T) {
	t.Run("canceled before", func(t *testing.T) {
		s := newStore(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		plan := &txn.Plan{}
		if _, err := s.optimisticPut(ctx, plan, 0, "v"); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		checkOutcome(t, plan, txn.Unknown, 0)
	})
	t.Run("committed and not answered", func(t *testing.T) {
		s := newStore(t)
		s.client.KV = silent{s.client.KV}
		s.decorated = txn.Decorate(s.client, nil, nil).Kubernetes
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		plan := &txn.Plan{Puts: []txn.Put{{Key: "/claims/x", Value: []byte("a")}}}
		if _, err := s.optimisticPut(ctx, plan, 0, "v"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		checkOutcome(t, plan, txn.Unknown, 0)
		s.check("/claims/x=a@2", "/services/a=v@2")
	})
}

// The outcome is that of the last attempt and not of an earlier one.
func TestOutcomeIsThatOfLastTransaction(t *testing.T) {
	s := newStore(t)
	plan := &txn.Plan{}
	put, err := s.optimisticPut(t.Context(), plan, 0, "v1")
	if err != nil {
		t.Fatal(err)
	}
	checkOutcome(t, plan, txn.Committed, put.Revision)
	if _, err := s.optimisticPut(t.Context(), plan, 0, "v2"); err != nil {
		t.Fatal(err)
	}
	if outcome, _ := plan.Outcome(); outcome != txn.NotSent {
		t.Errorf("outcome %d after a refusal", outcome)
	}
}

func TestDryRunWritesNothing(t *testing.T) {
	s := newStore(t)
	rev := s.put(object, "old")
	claim := s.put("/claim", "held")
	before := s.revision()
	plan := &txn.Plan{
		Guards:  []txn.Guard{{Key: "/claim", Revision: claim}, {Key: "/new", Revision: 0}},
		Puts:    []txn.Put{{Key: "/new", Value: []byte("x")}},
		Deletes: []string{"/claim"},
	}
	ctx := requeststate.WithDryRun(t.Context())
	response, err := s.optimisticPut(ctx, plan, rev, "other")
	if err != nil || !response.Succeeded || response.Revision != rev {
		t.Errorf("got %+v, %v, want success at revision %d", response, err, rev)
	}
	checkOutcome(t, plan, txn.Tried, 0)
	// What would be refused is refused.
	plan.Guards[1].Revision = 7
	var conflict *txn.ConflictError
	if _, err := s.optimisticPut(ctx, plan, rev, "other"); !errors.As(err, &conflict) {
		t.Errorf("got %v, want a conflict", err)
	}
	if response, err := s.decorated.OptimisticDelete(ctx, object, rev, kubernetes.DeleteOptions{}); err != nil || !response.Succeeded {
		t.Errorf("delete without a plan: %+v, %v", response, err)
	}
	if response, err := s.decorated.OptimisticPut(ctx, object, []byte("x"), rev+100, kubernetes.PutOptions{GetOnFailure: true}); err != nil ||
		response.Succeeded || response.KV == nil {
		t.Errorf("put at another revision: %+v, %v", response, err)
	}
	if after := s.revision(); after != before {
		t.Errorf("the store went from revision %d to %d", before, after)
	}
}

// The observer receives each transaction with a plan, once it has ended.
func TestObserver(t *testing.T) {
	s := newStore(t)
	var observed []string
	observe := func(result txn.Result, operations int) {
		observed = append(observed, fmt.Sprint(result, " ", operations))
	}
	s.decorated = txn.Decorate(s.client, nil, observe).Kubernetes
	expect := func(what string, want ...string) {
		t.Helper()
		if !slices.Equal(observed, want) {
			t.Errorf("%s: observed %q, want %q", what, observed, want)
		}
		observed = nil
	}
	dryRun := requeststate.WithDryRun(t.Context())

	put, err := s.optimisticPut(t.Context(), claimsOf(3), 0, "v")
	if err != nil {
		t.Fatal(err)
	}
	expect("a put with three claims", "committed 4")
	_, _ = s.optimisticPut(t.Context(), claimsOf(1), 0, "v")
	expect("another object", "object_conflict 2")
	_, _ = s.optimisticPut(t.Context(), claimsOf(1), put.Revision, "v")
	expect("a claim that is taken", "claim_conflict 2")
	for _, plan := range []*txn.Plan{{}, claimsOf(1)} {
		_, _ = s.optimisticPut(dryRun, plan, put.Revision, "v")
		_, _ = s.optimisticPut(dryRun, plan, 0, "v")
	}
	expect("dry runs")
	put, err = s.optimisticPut(t.Context(), nil, put.Revision, "v")
	if err != nil {
		t.Fatal(err)
	}
	expect("a write without a plan")
	if _, err := s.optimisticDelete(&txn.Plan{}, put.Revision); err != nil {
		t.Fatal(err)
	}
	expect("a delete", "committed 1")
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	_, _ = s.optimisticPut(canceled, &txn.Plan{}, put.Revision, "v")
	expect("a request that was canceled", "unknown 1")

	s.decorated = txn.Decorate(startDefaultEtcd(t), nil, observe).Kubernetes
	_, _ = s.optimisticPut(t.Context(), claimsOf(128), 0, "v")
	expect("more than etcd takes", "error 129")
}
