package cascade

import (
	"context"
	"errors"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/client/v3/kubernetes"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/utils/ptr"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	portolanstorage "github.com/portolan-dev/portolan/pkg/storage"
	"github.com/portolan-dev/portolan/pkg/txn"
)

const (
	// defaultTxnOps is etcd's default for --max-txn-ops.
	defaultTxnOps = 128
	// maxMarkedBytes leaves room for other contents in a request of 1.5 MiB, etcd's
	// default for --max-request-bytes.
	maxMarkedBytes = 1 << 20
)

var versioner = storage.APIObjectVersioner{}

// Cascade finds the dependents of Services: the Endpoints and EndpointSlices that are
// deleted with them.
type Cascade struct {
	client            kubernetes.Interface
	endpoints, slices portolanstorage.Resource

	endpointsReader rest.Getter
	slicesReader    SlicesReader
	written         *Writes
}

// SlicesReader lists the EndpointSlices that carry the name of a Service, from a
// cache that is not older than a revision.
type SlicesReader interface {
	OfService(ctx context.Context, namespace, service string, notOlderThan uint64) ([]v1.EndpointSlice, error)
}

// New makes a cascade that looks dependents up in their stores and deletes them where
// the stores keep them. The store of EndpointSlices must record its writes in written.
func New(client kubernetes.Interface, getter generic.RESTOptionsGetter, endpoints rest.Getter, slices SlicesReader,
	written *Writes) (*Cascade, error) {
	c := &Cascade{client: client, endpointsReader: endpoints, slicesReader: slices, written: written}
	options, err := getter.GetRESTOptions(v1.Resource("endpoints"), &v1.Endpoints{})
	if err != nil {
		return nil, err
	}
	c.endpoints = portolanstorage.NewResource(options)
	if options, err = getter.GetRESTOptions(v1.Resource("endpointslices"), &v1.EndpointSlice{}); err != nil {
		return nil, err
	}
	c.slices = portolanstorage.NewResource(options)
	return c, nil
}

// Deletion is the deletion of one Service's dependents, over all attempts of the
// Service's delete.
type Deletion struct {
	cascade *Cascade
	// learned is what rejected transactions found at their keys.
	learned map[string]fact
	// limited is set once etcd did not take everything in one transaction. The plan
	// then stays within etcd's default limits.
	limited bool
	// uncached is set once the watch cache could not return the slices. The attempts after
	// that read etcd at once.
	uncached bool
}

type fact struct {
	kv       *mvccpb.KeyValue
	revision int64
}

// Begin begins the deletion of a Service's dependents.
func (c *Cascade) Begin() *Deletion {
	return &Deletion{cascade: c, learned: map[string]fact{}}
}

// Learn takes the error of an attempt. It reports whether the attempt must be made
// again with fewer dependents.
func (d *Deletion) Learn(err error) (again bool) {
	if conflict, ok := errors.AsType[*txn.ConflictError](err); ok {
		for key, kv := range conflict.Found {
			d.learned[key] = fact{kv, conflict.Revision}
		}
	}
	_, tooLarge := errors.AsType[*txn.TooLargeError](err)
	again = tooLarge && !d.limited
	d.limited = d.limited || again
	return again
}

// object is an Endpoints or an EndpointSlice.
type object interface {
	runtime.Object
	metav1.Object
}

// dependent is the last known state of one object.
type dependent struct {
	resource portolanstorage.Resource
	name     string
	// object is nil where there is none.
	object   object
	revision int64
}

// Plan adds the deletion of a Service's dependents to a plan. It guards each of them,
// and the absence of Endpoints if there are none.
func (d *Deletion) Plan(ctx context.Context, plan *txn.Plan, owner *v1.Service) error {
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

// mark returns the object marked for deletion, as a DELETE of an object with
// finalizers leaves it; see the generic registry's markAsDeleting.
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
