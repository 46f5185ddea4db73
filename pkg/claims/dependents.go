package claims

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/client/v3/kubernetes"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/klog/v2"
	"k8s.io/utils/ptr"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/apis/portolan/validation"
	portolanstorage "github.com/portolan-dev/portolan/pkg/storage"
	"github.com/portolan-dev/portolan/pkg/txn"
)

const (
	// defaultTxnOps is what etcd takes in a transaction unless it is told
	// otherwise (--max-txn-ops).
	defaultTxnOps = 128
	// maxMarkedBytes leaves room in the 1.5 MiB that etcd takes in a request unless
	// it is told otherwise (--max-request-bytes).
	maxMarkedBytes = 1 << 20
)

// Dependents are what goes with a Service, in the transaction that removes it:
// the Endpoints of its name, and the EndpointSlices that carry its name in the
// label kubernetes.io/service-name and that it or its Endpoints own, or that the
// controllers wrote. The next Service of the name inherits none. Those with
// finalizers are marked for deletion in the same transaction, as a DELETE would.
//
// Slices that somebody else wrote stay, as in Kubernetes. So do those that the
// watch cache does not know yet: slices that came through another replica a moment
// ago. What this replica itself has written counts at once. What etcd does not
// take in one transaction stays as well, for a Service can always be deleted.
// Whatever stays is left to its owner reference.
type Dependents struct {
	client            kubernetes.Interface
	endpoints, slices portolanstorage.Resource

	endpointsReader rest.Getter
	slicesReader    SlicesReader
	// written is the highest revision at which this replica wrote a slice.
	written atomic.Uint64
}

// SlicesReader lists the EndpointSlices that carry the name of a Service, from a
// cache that is not older than a revision.
type SlicesReader interface {
	OfService(ctx context.Context, namespace, service string, notOlderThan uint64) ([]v1.EndpointSlice, error)
}

// ReadFrom says where Endpoints and EndpointSlices are looked up; before it has
// been called, nothing goes with a Service. It must not be called while requests
// are served.
func (d *Dependents) ReadFrom(endpoints rest.Getter, slices SlicesReader) {
	d.endpointsReader, d.slicesReader = endpoints, slices
}

// RecordWrites wraps the store of EndpointSlices, below the watch cache, and
// remembers what has been written.
func (d *Dependents) RecordWrites(inner storage.Interface) storage.Interface {
	return &recorder{Interface: inner, written: &d.written}
}

type recorder struct {
	storage.Interface
	written *atomic.Uint64
}

func (r *recorder) Create(ctx context.Context, key string, obj, out runtime.Object, ttl uint64) error {
	err := r.Interface.Create(ctx, key, obj, out, ttl)
	return r.record(out, err)
}

func (r *recorder) GuaranteedUpdate(ctx context.Context, key string, destination runtime.Object, ignoreNotFound bool,
	preconditions *storage.Preconditions, tryUpdate storage.UpdateFunc, cached runtime.Object) error {
	err := r.Interface.GuaranteedUpdate(ctx, key, destination, ignoreNotFound, preconditions, tryUpdate, cached)
	return r.record(destination, err)
}

// record need not look at deletes: that a slice is gone shows in the transaction.
func (r *recorder) record(written runtime.Object, err error) error {
	if err != nil {
		return err
	}
	revision, err := versioner.ObjectResourceVersion(written)
	if err != nil {
		return err
	}
	for known := r.written.Load(); known < revision && !r.written.CompareAndSwap(known, revision); {
		known = r.written.Load()
	}
	return nil
}

var versioner = storage.APIObjectVersioner{}

// departure is the removal of one Service's dependents on its way through the
// attempts.
type departure struct {
	*Dependents
	// learned is what refused transactions said of keys.
	learned map[string]fact
	// limited says that etcd did not take everything in one transaction, and that
	// it is to get what it takes by default.
	limited bool
}

type fact struct {
	kv       *mvccpb.KeyValue
	revision int64
}

func (d *Dependents) begin() *departure {
	return &departure{Dependents: d, learned: map[string]fact{}}
}

// learn looks at how an attempt ended. again says that it is to be made once
// more with fewer dependents.
func (d *departure) learn(err error) (again bool) {
	var conflict *txn.ConflictError
	if errors.As(err, &conflict) {
		for key, kv := range conflict.Found {
			d.learned[key] = fact{kv, conflict.Revision}
		}
	}
	var tooLarge *txn.TooLargeError
	again = errors.As(err, &tooLarge) && !d.limited
	d.limited = d.limited || again
	return again
}

// object is an Endpoints or an EndpointSlice.
type object interface {
	runtime.Object
	metav1.Object
}

// dependent is one object as it is in the store, as far as is known.
type dependent struct {
	resource portolanstorage.Resource
	name     string
	// object is nil where there is none.
	object   object
	revision int64
}

// plan adds to a plan what removes the dependents of a Service. Each is guarded,
// and so is that there are no Endpoints.
func (d *departure) plan(ctx context.Context, plan *txn.Plan, owner *v1.Service) error {
	if d.slicesReader == nil {
		return nil
	}
	found, err := d.find(ctx, owner)
	if err != nil {
		return err
	}
	marked := 0
	for _, dependent := range found {
		if d.limited && len(plan.Guards) >= defaultTxnOps-1 {
			break
		}
		guard := txn.Guard{Key: dependent.resource.Key(dependent.name), Revision: dependent.revision}
		switch obj := dependent.object; {
		case obj == nil:
		case len(obj.GetFinalizers()) == 0:
			plan.Deletes = append(plan.Deletes, guard.Key)
		case obj.GetDeletionTimestamp() != nil:
			continue
		default:
			put, err := dependent.mark(ctx)
			if err != nil {
				return err
			}
			if d.limited && marked+len(put.Value) > maxMarkedBytes {
				continue
			}
			marked += len(put.Value)
			plan.Puts = append(plan.Puts, put)
		}
		plan.Guards = append(plan.Guards, guard)
	}
	return nil
}

// mark is what a DELETE makes of an object with finalizers; see the generic
// registry's markAsDeleting.
func (d dependent) mark(ctx context.Context) (txn.Put, error) {
	obj := d.object.DeepCopyObject().(object)
	if obj.GetGeneration() > 0 {
		obj.SetGeneration(obj.GetGeneration() + 1)
	}
	obj.SetDeletionTimestamp(ptr.To(metav1.NewTime(time.Now())))
	obj.SetDeletionGracePeriodSeconds(ptr.To[int64](0))
	if err := versioner.PrepareObjectForStorage(obj); err != nil {
		return txn.Put{}, err
	}
	return d.resource.Encode(ctx, d.name, obj)
}

// find looks the dependents up, the Endpoints first.
func (d *departure) find(ctx context.Context, owner *v1.Service) ([]dependent, error) {
	cachedEndpoints, err := d.findEndpoints(ctx, owner)
	if err != nil {
		return nil, err
	}
	cachedSlices, err := d.findSlices(ctx, owner)
	if err != nil {
		return nil, err
	}
	var found []dependent
	// No owner has this UID.
	endpoints := types.UID("")
	for _, cached := range cachedEndpoints {
		if current, ok := d.current(ctx, cached, &v1.Endpoints{}); ok {
			found = append(found, current)
			if current.object != nil {
				endpoints = current.object.GetUID()
			}
		}
	}
	for _, cached := range cachedSlices {
		current, ok := d.current(ctx, cached, &v1.EndpointSlice{})
		slice, exists := current.object.(*v1.EndpointSlice)
		if ok && exists && slice.Labels[discoveryv1.LabelServiceName] == owner.Name && goesWith(slice, owner.UID, endpoints) {
			found = append(found, current)
		}
	}
	return found, nil
}

// current is the dependent as a refused transaction found it, if that is newer
// than what the cache says. What can't be decoded is left alone.
func (d *departure) current(ctx context.Context, cached dependent, into object) (dependent, bool) {
	fact, learned := d.learned[cached.resource.Key(cached.name)]
	if !learned || cached.revision > fact.revision {
		return cached, true
	}
	if cached.object, cached.revision = nil, 0; fact.kv == nil {
		return cached, true
	}
	if err := cached.resource.Decode(ctx, fact.kv, into); err != nil {
		klog.FromContext(ctx).Error(err, "An object is not deleted with its Service", "key", string(fact.kv.Key))
		return dependent{}, false
	}
	cached.object, cached.revision = into, fact.kv.ModRevision
	return cached, true
}

// findEndpoints finds one dependent, without an object where there are no
// Endpoints; or none, where they can't be read.
func (d *departure) findEndpoints(ctx context.Context, owner *v1.Service) ([]dependent, error) {
	found := dependent{resource: d.endpoints, name: owner.Namespace + "/" + owner.Name}
	// Any age will do: the transaction tells whether it is right.
	obj, err := d.endpointsReader.Get(request.WithNamespace(ctx, owner.Namespace), owner.Name, &metav1.GetOptions{ResourceVersion: "0"})
	switch {
	case apierrors.IsNotFound(err):
		return []dependent{found}, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		klog.FromContext(ctx).Error(err, "Endpoints are not deleted with their Service", "name", found.name)
		return nil, nil
	}
	endpoints, ok := obj.(*v1.Endpoints)
	if !ok {
		return nil, apierrors.NewInternalError(fmt.Errorf("the store of Endpoints returned a %T", obj))
	}
	revision, err := versioner.ObjectResourceVersion(endpoints)
	found.object, found.revision = endpoints, int64(revision)
	return []dependent{found}, err
}

func (d *departure) findSlices(ctx context.Context, owner *v1.Service) ([]dependent, error) {
	ofService, err := d.slicesReader.OfService(ctx, owner.Namespace, owner.Name, d.written.Load())
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		klog.FromContext(ctx).Error(err, "The watch cache doesn't tell which EndpointSlices a Service has", "service", klog.KObj(owner))
		if ofService, err = d.scan(ctx, owner); err != nil {
			return nil, err
		}
	}
	found := make([]dependent, len(ofService))
	for i := range ofService {
		slice := &ofService[i]
		revision, err := versioner.ObjectResourceVersion(slice)
		if err != nil {
			return nil, err
		}
		found[i] = dependent{resource: d.slices, name: slice.Namespace + "/" + slice.Name, object: slice, revision: int64(revision)}
	}
	slices.SortFunc(found, func(a, b dependent) int { return strings.Compare(a.name, b.name) })
	return found, nil
}

// scan reads all slices of a namespace from etcd, while the watch cache is of no
// use: a single slice that can't be decoded keeps it from starting.
func (d *departure) scan(ctx context.Context, owner *v1.Service) ([]v1.EndpointSlice, error) {
	all, err := d.client.List(ctx, d.slices.Key(owner.Namespace+"/"), kubernetes.ListOptions{})
	if err != nil {
		return nil, err
	}
	var found []v1.EndpointSlice
	for _, kv := range all.Kvs {
		var slice v1.EndpointSlice
		if err := d.slices.Decode(ctx, kv, &slice); err != nil {
			klog.FromContext(ctx).Error(err, "An EndpointSlice can't be read", "key", string(kv.Key))
			continue
		}
		if slice.Labels[discoveryv1.LabelServiceName] != owner.Name {
			continue
		}
		if err := versioner.UpdateObject(&slice, uint64(kv.ModRevision)); err != nil {
			return nil, err
		}
		found = append(found, slice)
	}
	return found, nil
}

// goesWith says whether a slice is deleted with a Service and its Endpoints: it
// names the Service, and they are its only owners or our controllers wrote it. A
// slice that somebody else wrote for the Service stays, as in Kubernetes.
func goesWith(slice *v1.EndpointSlice, service, endpoints types.UID) bool {
	if validation.OfControllers(slice) {
		return true
	}
	foreign := func(owner metav1.OwnerReference) bool { return owner.UID != service && owner.UID != endpoints }
	return len(slice.OwnerReferences) > 0 && !slices.ContainsFunc(slice.OwnerReferences, foreign)
}
