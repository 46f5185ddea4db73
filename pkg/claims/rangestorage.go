package claims

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/storage"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/allocation"
	"github.com/portolan-dev/portolan/pkg/allocation/space"
	"github.com/portolan-dev/portolan/pkg/apigroup"
	"github.com/portolan-dev/portolan/pkg/txn"
)

// maxRangeAttempts bounds how often a change of a range is tried because claims
// came in between. Every attempt but the first looks at few of them, so that some
// attempt finds a moment of quiet also while Services are created by the thousand.
const maxRangeAttempts = 100

// RangeStorage is the store of ServiceCIDRs or of NodePortRanges. A range goes,
// or shrinks, only if no Service is left with a claim outside every range, and
// that is decided by the transaction itself: it relies on there being no claim
// newer than those that were looked at, while new claims rely on the range. It
// reads the keys of all claims, which these rare writes can afford.
type RangeStorage struct {
	storage.Interface
	ledger *Ledger
	kv     clientv3.KV
}

var _ storage.Interface = &RangeStorage{}

// NewRangeStorage wraps a store of ranges, which must write through
// txn.Decorate's client.
func NewRangeStorage(inner storage.Interface, ledger *Ledger, kv clientv3.KV) *RangeStorage {
	return &RangeStorage{Interface: inner, ledger: ledger, kv: kv}
}

// Create writes a range, which counts from the next request on.
func (s *RangeStorage) Create(ctx context.Context, key string, obj, out runtime.Object, ttl uint64) error {
	err := s.Interface.Create(ctx, key, obj, out, ttl)
	if err == nil && !txn.IsDryRun(ctx) {
		s.ledger.setRange(out)
	}
	return err
}

// Delete removes a range that no Service needs.
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
		return apierrors.NewConflict(resourceOf(ctx, obj), nameOf(obj), held)
	}
	err := s.retry(ctx, plan, func(ctx context.Context) error {
		return s.Interface.Delete(ctx, key, out, preconditions, validate, cached, opts)
	})
	if err == nil && !txn.IsDryRun(ctx) {
		s.ledger.removeRange(out)
	}
	return err
}

// GuaranteedUpdate changes a range, refusing to leave Services outside it.
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
		going := beginsToGo(before, output)
		after := output
		if going {
			after = nil
		} else if !shrinks(before, output) {
			return output, ttl, nil
		}
		held, err := s.prepare(ctx, plan, seen, before, after)
		if err != nil {
			return nil, nil, err
		}
		if held != nil && going {
			return nil, nil, apierrors.NewConflict(resourceOf(ctx, output), nameOf(output), held)
		}
		if held != nil {
			path := field.NewPath("spec", "ports")
			return nil, nil, apierrors.NewInvalid(kindOf(ctx, output), nameOf(output), field.ErrorList{field.Forbidden(path, held.Error())})
		}
		return output, ttl, nil
	}
	err := s.retry(ctx, plan, func(ctx context.Context) error {
		return s.Interface.GuaranteedUpdate(ctx, key, destination, ignoreNotFound, preconditions, update, cached)
	})
	if err == nil && !txn.IsDryRun(ctx) {
		s.ledger.setRange(destination)
	}
	return err
}

// retry makes the call again while claims come in between the look at them and
// the transaction.
func (s *RangeStorage) retry(ctx context.Context, plan *txn.Plan, call func(context.Context) error) error {
	ctx = txn.WithPlan(ctx, plan)
	var conflict *txn.ConflictError
	for range maxRangeAttempts {
		if err := call(ctx); !errors.As(err, &conflict) {
			return err
		}
		for key, kv := range conflict.Found {
			if err := s.ledger.learnRangeAt(ctx, key, kv, conflict.Revision); err != nil {
				return err
			}
		}
	}
	return apierrors.NewTooManyRequests("claims keep coming in while the range is to be taken away; try again", 1)
}

// heldError says which claims stand in the way.
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

// survey remembers, from one attempt to the next, up to which revision the
// claims have been looked at, so that the next has only newer ones to look at.
type survey struct {
	revision int64
	// of is what was asked of each claim; where that changes, all are looked at
	// again.
	of question
}

type question struct{ lost, kept []space.Span }

func (q question) equal(other question) bool {
	return slices.Equal(q.lost, other.lost) && slices.Equal(q.kept, other.kept)
}

// from is the revision after which claims have to be looked at.
func (s *survey) from(of question) int64 {
	if !s.of.equal(of) {
		return 0
	}
	return s.revision
}

// prepare plans the change of a range from before to after, which is nil when
// the range goes. The first result is not nil if claims stand in the way.
func (s *RangeStorage) prepare(ctx context.Context, plan *txn.Plan, seen *survey, before, after runtime.Object) (*heldError, error) {
	plan.Reset()
	classes := classesOf(before)
	of := question{lost: spansOf(before), kept: append(s.others(plan, nameOf(before), classes), spansOf(after)...)}
	prefix := s.ledger.claims(classes[0]).Prefix
	response, err := s.kv.Get(ctx, prefix, clientv3.WithPrefix(), clientv3.WithKeysOnly(), clientv3.WithMinCreateRev(seen.from(of)+1))
	if err != nil {
		return nil, err
	}
	plan.NoneSince = &txn.Guard{Key: prefix, Revision: response.Header.Revision}

	var held *heldError
	for _, kv := range response.Kvs {
		value, ok := valueOf(strings.TrimPrefix(string(kv.Key), prefix))
		if !ok || !anyContains(of.lost, value) || anyContains(of.kept, value) {
			continue
		}
		claim, err := s.claim(ctx, value, kv)
		if err != nil {
			return nil, err
		}
		if claim.UID == "" {
			continue
		}
		if held == nil {
			held = &heldError{value: value, holder: apigroup.Holder(ctx, claim.Holder)}
		}
		held.count++
	}
	if held == nil {
		*seen = survey{revision: response.Header.Revision, of: of}
	}
	return held, nil
}

// claim is who holds the value of a key, which etcd is asked if the index knows
// another state of it. A claim that is gone by then holds nothing; should it
// come back, the transaction finds it.
func (s *RangeStorage) claim(ctx context.Context, value allocation.Value, kv *mvccpb.KeyValue) (allocation.Claim, error) {
	if claim, known := s.ledger.Index.Lookup(value); known && claim.Revision == kv.ModRevision {
		return claim, nil
	}
	response, err := s.kv.Get(ctx, string(kv.Key))
	if err != nil || len(response.Kvs) == 0 {
		return allocation.Claim{}, err
	}
	return s.ledger.decodeClaim(ctx, value, response.Kvs[0])
}

// others are the spans of the other usable ranges; the transaction relies on
// them.
func (s *RangeStorage) others(plan *txn.Plan, name string, classes []allocation.Class) []space.Span {
	var spans []space.Span
	guarded := map[string]bool{name: true}
	for _, class := range classes {
		for _, r := range s.ledger.Index.Ranges(class) {
			if r.Name == name || !r.Usable {
				continue
			}
			for _, block := range r.Blocks {
				spans = append(spans, block.Span)
			}
			if !guarded[r.Name] {
				guarded[r.Name] = true
				plan.Guards = append(plan.Guards, txn.Guard{Key: s.ledger.ranges(class).Key(r.Name), Revision: r.Revision})
			}
		}
	}
	return spans
}

// beginsToGo says whether an update marks a range, which has a finalizer, for
// deletion: from then on nothing may be claimed from it.
func beginsToGo(before, after runtime.Object) bool {
	old, err := meta.Accessor(before)
	if err != nil {
		return false
	}
	marked, err := meta.Accessor(after)
	return err == nil && old.GetDeletionTimestamp() == nil && marked.GetDeletionTimestamp() != nil
}

// shrinks says whether an update may take numbers away from a range.
func shrinks(before, after runtime.Object) bool {
	old, ok := before.(*v1.NodePortRange)
	if !ok {
		// The entries of a ServiceCIDR can't be changed.
		return false
	}
	return !slices.Equal(old.Spec.Ports, after.(*v1.NodePortRange).Spec.Ports)
}

func anyContains(spans []space.Span, value allocation.Value) bool {
	return slices.ContainsFunc(spans, func(s space.Span) bool { return s.Contains(value.Number) })
}
