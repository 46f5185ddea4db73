package mirror

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/cache"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/controllers/reconcile"
)

// subresource is the subresource with which copies are written.
const subresource = "mirror"

const (
	verbPut    = "put"
	verbDelete = "delete"
)

// sync brings one copy up to date.
func (m *Mirror) sync(ctx context.Context, text string) error {
	name := parseKey(text)
	k := m.kinds[name.resource]
	source, err := get(k.source, name.ObjectName)
	if err != nil {
		return err
	}
	ours, err := get(k.ours, name.ObjectName)
	if err != nil {
		return err
	}
	wanted := source
	if source != nil {
		copied, err := m.isCopied(name, source)
		if err != nil {
			return err
		}
		if !copied {
			wanted = nil
		}
	}
	what, obj := decide(wanted, ours, m.address)
	if what == nothing || what == nameTaken {
		if leftover, err := m.isLeftover(name, ours); leftover || err != nil {
			return cmp.Or(err, m.removeLeftover(ctx, name, ours))
		}
	}
	switch what {
	case write:
		return m.put(ctx, name, source, obj)
	case remove:
		err = m.remove(ctx, name, ours, subresource)
	case nameTaken:
		m.report(name, source, ReasonName, fmt.Sprintf("Portolan's own object has the name %s", name.ObjectName))
		return nil
	case nothing:
	}
	if err == nil {
		m.Status.resolved(text)
	}
	return err
}

// get returns an object from a cache, or nil.
func get(informer cache.SharedIndexInformer, name cache.ObjectName) (object, error) {
	found, exists, err := informer.GetIndexer().GetByKey(name.String())
	if err != nil || !exists {
		return nil, err
	}
	return found.(object), nil
}

// isCopied reports whether an object of the cluster is to be copied.
func (m *Mirror) isCopied(name key, source object) (bool, error) {
	if ignored(source) {
		return false, nil
	}
	if name.resource == services {
		return !m.isSkipped(source), nil
	}
	owner := m.kinds[name.resource].serviceOf(source)
	if owner == "" {
		return true, nil
	}
	of := cache.ObjectName{Namespace: name.Namespace, Name: owner}
	theirs, err := get(m.kinds[services].source, of)
	if err != nil {
		return false, err
	}
	ours, err := get(m.kinds[services].ours, of)
	if err != nil {
		return false, err
	}
	return follows(asService(theirs), asService(ours), theirs != nil && m.isSkipped(theirs)), nil
}

// isSkipped reports whether a Service of the cluster is not copied.
func (m *Mirror) isSkipped(service metav1.Object) bool {
	return ignored(service) || m.OwnKubernetes && v1.KeptByAPIServers(service)
}

func asService(obj object) *corev1.Service {
	service, _ := obj.(*corev1.Service)
	return service
}

// put writes a copy.
func (m *Mirror) put(ctx context.Context, name key, source, obj object) error {
	err := m.Portolan.Put().Namespace(name.Namespace).Resource(name.resource).Name(name.Name).SubResource(subresource).
		Body(obj).Do(ctx).Error()
	switch {
	case err == nil:
		m.Status.wrote(name.resource, verbPut)
		m.Status.resolved(name.String())
		return nil
	case isStale(err, obj.GetResourceVersion() != ""):
		return reconcile.ErrStale
	case apierrors.IsInvalid(err):
		if m.report(name, source, ReasonValue, err.Error()) {
			return nil
		}
		return reconcile.ErrStale
	}
	return err
}

// isStale reports whether a write failed because Portolan's object is not as in the cache,
// where it may be missing.
func isStale(err error, exists bool) bool {
	return apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) || exists && apierrors.IsNotFound(err)
}

// remove deletes a copy by the subresource of copies, or else an object of Portolan's own. A
// Service takes its endpoints with it.
func (m *Mirror) remove(ctx context.Context, name key, ours object, subresources ...string) error {
	uid := ours.GetUID()
	body, err := json.Marshal(metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}})
	if err != nil {
		return err
	}
	err = m.Portolan.Delete().Namespace(name.Namespace).Resource(name.resource).Name(name.Name).SubResource(subresources...).
		SetHeader("Content-Type", runtime.ContentTypeJSON).Body(body).Do(ctx).Error()
	if isStale(err, true) {
		return reconcile.ErrStale
	}
	if err == nil {
		m.Status.wrote(name.resource, verbDelete)
	}
	return err
}

// report reports that an object of the cluster can't be copied, and requeues it. It reports
// false, and does neither, if that may be about to pass.
func (m *Mirror) report(name key, source object, reason, message string) bool {
	reported, news := m.Status.conflict(name.String(), reason, message)
	if news {
		m.Recorder.Eventf(source, corev1.EventTypeWarning, "NotMirrored", "This object is not mirrored to Portolan: %s", message)
	}
	if reported {
		m.loop.AddAfter(name.String(), conflictRetry)
	}
	return reported
}
