package garbagecollector

import (
	"context"
	"encoding/json"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// delete deletes an object as it was read.
func (o object) delete(ctx context.Context, live *metav1.PartialObjectMetadata, policy metav1.DeletionPropagation) error {
	return o.client.Delete(ctx, o.name, metav1.DeleteOptions{
		Preconditions: &metav1.Preconditions{UID: &live.UID, ResourceVersion: &live.ResourceVersion}, PropagationPolicy: &policy,
	})
}

func (o object) removeFinalizer(ctx context.Context, live *metav1.PartialObjectMetadata, finalizer string) error {
	finalizers := slices.DeleteFunc(slices.Clone(live.Finalizers), func(f string) bool { return f == finalizer })
	_, err := o.patch(ctx, live, "finalizers", finalizers)
	return err
}

func (o object) removeReferences(ctx context.Context, live *metav1.PartialObjectMetadata, removed []metav1.OwnerReference) error {
	references := slices.DeleteFunc(slices.Clone(live.OwnerReferences), func(r metav1.OwnerReference) bool {
		return slices.ContainsFunc(removed, func(other metav1.OwnerReference) bool {
			return r.UID == other.UID && r.Name == other.Name && r.Kind == other.Kind && r.APIVersion == other.APIVersion
		})
	})
	_, err := o.setReferences(ctx, live, references)
	return err
}

func (o object) setReferences(ctx context.Context, live *metav1.PartialObjectMetadata,
	references []metav1.OwnerReference) (*metav1.PartialObjectMetadata, error) {
	return o.patch(ctx, live, "ownerReferences", references)
}

// patch sets a field of an object's metadata, unless the object has changed since it was read.
// Every kind takes a merge patch.
func (o object) patch(ctx context.Context, live *metav1.PartialObjectMetadata, field string,
	value any) (*metav1.PartialObjectMetadata, error) {
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": live.UID, "resourceVersion": live.ResourceVersion, field: value},
	})
	if err != nil {
		return nil, err
	}
	return o.client.Patch(ctx, o.name, types.MergePatchType, patch, metav1.PatchOptions{})
}
