package writeback

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/controllers/reconcile"
)

// sync makes the copy of a Service what it has to be.
func (c *Controller) sync(ctx context.Context, key string) error {
	parsed, err := cache.ParseObjectName(key)
	if err != nil {
		return err
	}
	name := types.NamespacedName(parsed)
	service := c.wanted(name)
	existing := c.copy(name)
	if service == nil {
		c.Status.forget(name)
		if err := c.removeSlices(ctx, name); err != nil {
			return err
		}
		return c.remove(ctx, existing)
	}
	current, err := c.write(ctx, service, existing)
	if err != nil || current == nil {
		return err
	}
	c.Status.written(name)
	return c.writeSlices(ctx, service, current)
}

// wanted returns the Service that needs a copy, or nil. A Service that is mirrored from the
// cluster is there already.
func (c *Controller) wanted(name types.NamespacedName) *corev1.Service {
	if !c.references.has(name) {
		return nil
	}
	service, err := c.services.Services(name.Namespace).Get(name.Name)
	if err != nil || service.DeletionTimestamp != nil {
		return nil
	}
	if v1.IsMirrored(service) {
		return nil
	}
	return service
}

// copy returns the copy of a Service in the cluster, or nil.
func (c *Controller) copy(name types.NamespacedName) *corev1.Service {
	found, err := c.copies.Services(name.Namespace).Get(name.Name)
	if err != nil {
		return nil
	}
	return found
}

// remove deletes a copy, if it is still the one that was read.
func (c *Controller) remove(ctx context.Context, existing *corev1.Service) error {
	if existing == nil {
		return nil
	}
	err := c.Cluster.CoreV1().Services(existing.Namespace).Delete(ctx, existing.Name, metav1.DeleteOptions{
		Preconditions: &metav1.Preconditions{UID: &existing.UID, ResourceVersion: &existing.ResourceVersion},
	})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// write writes the copy of a Service and returns it. It returns nil if there is a conflict.
func (c *Controller) write(ctx context.Context, service, existing *corev1.Service) (*corev1.Service, error) {
	want := copyOf(service)
	if existing == nil {
		return c.create(ctx, service, want)
	}
	if external, ok := externalCopyOf(service); ok && sameIdentity(existing, external) {
		want = external
	}
	if sameCopy(existing, want) {
		return existing, nil
	}
	if !sameIdentity(existing, want) {
		// The next event, of the deletion, creates it again.
		return nil, c.remove(ctx, existing)
	}
	updated := existing.DeepCopy()
	updated.Spec.Ports, updated.Spec.PublishNotReadyAddresses = want.Spec.Ports, want.Spec.PublishNotReadyAddresses
	return c.Cluster.CoreV1().Services(updated.Namespace).Update(ctx, updated, metav1.UpdateOptions{})
}

// create creates a copy. A cluster that does not accept the cluster IP gets an external name.
func (c *Controller) create(ctx context.Context, service, want *corev1.Service) (*corev1.Service, error) {
	services := c.Cluster.CoreV1().Services(service.Namespace)
	created, err := services.Create(ctx, want, metav1.CreateOptions{})
	if apierrors.IsInvalid(err) {
		if strings.Contains(err.Error(), "already allocated") && !c.exists(ctx, service) {
			c.conflict(service, "another Service of the cluster has the address "+service.Spec.ClusterIP)
			return nil, nil
		}
		if external, ok := externalCopyOf(service); ok && strings.Contains(err.Error(), "does not match the current range") {
			created, err = services.Create(ctx, external, metav1.CreateOptions{})
		}
	}
	switch {
	case apierrors.IsAlreadyExists(err), apierrors.IsInvalid(err) && c.exists(ctx, service):
		return nil, c.checkOther(ctx, service)
	case apierrors.IsInvalid(err), apierrors.IsForbidden(err):
		c.conflict(service, err.Error())
		return nil, err
	}
	return created, err
}

// exists reports whether the cluster has a Service of the name. kube-apiserver allocates the
// address before it looks for the name.
func (c *Controller) exists(ctx context.Context, service *corev1.Service) bool {
	_, err := c.Cluster.CoreV1().Services(service.Namespace).Get(ctx, service.Name, metav1.GetOptions{})
	return err == nil
}

// checkOther reports a Service of the cluster that is not a copy. One with the uid of
// Portolan's Service is the same Service, before it is mirrored or after.
func (c *Controller) checkOther(ctx context.Context, service *corev1.Service) error {
	other, err := c.Cluster.CoreV1().Services(service.Namespace).Get(ctx, service.Name, metav1.GetOptions{})
	switch {
	case err != nil:
		return err
	case other.Labels[v1.LabelWrittenBack] != "":
		return reconcile.ErrStale
	case other.UID != service.UID:
		c.conflict(service, "the cluster has another Service of this name, to which the requests go")
	}
	return nil
}

// conflict reports why a Service is not written back.
func (c *Controller) conflict(service *corev1.Service, reason string) {
	if c.Status.conflict(types.NamespacedName{Namespace: service.Namespace, Name: service.Name}, reason) {
		c.Recorder.Eventf(service, corev1.EventTypeWarning, "NotWrittenBack",
			"kube-apiserver is to connect to this Service and does not find it: %s", reason)
	}
}

// writeSlices makes the copies of a Service's slices what they have to be.
func (c *Controller) writeSlices(ctx context.Context, service, owner *corev1.Service) error {
	selector := labels.SelectorFromSet(labels.Set{discoveryv1.LabelServiceName: service.Name})
	from, err := c.slices.EndpointSlices(service.Namespace).List(selector)
	if err != nil {
		return err
	}
	existing, err := c.copiedSlices.EndpointSlices(service.Namespace).List(selector)
	if err != nil {
		return err
	}
	left := map[string]*discoveryv1.EndpointSlice{}
	for _, slice := range existing {
		left[slice.Name] = slice
	}
	client := c.Cluster.DiscoveryV1().EndpointSlices(service.Namespace)
	for _, slice := range from {
		want := sliceCopyOf(slice, owner)
		got := left[slice.Name]
		delete(left, slice.Name)
		switch {
		case got == nil:
			_, err = client.Create(ctx, want, metav1.CreateOptions{})
		case got.AddressType != want.AddressType:
			err = client.Delete(ctx, got.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &got.UID}})
		case !sameSlice(got, want):
			want.ResourceVersion = got.ResourceVersion
			_, err = client.Update(ctx, want, metav1.UpdateOptions{})
		}
		if err != nil {
			return fmt.Errorf("writing EndpointSlice %s: %w", slice.Name, err)
		}
	}
	return c.deleteSlices(ctx, slices.Collect(maps.Values(left)))
}

// removeSlices deletes the copies of a Service's slices.
func (c *Controller) removeSlices(ctx context.Context, service types.NamespacedName) error {
	existing, err := c.copiedSlices.EndpointSlices(service.Namespace).List(
		labels.SelectorFromSet(labels.Set{discoveryv1.LabelServiceName: service.Name}))
	if err != nil {
		return err
	}
	return c.deleteSlices(ctx, existing)
}

func (c *Controller) deleteSlices(ctx context.Context, all []*discoveryv1.EndpointSlice) error {
	for _, slice := range all {
		err := c.Cluster.DiscoveryV1().EndpointSlices(slice.Namespace).Delete(ctx, slice.Name,
			metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &slice.UID}})
		if err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("deleting EndpointSlice %s: %w", slice.Name, err)
		}
	}
	return nil
}
