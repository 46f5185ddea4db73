package claims

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/storage"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/allocation"
	"github.com/portolan-dev/portolan/pkg/apigroup"
	"github.com/portolan-dev/portolan/pkg/cascade"
	"github.com/portolan-dev/portolan/pkg/requeststate"
	"github.com/portolan-dev/portolan/pkg/service"
	"github.com/portolan-dev/portolan/pkg/txn"
)

// maxAttempts bounds the attempts of one storage call whose transaction is rejected
// because a claim or a range differs from the index. Each rejection brings the index up
// to date on every key of the transaction, so the next attempt fails only if something
// has changed again in between.
const maxAttempts = 8

// maxSharedAttempts is the bound for a write that joins or leaves other holders of a value.
// Each of them may do so in between. Those of this replica take turns. It is also the bound
// for a write that takes permits: other replicas may take the same ones when few are left.
const maxSharedAttempts = 64

// Storage is the store of Services with their claims. Reads pass through unchanged.
type Storage struct {
	storage.Interface
	ledger  *Ledger
	cascade *cascade.Cascade
}

var _ storage.Interface = &Storage{}

// NewStorage wraps the store of Services, which must write through txn.Decorate's client.
// It belongs below the watch cache, where it sees the objects of each attempt.
func NewStorage(inner storage.Interface, ledger *Ledger, dependents *cascade.Cascade) *Storage {
	return &Storage{Interface: inner, ledger: ledger, cascade: dependents}
}

func (s *Storage) begin(ctx context.Context) (context.Context, *write) {
	w := &write{
		ledger: s.ledger, groupKind: apigroup.Kind(ctx, "services", "Service"), picks: requeststate.From(ctx).Picks, plan: &txn.Plan{},
		charges: newCharges(), observer: s.ledger.observe(), began: time.Now(),
	}
	if requeststate.IsDryRun(ctx) {
		w.observer = silent{}
	}
	w.done = w.picks.BeginWrite()
	return txn.WithPlan(ctx, w.plan), w
}

// Create writes a Service and its claims.
func (s *Storage) Create(ctx context.Context, key string, obj, out runtime.Object, ttl uint64) (err error) {
	svc, err := serviceOf(obj)
	if err != nil {
		return err
	}
	ctx, w := s.begin(ctx)
	defer func() { w.end(err) }()
	if cause := w.picks.Refusal(); cause != nil {
		return s.unlessExists(ctx, key, created(svc, w.refuse(ctx, svc, cause)))
	}
	for w.mayTry() {
		err := w.prepare(ctx, change{owner: svc, after: holdingsOf(svc), holder: svc.UID})
		planned := err == nil
		if planned {
			err = w.settle(ctx, s.Interface.Create(ctx, key, obj, out, ttl))
		}
		again, ok := errors.AsType[*retryError](err)
		switch {
		case ok && !again.reserved:
			err = w.pickAgain(ctx, svc, again.lost)
		case planned:
			return err
		}
		if err != nil {
			return s.unlessExists(ctx, key, created(svc, err))
		}
	}
	return errContended(svc)
}

// created returns the error of a create. Its admission can't run again here, so the client
// must retry if there are reservations that admission did not know.
func created(svc *v1.Service, err error) error {
	if again, ok := errors.AsType[*retryError](err); ok && again.reserved {
		return errReserved(svc)
	}
	return err
}

// unlessExists returns AlreadyExists if the object exists, and else the refusal.
func (s *Storage) unlessExists(ctx context.Context, key string, refusal error) error {
	if err := s.Interface.Get(ctx, key, storage.GetOptions{}, &v1.Service{}); err == nil {
		return storage.NewKeyExistsError(key, 0)
	}
	return refusal
}

// GuaranteedUpdate writes a Service and the changes of its claims. A pick that was lost
// is replaced by running tryUpdate again, which passes through admission.
func (s *Storage) GuaranteedUpdate(ctx context.Context, key string, destination runtime.Object, ignoreNotFound bool,
	preconditions *storage.Preconditions, tryUpdate storage.UpdateFunc, cached runtime.Object) (err error) {
	ctx, w := s.begin(ctx)
	defer func() { w.end(err) }()
	var owner *v1.Service
	update := func(input runtime.Object, res storage.ResponseMeta) (runtime.Object, *uint64, error) {
		stored, err := serviceOf(input)
		if err != nil {
			return nil, nil, err
		}
		w.picks.ClearFailures()
		// tryUpdate may change its input.
		stored = stored.DeepCopy()
		before := holdingsOf(stored)
		output, ttl, err := tryUpdate(input, res)
		if err != nil {
			return nil, nil, err
		}
		if owner, err = serviceOf(output); err != nil {
			return nil, nil, err
		}
		if cause := w.picks.Refusal(); cause != nil {
			return nil, nil, w.refuse(ctx, owner, cause)
		}
		after := holdingsOf(owner)
		err = w.prepare(ctx, change{
			owner: owner, before: before, after: after, holder: stored.UID, copied: v1.IsMirrored(stored), waits: waits(stored),
			strict: func() bool { return isStrict(stored, owner) },
		})
		if again, ok := errors.AsType[*retryError](err); ok {
			// The store runs this again by itself if input was outdated.
			w.picks.Lose(again.lost)
		}
		return output, ttl, err
	}
	for w.mayTry() {
		err := w.settle(ctx, s.Interface.GuaranteedUpdate(ctx, key, destination, ignoreNotFound, preconditions, update, cached))
		again, ok := errors.AsType[*retryError](err)
		if !ok {
			return err
		}
		w.picks.Lose(again.lost)
		cached = nil
	}
	return errContended(owner)
}

// Delete deletes a Service, its claims and its dependents. Claims that the Service retains
// become reservations for it.
func (s *Storage) Delete(ctx context.Context, key string, out runtime.Object, preconditions *storage.Preconditions,
	validateDeletion storage.ValidateObjectFunc, cached runtime.Object, opts storage.DeleteOptions) (err error) {
	ctx, w := s.begin(ctx)
	defer func() { w.end(err) }()
	dependents := s.cascade.Begin()
	var owner *v1.Service
	validate := func(ctx context.Context, obj runtime.Object) error {
		if err := validateDeletion(ctx, obj); err != nil {
			return err
		}
		var err error
		if owner, err = serviceOf(obj); err != nil {
			return err
		}
		err = w.prepare(ctx, change{
			owner: owner, before: holdingsOf(owner), holder: owner.UID, copied: v1.IsMirrored(owner), retain: retentionOf(owner, time.Now()),
		})
		if err != nil {
			return err
		}
		return dependents.Plan(ctx, w.plan, owner)
	}
	for w.mayTry() {
		err := s.Interface.Delete(ctx, key, out, preconditions, validate, cached, opts)
		if dependents.Learn(err) {
			continue
		}
		err = w.settle(ctx, err)
		if _, again := errors.AsType[*retryError](err); !again {
			return err
		}
		cached = nil
	}
	return errContended(owner)
}

// write is one storage call, over all its attempts.
type write struct {
	ledger *Ledger
	// groupKind is the kind of a Service in the API group of the request.
	groupKind schema.GroupKind
	picks     *requeststate.Picks
	charges   *charges
	plan      *txn.Plan
	// last is the attempt that was planned last.
	last *attempt
	// created is change.created of the next attempt.
	created map[string]int64
	// relist is change.relist of the next attempt.
	relist bool

	observer Observer
	began    time.Time
	attempts int
	// calls counts the calls of the store that the write wraps.
	calls int
	// done tells the picks that the write has ended.
	done func()
	// leave ends the write's turn. It is nil if it has none.
	leave func()
}

// mayTry reports whether the write may call the store once more.
func (w *write) mayTry() bool {
	limit := maxAttempts
	if w.leave != nil || w.last != nil && len(w.last.permits) > 0 {
		limit = maxSharedAttempts
	}
	w.calls++
	return w.calls <= limit
}

// end must be called with the error that the storage call returns.
func (w *write) end(err error) {
	w.done()
	w.charges.drop()
	if w.leave != nil {
		w.leave()
	}
	if w.attempts > 0 {
		w.observer.Wrote(w.attempts)
	}
	if !apierrors.IsInvalid(err) {
		w.picks.ClearFailures()
	}
}

// retryError says that the write must make another attempt. It never leaves the package.
type retryError struct {
	// lost are the picks of the attempt that another write has claimed, or whose range is
	// gone. The next attempt needs others in their place.
	lost []allocation.Value
	// reserved is true if values are reserved for the Service that admission did not know.
	reserved bool
}

func (e *retryError) Error() string { return "what the write relies on has changed" }

// prepare plans the next attempt. It returns a *retryError if picks of this one lie in no
// usable range anymore.
func (w *write) prepare(ctx context.Context, c change) error {
	w.attempts++
	c.created, c.force, c.relist, c.picks, c.charges = w.created, w.attempts > maxAttempts/2, w.relist, w.picks, w.charges
	w.charges.drop()
	if err := w.takeTurn(ctx, c); err != nil {
		return err
	}
	attempt, err := w.ledger.plan(ctx, w.plan, c)
	if exceeded, ok := errors.AsType[*exceededError](err); ok && w.withhold(&c, exceeded) {
		w.charges.drop()
		attempt, err = w.ledger.plan(ctx, w.plan, c)
	}
	if outside, ok := errors.AsType[*outOfRangeError](err); ok {
		if w.picks.Picked(outside.value) {
			return w.retryOutside(ctx, c)
		}
		return w.reject(c.owner, outside.value, w.ledger.outOfRange(c.owner, outside))
	}
	if unshared, ok := errors.AsType[*unsharedError](err); ok {
		if w.picks.Picked(unshared.value) {
			w.observer.Lost(unshared.value.Class)
			return &retryError{lost: []allocation.Value{unshared.value}}
		}
		return w.reject(c.owner, unshared.value, w.ledger.taken(ctx, c.owner, unshared.value, unshared.objection))
	}
	if exceeded, ok := errors.AsType[*exceededError](err); ok {
		return apierrors.NewForbidden(apigroup.Resource(ctx, "services"), c.owner.Name, exceeded)
	}
	if err != nil {
		return err
	}
	w.last = attempt
	return nil
}

// withhold keeps load-balancer addresses that a quota does not allow from a stored Service that
// waits for them: it goes on waiting. It reports false for other Services, whose write the quota
// rejects.
func (w *write) withhold(c *change, exceeded *exceededError) bool {
	if !exceeded.mayCover(allocation.LoadBalancerIPv4) {
		return false
	}
	held := service.LoadBalancerAddresses(c.owner)
	others := slices.DeleteFunc(slices.Clone(held), func(addr netip.Addr) bool {
		value := allocation.LoadBalancerAddress(addr)
		_, has := c.before[value]
		return !has && w.picks.Picked(value)
	})
	switch status := &c.owner.Status; {
	case c.waits:
		service.WaitForLoadBalancer(status, v1.ReasonQuotaExceeded, exceeded.Error(), metav1.Now())
		c.waits = false
	case len(others) > 0 && len(others) < len(held):
		service.SetLoadBalancerAddresses(status, others, exceeded.Error(), metav1.Now())
	default:
		return false
	}
	c.after = holdingsOf(c.owner)
	return true
}

// retryOutside returns a *retryError with the picks of an attempt that lie in no usable
// range anymore, or in none that serves the Service.
func (w *write) retryOutside(ctx context.Context, c change) error {
	who, err := w.ledger.Requester(ctx, c.owner)
	if err != nil {
		return err
	}
	outside := slices.DeleteFunc(diff(c.before, c.after).take, func(value allocation.Value) bool {
		_, err := w.ledger.Index.Covering(value, who.Of(value.Class))
		return err == nil || !w.picks.Picked(value)
	})
	for _, value := range outside {
		w.observer.Lost(value.Class)
	}
	return &retryError{lost: outside}
}

// settle takes the error of the store's call and returns that of the write. A *retryError
// says that the call must be made again.
func (w *write) settle(ctx context.Context, err error) error {
	switch outcome, revision := w.plan.Outcome(); outcome {
	case txn.Committed:
		w.ledger.committed(w.last, revision)
		w.charges.claimed()
		w.allocated(w.picks.Claimed(w.last.take), revision)
		return err
	case txn.Unknown:
		w.picks.RecordUnanswered()
		w.charges.claimed()
		return err
	case txn.Tried:
		return err
	}
	if conflict, ok := errors.AsType[*txn.ConflictError](err); ok {
		return w.resolve(ctx, conflict)
	}
	return interpret(err, w.last)
}

// resolve enters what a rejected transaction found into the index. It rejects the write
// if a value that the client named is taken, or that the Service must keep. Otherwise it
// returns a *retryError with the picks that another write has claimed.
func (w *write) resolve(ctx context.Context, conflict *txn.ConflictError) error {
	if err := w.ledger.learn(ctx, w.last, conflict); err != nil {
		return err
	}
	if err := w.ledger.learnPermits(w.last, w.charges, conflict); err != nil {
		return err
	}
	w.created = w.ledger.creations(w.last, conflict)
	w.relist = w.last.listing != ""
	if value, unavailable := w.ledger.checkAdopted(ctx, w.last); unavailable != nil {
		return w.reject(w.last.owner, value, unavailable)
	}
	who, err := w.ledger.Requester(ctx, w.last.owner)
	if err != nil {
		return err
	}
	var lost []allocation.Value
	for _, value := range w.last.take {
		switch unavailable := w.ledger.Check(ctx, who, value); {
		case unavailable == nil:
		case w.picks.Picked(value):
			lost = append(lost, value)
			w.observer.Lost(value.Class)
		default:
			return w.reject(w.last.owner, value, unavailable)
		}
	}
	return &retryError{lost: lost}
}

// pickAgain picks other values in place of the lost ones, and puts them into the Service.
// A Service that can do without a value has none if no other is free.
func (w *write) pickAgain(ctx context.Context, svc *v1.Service, lost []allocation.Value) error {
	who, err := w.ledger.Requester(ctx, svc)
	if err != nil {
		return err
	}
	for _, value := range lost {
		k := kindOf(value.Class)
		other, err := w.picks.Replace(value, who.Of(value.Class))
		if err != nil && k.withdraw(svc, value, err) {
			continue
		}
		if err != nil {
			return w.refuse(ctx, svc, FieldError(svc, value, err))
		}
		k.substitute(svc, value, other)
	}
	return nil
}
