package cascade

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"go.etcd.io/etcd/client/v3/kubernetes"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/klog/v2"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/apis/portolan/validation"
)

// find looks the dependents up, the Endpoints first.
func (d *Deletion) find(ctx context.Context, owner *v1.Service) ([]dependent, error) {
	cachedEndpoints, err := d.cascade.findEndpoints(ctx, owner)
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
		newest, err := d.newest(ctx, cached, &v1.Endpoints{})
		if err != nil {
			logLeftAlone(ctx, cached, err)
			continue
		}
		found = append(found, newest)
		if newest.object != nil {
			endpoints = newest.object.GetUID()
		}
	}
	for _, cached := range cachedSlices {
		newest, err := d.newest(ctx, cached, &v1.EndpointSlice{})
		if err != nil {
			logLeftAlone(ctx, cached, err)
			continue
		}
		slice, exists := newest.object.(*v1.EndpointSlice)
		if exists && slice.Labels[discoveryv1.LabelServiceName] == owner.Name && deletedWith(slice, owner.UID, endpoints) {
			found = append(found, newest)
		}
	}
	return found, nil
}

// newest returns a dependent as a rejected transaction found it, if that is newer than
// the cache, and else as it is cached. The error is that of an object that can't be
// decoded.
func (d *Deletion) newest(ctx context.Context, cached dependent, empty object) (dependent, error) {
	fact, learned := d.learned[cached.resource.Key(cached.name)]
	if !learned || cached.revision > fact.revision {
		return cached, nil
	}
	newest := dependent{resource: cached.resource, name: cached.name}
	if fact.kv == nil {
		return newest, nil
	}
	if err := newest.resource.Decode(ctx, fact.kv, empty); err != nil {
		return dependent{}, err
	}
	newest.object, newest.revision = empty, fact.kv.ModRevision
	return newest, nil
}

// logLeftAlone logs why a dependent stays when its Service is deleted.
func logLeftAlone(ctx context.Context, left dependent, err error) {
	klog.FromContext(ctx).Error(err, "An object is not deleted with its Service", "key", left.resource.Key(left.name))
}

// findEndpoints returns one dependent, without an object if there are no Endpoints. It
// returns none if they can't be read.
func (c *Cascade) findEndpoints(ctx context.Context, owner *v1.Service) ([]dependent, error) {
	found := dependent{resource: c.endpoints, name: owner.Namespace + "/" + owner.Name}
	// Any age will do: the transaction compares the revision.
	obj, err := c.endpointsReader.Get(request.WithNamespace(ctx, owner.Namespace), owner.Name, &metav1.GetOptions{ResourceVersion: "0"})
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

func (d *Deletion) findSlices(ctx context.Context, owner *v1.Service) ([]dependent, error) {
	c := d.cascade
	ofService, err := d.slicesOf(ctx, owner)
	if err != nil {
		return nil, err
	}
	found := make([]dependent, len(ofService))
	for i := range ofService {
		slice := &ofService[i]
		revision, err := versioner.ObjectResourceVersion(slice)
		if err != nil {
			return nil, err
		}
		found[i] = dependent{resource: c.slices, name: slice.Namespace + "/" + slice.Name, object: slice, revision: int64(revision)}
	}
	slices.SortFunc(found, func(a, b dependent) int { return strings.Compare(a.name, b.name) })
	return found, nil
}

// slicesOf returns the slices of a Service from the watch cache, or from etcd if the cache
// does not work.
func (d *Deletion) slicesOf(ctx context.Context, owner *v1.Service) ([]v1.EndpointSlice, error) {
	c := d.cascade
	if !d.uncached {
		found, err := c.slicesReader.OfService(ctx, owner.Namespace, owner.Name, c.written.revision.Load())
		if err == nil || ctx.Err() != nil {
			return found, ctx.Err()
		}
		klog.FromContext(ctx).Error(err, "The EndpointSlices of a Service can't be read from the watch cache", "service", klog.KObj(owner))
		d.uncached = true
	}
	return c.scan(ctx, owner)
}

// scan reads all slices of a namespace from etcd. It is for a watch cache that can't
// start, which happens when a single slice can't be decoded.
func (c *Cascade) scan(ctx context.Context, owner *v1.Service) ([]v1.EndpointSlice, error) {
	all, err := c.client.List(ctx, c.slices.Key(owner.Namespace+"/"), kubernetes.ListOptions{})
	if err != nil {
		return nil, err
	}
	var found []v1.EndpointSlice
	for _, kv := range all.Kvs {
		var slice v1.EndpointSlice
		if err := c.slices.Decode(ctx, kv, &slice); err != nil {
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

// deletedWith reports whether a slice is deleted with a Service and its Endpoints: the
// two are its only owners, or our controllers wrote it. A slice that another writer
// made for the Service stays, as in Kubernetes.
func deletedWith(slice *v1.EndpointSlice, service, endpoints types.UID) bool {
	if validation.OfControllers(slice) {
		return true
	}
	foreign := func(owner metav1.OwnerReference) bool { return owner.UID != service && owner.UID != endpoints }
	return len(slice.OwnerReferences) > 0 && !slices.ContainsFunc(slice.OwnerReferences, foreign)
}
