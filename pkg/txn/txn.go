// Package txn is the only package that builds an etcd transaction for a write of a
// request.
//
// It decorates the interface through which k8s.io/apiserver's etcd3 store reaches etcd. A
// write whose context carries a Plan is committed together with the plan: the claims that
// it takes and releases, and the facts that it relies on. A write without a plan passes
// through unchanged.
//
// A dry run reaches this package too. Its transaction makes the comparisons of a real one
// and writes nothing, so that it is rejected for the same reasons.
//
// If the object itself has changed, the package reports that as the store expects, and the
// store handles it. If anything in the plan does not hold, the write returns a
// *ConflictError with the state that etcd has instead. The package retries nothing.
//
// Each storage call sets a plan of its own in its context. The dry run is part of the
// request's state (package requeststate).
package txn

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/kubernetes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/portolan-dev/portolan/pkg/requeststate"
)

// Guard is a fact that a transaction relies on: the ModRevision of a key, 0 for a key that
// must not exist.
type Guard struct {
	Key      string
	Revision int64
	// Creation is the CreateRevision of the key. If it is set, it is compared instead of
	// Revision: the key may have been written since, but not deleted.
	Creation int64
}

func (g Guard) compare() clientv3.Cmp {
	if g.Creation != 0 {
		return clientv3.Compare(clientv3.CreateRevision(g.Key), "=", g.Creation)
	}
	return clientv3.Compare(clientv3.ModRevision(g.Key), "=", g.Revision)
}

// Put is a value to write. It is encoded and, if configured, encrypted as the key's own
// store would do.
type Put struct {
	Key   string
	Value []byte
}

// Plan is the addition of one write to its transaction. The caller of the store sets it
// for every attempt and reads the outcome after the store has returned.
type Plan struct {
	Guards  []Guard
	Puts    []Put
	Deletes []string
	// DeletePrefixes are the prefixes of keys that are all deleted.
	DeletePrefixes []string
	// NoneSince is the prefix of keys of which none may have been created after its
	// revision.
	NoneSince *Guard

	outcome  Outcome
	revision int64
}

// Outcome is the result of a write.
type Outcome int

const (
	// NotSent means that no transaction was sent, or that all were rejected.
	NotSent Outcome = iota
	// Committed means that the transaction was applied.
	Committed
	// Unknown means that there was no answer. The transaction may have been applied, or
	// may still be.
	Unknown
	// Tried means that the transaction of a dry run would have been applied.
	Tried
)

// Reset empties the plan for another attempt.
func (p *Plan) Reset() { *p = Plan{outcome: p.outcome, revision: p.revision} }

// Outcome returns the result of the last transaction, and the revision at which it was
// committed.
func (p *Plan) Outcome() (Outcome, int64) { return p.outcome, p.revision }

type planKey struct{}

// WithPlan makes writes in the returned context carry the plan.
func WithPlan(ctx context.Context, plan *Plan) context.Context {
	return context.WithValue(ctx, planKey{}, plan)
}

// planOf returns the plan of a write, an empty one if the context has none. plain is true
// if the write needs no transaction of this package.
func planOf(ctx context.Context) (plan *Plan, plain bool) {
	plan, planned := ctx.Value(planKey{}).(*Plan)
	if !planned {
		plan = &Plan{}
	}
	return plan, !planned && !requeststate.IsDryRun(ctx)
}

// ConflictError reports that a fact that a plan relied on does not hold.
type ConflictError struct {
	// Revision of the store at which the transaction was rejected.
	Revision int64
	// Found is the state of each guarded key, nil for a key that does not exist.
	Found map[string]*mvccpb.KeyValue
}

// Error implements error.
func (e *ConflictError) Error() string {
	return fmt.Sprintf("what the write relied on has changed (revision %d)", e.Revision)
}

// TooLargeError reports that the write exceeds etcd's limits for a transaction, and that
// nothing was written. Clients get a 413.
type TooLargeError struct {
	// Operations is the number of operations of the write, if there are too many.
	Operations int
	// Bytes is the approximate size of the write, if it is too large.
	Bytes int
}

// Error implements error.
func (e *TooLargeError) Error() string {
	if e.Operations == 0 {
		return fmt.Sprintf("the write takes %d bytes, more than etcd is set up to take in a request: "+
			"make the object smaller, or raise etcd's --max-request-bytes, which is 1.5 MiB by default", e.Bytes)
	}
	return fmt.Sprintf("the write needs a transaction of %d operations, more than etcd is set up to take: "+
		"raise etcd's --max-txn-ops above that, or let the object claim less", e.Operations)
}

// Status implements apierrors.APIStatus.
func (e *TooLargeError) Status() metav1.Status {
	return apierrors.NewRequestEntityTooLargeError(e.Error()).Status()
}

// exceedsBytes reports whether a request was rejected for its size, by etcd or by gRPC on
// either side, which counts before etcd does.
func exceedsBytes(err error) bool {
	if errors.Is(err, rpctypes.ErrRequestTooLarge) {
		return true
	}
	return status.Code(err) == codes.ResourceExhausted && strings.Contains(err.Error(), "message larger than max")
}

// Result is the result of a transaction, for metrics.
type Result string

// The results that an observer receives.
const (
	// ResultCommitted means that it was applied.
	ResultCommitted Result = "committed"
	// ResultObjectConflict means that the object itself has changed.
	ResultObjectConflict Result = "object_conflict"
	// ResultClaimConflict means that another fact of the plan does not hold, mostly about
	// a claim or a range.
	ResultClaimConflict Result = "claim_conflict"
	// ResultError means that etcd did not run it.
	ResultError Result = "error"
	// ResultFull means that the store has no space for it.
	ResultFull Result = "full"
	// ResultUnknown means that there was no answer, or one that does not say whether it
	// was applied.
	ResultUnknown Result = "unknown"
)

// Observer receives the result of every transaction with a plan, except for dry runs, and
// the number of its operations as etcd's --max-txn-ops counts them. Requests call it. It
// must not block.
type Observer func(result Result, operations int)

func unobserved(Result, int) {}

// Interface decorates the client of writes.
type Interface struct {
	kubernetes.Interface
	kv      clientv3.KV
	space   Space
	observe Observer
}

var _ kubernetes.Interface = &Interface{}

// Decorate returns a client like the given one whose writes carry the plan of their
// context. space and observe may be nil.
func Decorate(client *clientv3.Client, space Space, observe Observer) *kubernetes.Client {
	if space == nil {
		space = unlimited{}
	}
	if observe == nil {
		observe = unobserved
	}
	plain := &kubernetes.Client{Client: client}
	plain.Kubernetes = plain
	return &kubernetes.Client{Client: client, Kubernetes: &Interface{Interface: plain, kv: client.KV, space: space, observe: observe}}
}

// OptimisticPut writes the key, and the context's plan, if the key is at the expected
// revision.
func (i *Interface) OptimisticPut(ctx context.Context, key string, value []byte, expectedRevision int64,
	opts kubernetes.PutOptions) (kubernetes.PutResponse, error) {
	plan, plain := planOf(ctx)
	if err := i.admit(ctx, key, expectedRevision, putBytes(key, value), planBytes(plan)); err != nil {
		plan.outcome = NotSent
		return kubernetes.PutResponse{}, err
	}
	if plain {
		bounded, cancel := context.WithTimeout(ctx, answerTimeout)
		defer cancel()
		response, err := i.Interface.OptimisticPut(bounded, key, value, expectedRevision, opts)
		if err != nil {
			_, err = i.failure(ctx, err, key, expectedRevision, 1, len(key)+len(value))
		}
		return response, err
	}
	write := clientv3.OpPut(key, string(value), clientv3.WithLease(opts.LeaseID))
	found, succeeded, revision, err := i.commit(ctx, plan, key, expectedRevision, write)
	if err != nil {
		return kubernetes.PutResponse{}, err
	}
	return kubernetes.PutResponse{KV: found, Succeeded: succeeded, Revision: revision}, nil
}

// OptimisticDelete deletes the key, and writes the context's plan, if the key is at the
// expected revision.
func (i *Interface) OptimisticDelete(ctx context.Context, key string, expectedRevision int64,
	opts kubernetes.DeleteOptions) (kubernetes.DeleteResponse, error) {
	plan, plain := planOf(ctx)
	if plain {
		bounded, cancel := context.WithTimeout(ctx, answerTimeout)
		defer cancel()
		response, err := i.Interface.OptimisticDelete(bounded, key, expectedRevision, opts)
		if err != nil {
			_, err = i.failure(ctx, err, key, expectedRevision, 1, len(key))
		}
		return response, err
	}
	found, succeeded, revision, err := i.commit(ctx, plan, key, expectedRevision, clientv3.OpDelete(key))
	if err != nil {
		return kubernetes.DeleteResponse{}, err
	}
	return kubernetes.DeleteResponse{KV: found, Succeeded: succeeded, Revision: revision}, nil
}

// commit sends the one transaction. If it is rejected because the key is not at the
// expected revision, found is the state of the key.
func (i *Interface) commit(ctx context.Context, plan *Plan, key string, expectedRevision int64, write clientv3.Op) (found *mvccpb.KeyValue,
	succeeded bool, revision int64, err error) {
	compares := []clientv3.Cmp{clientv3.Compare(clientv3.ModRevision(key), "=", expectedRevision)}
	reads := []clientv3.Op{clientv3.OpGet(key)}
	for _, guard := range plan.Guards {
		compares = append(compares, guard.compare())
		reads = append(reads, clientv3.OpGet(guard.Key))
	}
	if none := plan.NoneSince; none != nil {
		compares = append(compares, clientv3.Compare(clientv3.CreateRevision(none.Key), "<", none.Revision+1).WithPrefix())
	}
	writes := []clientv3.Op{write}
	for _, put := range plan.Puts {
		writes = append(writes, clientv3.OpPut(put.Key, string(put.Value)))
	}
	for _, doomed := range plan.Deletes {
		writes = append(writes, clientv3.OpDelete(doomed))
	}
	for _, doomed := range plan.DeletePrefixes {
		writes = append(writes, clientv3.OpDelete(doomed, clientv3.WithPrefix()))
	}
	size, observe := max(len(compares), len(writes)), i.observe
	if requeststate.IsDryRun(ctx) {
		writes, observe = nil, unobserved
	}

	plan.outcome = Unknown
	bounded, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	response, err := i.kv.Txn(bounded).If(compares...).Then(writes...).Else(reads...).Commit()
	if err != nil {
		result, err := i.failure(ctx, err, key, expectedRevision, size, bytesOf(compares, writes, reads))
		if result != ResultUnknown {
			plan.outcome = NotSent
		}
		observe(result, size)
		return nil, false, 0, err
	}
	revision = response.Header.Revision
	if response.Succeeded {
		if requeststate.IsDryRun(ctx) {
			plan.outcome = Tried
			return nil, true, expectedRevision, nil
		}
		plan.outcome, plan.revision = Committed, revision
		observe(ResultCommitted, size)
		return nil, true, revision, nil
	}

	plan.outcome = NotSent
	object := firstOf(response.Responses[0])
	if ModRevision(object) != expectedRevision {
		observe(ResultObjectConflict, size)
		return object, false, revision, nil
	}
	observe(ResultClaimConflict, size)
	conflict := &ConflictError{Revision: revision, Found: make(map[string]*mvccpb.KeyValue, len(plan.Guards))}
	for n, guard := range plan.Guards {
		conflict.Found[guard.Key] = firstOf(response.Responses[n+1])
	}
	return nil, false, revision, conflict
}

// failure returns the error for an error of etcd about a write of a number of operations
// and bytes. Nothing was written unless the result is ResultUnknown.
func (i *Interface) failure(ctx context.Context, err error, key string, expectedRevision int64, operations, bytes int) (Result, error) {
	switch {
	case errors.Is(err, rpctypes.ErrTooManyOps):
		return ResultError, &TooLargeError{Operations: operations}
	case exceedsBytes(err):
		return ResultError, &TooLargeError{Bytes: bytes}
	case errors.Is(err, rpctypes.ErrTooManyRequests):
		return ResultError, apierrors.NewTooManyRequests(err.Error(), 1)
	case errors.Is(err, rpctypes.ErrNoSpace):
		return i.noSpace(ctx, key, expectedRevision, err)
	}
	return ResultUnknown, unanswered(ctx, err, !requeststate.IsDryRun(ctx))
}

// bytesOf returns the size of the keys and values; the rest of a request is small.
func bytesOf(compares []clientv3.Cmp, operations ...[]clientv3.Op) (total int) {
	for _, compare := range compares {
		total += len(compare.KeyBytes())
	}
	for _, op := range slices.Concat(operations...) {
		total += len(op.KeyBytes()) + len(op.ValueBytes())
	}
	return total
}

func firstOf(response *etcdserverpb.ResponseOp) *mvccpb.KeyValue {
	if kvs := response.GetResponseRange().GetKvs(); len(kvs) > 0 {
		return kvs[0]
	}
	return nil
}

// ModRevision returns the revision at which a key was last written, 0 for a missing one.
func ModRevision(kv *mvccpb.KeyValue) int64 {
	if kv == nil {
		return 0
	}
	return kv.ModRevision
}
