package garbagecollector

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/util/retry"

	"github.com/portolan-dev/portolan/pkg/controllers/garbagecollector/graph"
)

// object is an object to look at.
type object struct {
	kind            Kind
	namespace, name string
	client          metadata.ResourceInterface
}

// sync does what has to be done about an object.
func (c *Controller) sync(ctx context.Context, key string) error {
	resource, namespace, name := graph.ParseKey(key)
	kind, served := c.kinds.named(resource)
	if !served {
		return nil
	}
	o := object{kind: kind, namespace: namespace, name: name, client: c.in(kind, namespace)}
	var errs []error
	if !c.graph.Settled(key) {
		errs = append(errs, c.retried(ctx, key, o, c.collect))
	}
	if _, waits := c.graph.Waits(key); waits {
		errs = append(errs, c.retried(ctx, key, o, c.finish))
	}
	return errors.Join(errs...)
}

func (c *Controller) in(kind Kind, namespace string) metadata.ResourceInterface {
	if kind.Namespaced {
		return c.client.Resource(kind.Resource).Namespace(namespace)
	}
	return c.client.Resource(kind.Resource)
}

// retried reads an object and calls act with it, again if it is changed meanwhile. An object
// that is gone needs nothing: its deletion is an event.
func (c *Controller) retried(ctx context.Context, key string, o object,
	act func(context.Context, string, object, *metav1.PartialObjectMetadata) error) error {
	err := retry.RetryOnConflict(retry.DefaultRetry, func() error {
		live, err := o.client.Get(ctx, o.name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		return act(ctx, key, o, live)
	})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// finish lets an object go whose deletion waits for its dependents, or looks at these.
func (c *Controller) finish(ctx context.Context, key string, o object, live *metav1.PartialObjectMetadata) error {
	if live.DeletionTimestamp == nil {
		return nil
	}
	for _, finalizer := range []string{metav1.FinalizerOrphanDependents, metav1.FinalizerDeleteDependents} {
		if !slices.Contains(live.Finalizers, finalizer) {
			continue
		}
		dependents := c.graph.Dependents(live.UID, finalizer == metav1.FinalizerDeleteDependents)
		if len(dependents) == 0 {
			since, _ := c.graph.Waits(key)
			if rest := orphanDelay - time.Since(since); finalizer == metav1.FinalizerOrphanDependents && rest > 0 {
				c.loop.AddAfter(key, rest)
				return nil
			}
			return o.removeFinalizer(ctx, live, finalizer)
		}
		for _, dependent := range dependents {
			c.loop.Add(dependent)
		}
		return nil
	}
	return nil
}

// collect deletes an object that has no owner left, or removes references.
func (c *Controller) collect(ctx context.Context, key string, o object, live *metav1.PartialObjectMetadata) error {
	owners, err := c.classify(ctx, key, live)
	if err != nil {
		return err
	}
	unclear := len(owners[unknown])+len(owners[invalid]) > 0
	switch {
	case len(owners[orphaning]) > 0 && unclear:
		return o.removeReferences(ctx, live, owners[orphaning])
	case len(owners[orphaning]) > 0:
		return o.removeReferences(ctx, live, slices.Concat(owners[orphaning], owners[absent], owners[deletingDependents]))
	case live.DeletionTimestamp != nil, unclear, len(owners[absent])+len(owners[deletingDependents]) == 0:
		return nil
	case len(owners[existing]) > 0:
		// Otherwise an owner would wait for the object although the object stays.
		return o.removeReferences(ctx, live, slices.Concat(owners[absent], owners[deletingDependents]))
	case len(owners[deletingDependents]) > 0 && len(c.graph.Dependents(live.UID, false)) > 0:
		return c.deleteInForeground(ctx, o, live)
	}
	return o.delete(ctx, live, policyOf(live))
}

// deleteInForeground deletes an object that has dependents, because an owner is deleted in the
// foreground. If a dependent waits too, the two may wait for each other in a circle. The
// object then stops blocking its owners.
func (c *Controller) deleteInForeground(ctx context.Context, o object, live *metav1.PartialObjectMetadata) error {
	if c.graph.HasWaitingDependents(live.UID) && slices.ContainsFunc(live.OwnerReferences, graph.Blocks) {
		references := slices.Clone(live.OwnerReferences)
		for i := range references {
			references[i].BlockOwnerDeletion = nil
		}
		var err error
		if live, err = o.setReferences(ctx, live, references); err != nil {
			return err
		}
	}
	return o.delete(ctx, live, metav1.DeletePropagationForeground)
}

// policyOf returns the policy that a former request has asked for, or Background.
func policyOf(live *metav1.PartialObjectMetadata) metav1.DeletionPropagation {
	switch {
	case slices.Contains(live.Finalizers, metav1.FinalizerOrphanDependents):
		return metav1.DeletePropagationOrphan
	case slices.Contains(live.Finalizers, metav1.FinalizerDeleteDependents):
		return metav1.DeletePropagationForeground
	}
	return metav1.DeletePropagationBackground
}

// status is what is known about an owner.
type status int

const (
	// existing is an owner that exists, deleted or not.
	existing status = iota
	// absent is an owner that does not exist.
	absent
	// deletingDependents is an owner that is deleted in the foreground.
	deletingDependents
	// orphaning is an owner that is deleted after its dependents have forgotten it.
	orphaning
	// unknown is an owner of a kind that is not served.
	unknown
	// invalid is an owner in a namespace of an object outside namespaces.
	invalid
)

// classify returns the owner references of an object by the status of the owner.
func (c *Controller) classify(ctx context.Context, key string,
	live *metav1.PartialObjectMetadata) (map[status][]metav1.OwnerReference, error) {
	owners := map[status][]metav1.OwnerReference{}
	for _, reference := range live.OwnerReferences {
		status, err := c.statusOf(ctx, key, reference, live.Namespace)
		if err != nil {
			return nil, fmt.Errorf("owner %s %s: %w", reference.Kind, reference.Name, err)
		}
		owners[status] = append(owners[status], reference)
		if status == invalid || status == absent && c.graph.Elsewhere(reference.UID, live.Namespace) {
			c.reportInvalidNamespace(key, live, reference)
		}
	}
	return owners, nil
}

// statusOf reads an owner: from the watch cache, which is enough to keep a dependent, and
// otherwise from etcd.
func (c *Controller) statusOf(ctx context.Context, key string, reference metav1.OwnerReference, namespace string) (status, error) {
	kind, served := c.kinds.of(reference)
	switch {
	case c.graph.Orphans(reference.UID):
		// It waits, even for references that get its name wrong.
		return orphaning, nil
	case !served && c.graph.Gone(reference.UID):
		return absent, nil
	case !served:
		return unknown, nil
	case kind.Namespaced && namespace == metav1.NamespaceNone:
		return invalid, nil
	}
	if !c.graph.Follows(kind.name()) {
		c.loop.AddAfter(key, unfollowedPeriod)
	}
	client := c.in(kind, namespace)
	if owner, err := client.Get(ctx, reference.Name, metav1.GetOptions{ResourceVersion: "0"}); err == nil {
		if found := statusFor(owner, reference); found == existing {
			return found, nil
		}
	}
	owner, err := client.Get(ctx, reference.Name, metav1.GetOptions{})
	switch {
	case isUnserved(err) && c.graph.Gone(reference.UID):
		return absent, nil
	case isUnserved(err):
		return unknown, nil
	case apierrors.IsNotFound(err):
		return absent, nil
	case err != nil:
		return unknown, err
	}
	return statusFor(owner, reference), nil
}

// statusFor returns the status of an owner that a reference names.
func statusFor(owner *metav1.PartialObjectMetadata, reference metav1.OwnerReference) status {
	switch {
	case owner.UID != reference.UID:
		return absent
	case owner.DeletionTimestamp == nil:
		return existing
	case slices.Contains(owner.Finalizers, metav1.FinalizerOrphanDependents):
		return orphaning
	case slices.Contains(owner.Finalizers, metav1.FinalizerDeleteDependents):
		return deletingDependents
	}
	return existing
}

// isUnserved reports whether an error says that the resource is not found, rather than the
// object. The framework answers these with a text.
func isUnserved(err error) bool {
	return apierrors.IsNotFound(err) && apierrors.HasStatusCause(err, metav1.CauseTypeUnexpectedServerResponse)
}

// reportInvalidNamespace writes upstream's event.
func (c *Controller) reportInvalidNamespace(key string, live *metav1.PartialObjectMetadata, owner metav1.OwnerReference) {
	resource, _, _ := graph.ParseKey(key)
	kind, _ := c.kinds.named(resource)
	version, name := kind.Names[0].ToAPIVersionAndKind()
	dependent := &corev1.ObjectReference{APIVersion: version, Kind: name, Namespace: live.Namespace, Name: live.Name, UID: live.UID}
	c.recorder.Eventf(dependent, corev1.EventTypeWarning, ReasonInvalidNamespace,
		"ownerRef [%s/%s, namespace: %s, name: %s, uid: %s] does not exist in namespace %q",
		owner.APIVersion, owner.Kind, live.Namespace, owner.Name, owner.UID, live.Namespace)
}
