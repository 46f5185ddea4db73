package claims

import (
	"context"
	"slices"
	"strings"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/client/v3/kubernetes"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/generic"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/allocation"
	portolanstorage "github.com/portolan-dev/portolan/pkg/storage"
	"github.com/portolan-dev/portolan/pkg/txn"
)

// Ledger turns claims into what a transaction compares and writes, and what
// etcd says back into facts of the index.
type Ledger struct {
	Index *allocation.Index

	client   kubernetes.Interface
	mayRead  MayRead
	observer Observer

	addresses, ports          portolanstorage.Resource
	addressRanges, portRanges portolanstorage.Resource

	// Dependents are what goes with a Service besides its claims.
	Dependents Dependents
}

// Read is a look at one object of this project's group.
type Read struct {
	Resource, Namespace, Name string
}

// MayRead says whether who makes the request may take that look.
type MayRead func(ctx context.Context, read Read) bool

// NewLedger makes a ledger that writes claims where the stores of their
// resources do. mayRead decides whether an error names the holder of a value;
// the observer may be nil.
func NewLedger(index *allocation.Index, client kubernetes.Interface, getter generic.RESTOptionsGetter, mayRead MayRead, observer Observer) (*Ledger, error) {
	ledger := &Ledger{Index: index, client: client, mayRead: mayRead, observer: observer, Dependents: Dependents{client: client}}
	for _, kind := range []struct {
		resource string
		example  runtime.Object
		into     *portolanstorage.Resource
	}{
		{"ipaddresses", &v1.IPAddress{}, &ledger.addresses},
		{"nodeports", &v1.NodePort{}, &ledger.ports},
		{"servicecidrs", &v1.ServiceCIDR{}, &ledger.addressRanges},
		{"nodeportranges", &v1.NodePortRange{}, &ledger.portRanges},
		{"endpoints", &v1.Endpoints{}, &ledger.Dependents.endpoints},
		{"endpointslices", &v1.EndpointSlice{}, &ledger.Dependents.slices},
	} {
		options, err := getter.GetRESTOptions(v1.Resource(kind.resource), kind.example)
		if err != nil {
			return nil, err
		}
		*kind.into = portolanstorage.NewResource(options)
	}
	return ledger, nil
}

func (l *Ledger) claims(class allocation.Class) portolanstorage.Resource {
	if class == allocation.Port {
		return l.ports
	}
	return l.addresses
}

func (l *Ledger) ranges(class allocation.Class) portolanstorage.Resource {
	if class == allocation.Port {
		return l.portRanges
	}
	return l.addressRanges
}

// attempt is one attempt at a write: what it changes, and what the keys in its
// plan stand for.
type attempt struct {
	difference
	owner  *v1.Service
	insist bool
	values map[string]allocation.Value
	ranges map[string]rangeGuard
}

type rangeGuard struct {
	class allocation.Class
	name  string
}

// change is what one attempt at a write makes of a Service.
type change struct {
	owner         *v1.Service
	before, after holdings
	// insist says that the write is rejected if another has what the Service keeps.
	insist bool
	// created are the revisions at which claims of the Service were created, by
	// key, as far as a refused transaction has told. What a Service releases is
	// guarded by that: others may go on writing to the claim, but that is no
	// reason to keep it.
	created map[string]int64
	// force says that what others write meanwhile to claims that the Service
	// rewrites may be lost: they have kept the write from succeeding for long
	// enough.
	force bool
}

// plan fills in the plan of a write. Every key it names is guarded by what the
// index knows of it; a guard that is out of date costs another attempt, never a
// wrong write.
func (l *Ledger) plan(ctx context.Context, plan *txn.Plan, c change) (*attempt, error) {
	plan.Reset()
	a := &attempt{
		difference: differ(c.before, c.after), owner: c.owner, insist: c.insist,
		values: map[string]allocation.Value{}, ranges: map[string]rangeGuard{},
	}
	if err := l.findUnclaimed(ctx, a, c); err != nil {
		return nil, err
	}
	sortAsWritten(c.owner, a.take)
	for _, value := range a.release {
		key := l.claims(value.Class).Key(value.String())
		claim, known := l.Index.Lookup(value)
		a.guard(plan, key, value, claim.Revision).Creation = c.created[key]
		if known && claim.UID == string(c.owner.UID) {
			plan.Deletes = append(plan.Deletes, key)
		}
	}
	for _, value := range a.take {
		if err := l.guardRange(plan, a, value); err != nil {
			return nil, err
		}
	}
	for _, value := range slices.Concat(a.take, a.adopt) {
		put, err := l.newClaim(ctx, c.owner, value, c.after[value])
		if err != nil {
			return nil, err
		}
		a.guard(plan, put.Key, value, 0)
		plan.Puts = append(plan.Puts, put)
	}
	return a, l.planRewrites(ctx, plan, a, c)
}

func (a *attempt) guard(plan *txn.Plan, key string, value allocation.Value, revision int64) *txn.Guard {
	a.values[key] = value
	plan.Guards = append(plan.Guards, txn.Guard{Key: key, Revision: revision})
	return &plan.Guards[len(plan.Guards)-1]
}

// guardRange makes the transaction rely on the range that a new claim lies in.
func (l *Ledger) guardRange(plan *txn.Plan, a *attempt, value allocation.Value) error {
	name, revision, ok := l.Index.Covering(value)
	if !ok {
		return &outOfRangeError{value: value}
	}
	key := l.ranges(value.Class).Key(name)
	if _, guarded := a.ranges[key]; !guarded {
		a.ranges[key] = rangeGuard{value.Class, name}
		plan.Guards = append(plan.Guards, txn.Guard{Key: key, Revision: revision})
	}
	return nil
}

func (l *Ledger) newClaim(ctx context.Context, owner *v1.Service, value allocation.Value, protocols []corev1.Protocol) (txn.Put, error) {
	name := value.String()
	if value.Class == allocation.Port {
		return l.ports.Encode(ctx, name, v1.NewHeldPort(name, protocols, owner))
	}
	return l.addresses.Encode(ctx, name, v1.NewHeldAddress(name, owner))
}

// committed enters what a transaction of this replica did into the index,
// ahead of the watch.
func (l *Ledger) committed(a *attempt, revision int64) {
	claim := claimOf(v1.HolderOf(a.owner), revision)
	for _, value := range slices.Concat(a.take, a.adopt, a.rewrite) {
		l.Index.Observe(value, claim)
	}
	for _, value := range a.release {
		if known, ok := l.Index.Lookup(value); ok && known.UID == string(a.owner.UID) {
			l.Index.Released(value, revision)
		}
	}
}

// learn enters what etcd held where a transaction was refused into the index.
func (l *Ledger) learn(ctx context.Context, a *attempt, conflict *txn.ConflictError) error {
	for key, kv := range conflict.Found {
		if value, ok := a.values[key]; ok {
			if err := l.learnClaim(ctx, value, kv, conflict.Revision); err != nil {
				return err
			}
		} else if guard, ok := a.ranges[key]; ok {
			if err := l.learnRange(ctx, guard, kv, conflict.Revision); err != nil {
				return err
			}
		}
	}
	return nil
}

// creations are when the claims that an attempt releases were created, after the
// index has learnt what refused the attempt.
func (l *Ledger) creations(a *attempt, conflict *txn.ConflictError) map[string]int64 {
	created := map[string]int64{}
	for _, value := range a.release {
		key := l.claims(value.Class).Key(value.String())
		if kv := conflict.Found[key]; kv != nil && l.owns(a.owner, value) {
			created[key] = kv.CreateRevision
		}
	}
	return created
}

func (l *Ledger) learnClaim(ctx context.Context, value allocation.Value, kv *mvccpb.KeyValue, revision int64) error {
	if kv == nil {
		l.Index.Absent(value, revision)
		return nil
	}
	claim, err := l.decodeClaim(ctx, value, kv)
	if err != nil {
		return err
	}
	l.Index.Observe(value, claim)
	return nil
}

// decodeClaim is what a value's key says.
func (l *Ledger) decodeClaim(ctx context.Context, value allocation.Value, kv *mvccpb.KeyValue) (allocation.Claim, error) {
	if value.Class == allocation.Port {
		var port v1.NodePort
		err := l.ports.Decode(ctx, kv, &port)
		return claimOf(port.Spec.ParentRef, kv.ModRevision), err
	}
	var address v1.IPAddress
	err := l.addresses.Decode(ctx, kv, &address)
	return claimOf(address.Spec.ParentRef, kv.ModRevision), err
}

// learnRangeAt enters what was found at a range's key.
func (l *Ledger) learnRangeAt(ctx context.Context, key string, kv *mvccpb.KeyValue, revision int64) error {
	for _, class := range []allocation.Class{allocation.IPv4, allocation.Port} {
		if name, ok := strings.CutPrefix(key, l.ranges(class).Prefix); ok {
			return l.learnRange(ctx, rangeGuard{class, name}, kv, revision)
		}
	}
	return nil
}

func (l *Ledger) learnRange(ctx context.Context, guard rangeGuard, kv *mvccpb.KeyValue, revision int64) error {
	if guard.class == allocation.Port {
		if kv == nil {
			l.Index.RemoveRange(allocation.Port, guard.name, revision)
			return nil
		}
		var r v1.NodePortRange
		if err := l.portRanges.Decode(ctx, kv, &r); err != nil {
			return err
		}
		setPortRange(l.Index, &r, kv.ModRevision)
		return nil
	}
	if kv == nil {
		l.Index.RemoveRange(allocation.IPv4, guard.name, revision)
		l.Index.RemoveRange(allocation.IPv6, guard.name, revision)
		return nil
	}
	var r v1.ServiceCIDR
	if err := l.addressRanges.Decode(ctx, kv, &r); err != nil {
		return err
	}
	setAddressRange(l.Index, &r, kv.ModRevision)
	return nil
}

func claimOf(parent *v1.ParentReference, revision int64) allocation.Claim {
	claim := allocation.Claim{Revision: revision}
	if parent != nil {
		claim.UID = string(parent.UID)
		claim.Holder = parent.Holder()
	}
	return claim
}
