package claims

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/storage"

	"github.com/portolan-dev/portolan/pkg/allocation"
	"github.com/portolan-dev/portolan/pkg/allocation/space"
	"github.com/portolan-dev/portolan/pkg/apigroup"
	"github.com/portolan-dev/portolan/pkg/requeststate"
	"github.com/portolan-dev/portolan/pkg/txn"
)

// maxRangeAttempts bounds the attempts of a change of a range that conflict with new
// claims. Every attempt but the first reads only the claims created since the one
// before, so that one of them succeeds even while thousands of Services are created.
const maxRangeAttempts = 100

// RangeStorage is the store of ServiceCIDRs, NodePortRanges or LoadBalancerPools. A range can
// be deleted, or shrunk, only if that leaves no held claim outside every range. The
// transaction decides it: it relies on there being no claim newer than those that were read,
// while new claims rely on the range. These rare writes read the keys of all claims.
type RangeStorage struct {
	storage.Interface
	ledger *Ledger
	kind   *storedKind
	kv     clientv3.KV
}

var _ storage.Interface = &RangeStorage{}

// NewRangeStorage wraps the store of a resource of ranges, which must write through
// txn.Decorate's client.
func NewRangeStorage(inner storage.Interface, ledger *Ledger, resource string, kv clientv3.KV) *RangeStorage {
	return &RangeStorage{Interface: inner, ledger: ledger, kind: ledger.kindOfRanges(resource), kv: kv}
}

// Create writes a range. Requests can use it from then on.
func (s *RangeStorage) Create(ctx context.Context, key string, obj, out runtime.Object, ttl uint64) error {
	err := s.Interface.Create(ctx, key, obj, out, ttl)
	if err == nil && !requeststate.IsDryRun(ctx) {
		enterRange(s.ledger.Index, s.kind, out, revisionOf(out))
	}
	return err
}

// Delete deletes a range that no Service needs.
func (s *RangeStorage) Delete(ctx context.Context, key string, out runtime.Object, preconditions *storage.Preconditions,
	validateDeletion storage.ValidateObjectFunc, cached runtime.Object, opts storage.DeleteOptions) error {
	plan, seen := &txn.Plan{}, &survey{}
	validate := func(ctx context.Context, obj runtime.Object) error {
		if err := validateDeletion(ctx, obj); err != nil {
			return err
		}
		held, err := s.prepare(ctx, plan, seen, obj, nil)
		if err != nil || held == nil {
			return err
		}
		return apierrors.NewConflict(s.resource(ctx), nameOf(obj), held)
	}
	err := s.retry(plan).do(ctx, func(ctx context.Context) error {
		return s.Interface.Delete(ctx, key, out, preconditions, validate, cached, opts)
	})
	if err == nil && !requeststate.IsDryRun(ctx) {
		removeRange(s.ledger.Index, s.kind, nameOf(out), revisionOf(out))
	}
	return err
}

// GuaranteedUpdate changes a range, unless that leaves held claims outside every range.
func (s *RangeStorage) GuaranteedUpdate(ctx context.Context, key string, destination runtime.Object, ignoreNotFound bool,
	preconditions *storage.Preconditions, tryUpdate storage.UpdateFunc, cached runtime.Object) error {
	plan, seen := &txn.Plan{}, &survey{}
	update := func(input runtime.Object, res storage.ResponseMeta) (runtime.Object, *uint64, error) {
		before := input.DeepCopyObject()
		output, ttl, err := tryUpdate(input, res)
		if err != nil {
			return nil, nil, err
		}
		plan.Reset()
		marks := marksForDeletion(before, output)
		shrunk := s.kind.shrinks(before, output)
		after := output
		if marks {
			after = nil
		} else if shrunk == nil {
			return output, ttl, nil
		}
		held, err := s.prepare(ctx, plan, seen, before, after)
		if err != nil {
			return nil, nil, err
		}
		if held != nil && marks {
			return nil, nil, apierrors.NewConflict(s.resource(ctx), nameOf(output), held)
		}
		if held != nil {
			groupKind := apigroup.Kind(ctx, s.kind.names().ranges, s.kind.names().rangeKind)
			return nil, nil, apierrors.NewInvalid(groupKind, nameOf(output), field.ErrorList{field.Forbidden(shrunk, held.Error())})
		}
		return output, ttl, nil
	}
	err := s.retry(plan).do(ctx, func(ctx context.Context) error {
		return s.Interface.GuaranteedUpdate(ctx, key, destination, ignoreNotFound, preconditions, update, cached)
	})
	if err == nil && !requeststate.IsDryRun(ctx) {
		enterRange(s.ledger.Index, s.kind, destination, revisionOf(destination))
	}
	return err
}

// resource is the resource of the ranges in the API group of the request.
func (s *RangeStorage) resource(ctx context.Context) schema.GroupResource {
	return apigroup.Resource(ctx, s.kind.names().ranges)
}

// retry repeats a call while new claims conflict with its transaction.
func (s *RangeStorage) retry(plan *txn.Plan) retry {
	return retry{plan: plan, attempts: maxRangeAttempts, learn: s.learn,
		busy: "claims keep coming in while the range is to be taken away; try again"}
}

// learn enters the ranges that a rejected transaction found into the index.
func (s *RangeStorage) learn(ctx context.Context, conflict *txn.ConflictError) error {
	for key, kv := range conflict.Found {
		// Every guard of the plan is one of a range.
		name := strings.TrimPrefix(key, s.kind.ranges.Prefix)
		if err := s.ledger.learnRange(ctx, s.kind, name, kv, conflict.Revision); err != nil {
			return err
		}
	}
	return nil
}

// heldError reports claims that keep a range from being changed.
type heldError struct {
	value  allocation.Value
	holder string
	count  int
}

func (e *heldError) Error() string {
	text := fmt.Sprintf("%s is held by %s and lies in no other range", e.value, e.holder)
	if e.count > 1 {
		text += fmt.Sprintf(" (and %d more)", e.count-1)
	}
	return text + "; delete the Services or add a range that has their values first"
}

// survey carries from one attempt to the next the revision up to which the claims have
// been read, so that the next attempt reads only newer ones.
type survey struct {
	revision int64
	// change is what the claims were checked against. If it differs, all claims are read
	// again.
	change spanChange
}

// spanChange has the spans that a range loses, and those that remain in it and in others.
type spanChange struct{ lost, kept []space.Span }

func (c spanChange) equal(other spanChange) bool {
	return slices.Equal(c.lost, other.lost) && slices.Equal(c.kept, other.kept)
}

// from returns the revision after which claims must be read.
func (s *survey) from(change spanChange) int64 {
	if !s.change.equal(change) {
		return 0
	}
	return s.revision
}

// prepare plans the change of a range from before to after, or its deletion if after is
// nil. The first result is not nil if claims prevent the change.
func (s *RangeStorage) prepare(ctx context.Context, plan *txn.Plan, seen *survey, before, after runtime.Object) (*heldError, error) {
	plan.Reset()
	change := spanChange{lost: s.kind.spans(before), kept: append(s.others(plan, nameOf(before)), s.kind.spans(after)...)}
	prefix := s.kind.claims.Prefix
	response, err := s.kv.Get(ctx, prefix, clientv3.WithPrefix(), clientv3.WithKeysOnly(), clientv3.WithMinCreateRev(seen.from(change)+1))
	if err != nil {
		return nil, err
	}
	plan.NoneSince = &txn.Guard{Key: prefix, Revision: response.Header.Revision}

	var held *heldError
	for _, kv := range response.Kvs {
		value, ok := s.kind.parse(strings.TrimPrefix(string(kv.Key), prefix))
		if !ok || !anyContains(change.lost, value) || anyContains(change.kept, value) {
			continue
		}
		claim, err := s.claim(ctx, value, kv)
		if err != nil {
			return nil, err
		}
		if claim.Holder.UID == "" {
			continue
		}
		if held == nil {
			held = &heldError{value: value, holder: apigroup.Holder(ctx, claim.Holder)}
		}
		held.count++
	}
	if held == nil {
		*seen = survey{revision: response.Header.Revision, change: change}
	}
	return held, nil
}

// claim returns the claim that is stored under a key. It reads etcd if the index has
// another revision of it. A claim that has been deleted meanwhile holds nothing; if it is
// created again, the transaction finds it.
func (s *RangeStorage) claim(ctx context.Context, value allocation.Value, kv *mvccpb.KeyValue) (allocation.Claim, error) {
	if claim, known := s.ledger.Index.Lookup(value); known && claim.Revision == kv.ModRevision {
		return claim, nil
	}
	response, err := s.kv.Get(ctx, string(kv.Key))
	if err != nil || len(response.Kvs) == 0 {
		return allocation.Claim{}, err
	}
	return s.kind.decodeClaim(ctx, response.Kvs[0])
}

// others returns the spans of the other usable ranges and guards these ranges.
func (s *RangeStorage) others(plan *txn.Plan, name string) []space.Span {
	var spans []space.Span
	guarded := map[string]bool{name: true}
	for _, class := range s.kind.classes() {
		for _, r := range s.ledger.Index.Ranges(class) {
			if r.Name == name || !r.Usable {
				continue
			}
			for _, block := range r.Blocks {
				spans = append(spans, block.Span)
			}
			if !guarded[r.Name] {
				guarded[r.Name] = true
				plan.Guards = append(plan.Guards, txn.Guard{Key: s.kind.ranges.Key(r.Name), Revision: r.Revision})
			}
		}
	}
	return spans
}

// marksForDeletion reports whether an update marks a range, which has a finalizer, for
// deletion. No new claim may lie in the range from then on.
func marksForDeletion(before, after runtime.Object) bool {
	old, err := meta.Accessor(before)
	if err != nil {
		return false
	}
	marked, err := meta.Accessor(after)
	return err == nil && old.GetDeletionTimestamp() == nil && marked.GetDeletionTimestamp() != nil
}

func anyContains(spans []space.Span, value allocation.Value) bool {
	return slices.ContainsFunc(spans, func(s space.Span) bool { return s.Contains(value.Number) })
}
