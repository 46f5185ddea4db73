package adoption

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/controllers/endpointslice"
	"github.com/portolan-dev/portolan/pkg/controllers/rules"
)

var errOther = errors.New("the cluster has another one of this name")

// moveEndpoints waits until the cluster has the endpoints of a Service, of which it creates
// the handwritten ones, and releases Portolan's to them.
func (r releasing) moveEndpoints(ctx context.Context, ours *v1.Service, source *corev1.Service) error {
	endpoints, slices, err := r.ownEndpoints(ctx)
	if err != nil {
		return err
	}
	if endpoints != nil && endpoints.Labels[rules.LabelManagedBy] != rules.ManagedBy {
		if err := r.createEndpoints(ctx, endpoints); err != nil {
			return fmt.Errorf("the Endpoints %s: %w", endpoints.Name, err)
		}
	}
	for i := range slices {
		if isControllers(&slices[i]) {
			continue
		}
		if err := r.createSlice(ctx, &slices[i], ours, source); err != nil {
			return fmt.Errorf("the EndpointSlice %s: %w", slices[i].Name, err)
		}
	}
	if err := r.await(ctx, "the cluster's controllers to write its EndpointSlices (do they run there?)", r.isCovered); err != nil {
		return err
	}
	return r.releaseEndpoints(ctx)
}

// ownEndpoints returns the Endpoints and the slices of the Service that are Portolan's own.
// The Endpoints are nil if there are none.
func (r releasing) ownEndpoints(ctx context.Context) (*v1.Endpoints, []v1.EndpointSlice, error) {
	endpoints, err := r.Portolan.PortolanV1().Endpoints(r.Namespace).Get(ctx, r.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		endpoints = nil
	case err != nil:
		return nil, nil, err
	default:
		if v1.IsMirrored(endpoints) {
			endpoints = nil
		}
	}
	list, err := r.Portolan.PortolanV1().EndpointSlices(r.Namespace).List(ctx, r.ofService())
	if err != nil {
		return nil, nil, err
	}
	var own []v1.EndpointSlice
	for i := range list.Items {
		if !v1.IsMirrored(&list.Items[i]) {
			own = append(own, list.Items[i])
		}
	}
	return endpoints, own, nil
}

func (r releasing) ofService() metav1.ListOptions {
	return metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=" + r.Name}
}

// isControllers reports whether Portolan's controllers write a slice. The cluster's have
// others in its place.
func isControllers(slice *v1.EndpointSlice) bool {
	by := slice.Labels[discoveryv1.LabelManagedBy]
	return by == endpointslice.ManagedBy || by == rules.MirroredBy
}

func (r releasing) createEndpoints(ctx context.Context, ours *v1.Endpoints) error {
	client := r.Cluster.CoreV1().Endpoints(r.Namespace)
	wanted := &corev1.Endpoints{
		ObjectMeta: metav1.ObjectMeta{Name: ours.Name, Labels: ours.Labels, Annotations: without(ours.Annotations)}, Subsets: ours.Subsets,
	}
	_, err := client.Create(ctx, wanted, metav1.CreateOptions{})
	if !apierrors.IsAlreadyExists(err) {
		return err
	}
	found, err := client.Get(ctx, ours.Name, metav1.GetOptions{})
	if err == nil && !equality.Semantic.DeepEqual(found.Subsets, ours.Subsets) {
		err = errOther
	}
	return err
}

func (r releasing) createSlice(ctx context.Context, slice *v1.EndpointSlice, ours *v1.Service, source *corev1.Service) error {
	client := r.Cluster.DiscoveryV1().EndpointSlices(r.Namespace)
	wanted := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: slice.Name, Labels: slice.Labels, Annotations: without(slice.Annotations)},
		AddressType: slice.AddressType, Endpoints: slice.Endpoints, Ports: slice.Ports,
	}
	for _, owner := range slice.OwnerReferences {
		if owner.UID == ours.UID {
			owner.APIVersion, owner.UID = "v1", source.UID
		}
		wanted.OwnerReferences = append(wanted.OwnerReferences, owner)
	}
	_, err := client.Create(ctx, wanted, metav1.CreateOptions{})
	if !apierrors.IsAlreadyExists(err) {
		return err
	}
	found, err := client.Get(ctx, slice.Name, metav1.GetOptions{})
	if err == nil && !(found.Labels[discoveryv1.LabelServiceName] == r.Name && equality.Semantic.DeepEqual(found.Endpoints, slice.Endpoints) &&
		equality.Semantic.DeepEqual(found.Ports, slice.Ports)) {
		err = errOther
	}
	return err
}

// without returns annotations without Portolan's own.
func without(annotations map[string]string) map[string]string {
	kept := map[string]string{}
	for key, value := range annotations {
		if key != v1.AnnotationReleasedTo {
			kept[key] = value
		}
	}
	return kept
}

// isCovered reports whether the cluster's slices of the Service have all the addresses that
// Portolan's own have.
func (r releasing) isCovered(ctx context.Context) (bool, error) {
	_, own, err := r.ownEndpoints(ctx)
	if err != nil {
		return false, err
	}
	theirs, err := r.Cluster.DiscoveryV1().EndpointSlices(r.Namespace).List(ctx, r.ofService())
	if err != nil {
		return false, err
	}
	missing := sets.New[string]()
	for i := range own {
		for _, endpoint := range own[i].Endpoints {
			missing.Insert(endpoint.Addresses...)
		}
	}
	for i := range theirs.Items {
		for _, endpoint := range theirs.Items[i].Endpoints {
			missing.Delete(endpoint.Addresses...)
		}
	}
	return len(missing) == 0 && (len(own) == 0 || len(theirs.Items) > 0), nil
}

// releaseEndpoints releases Portolan's own Endpoints and slices to those of the cluster that
// have their names.
func (r releasing) releaseEndpoints(ctx context.Context) error {
	endpoints, slices, err := r.ownEndpoints(ctx)
	if err != nil {
		return err
	}
	patch := func(source metav1.Object) []byte {
		return fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%q}}}`, v1.AnnotationReleasedTo, source.GetUID())
	}
	if endpoints != nil {
		source, err := r.Cluster.CoreV1().Endpoints(r.Namespace).Get(ctx, r.Name, metav1.GetOptions{})
		if err == nil {
			_, err = r.Portolan.PortolanV1().Endpoints(r.Namespace).Patch(ctx, r.Name, types.MergePatchType, patch(source), metav1.PatchOptions{})
		}
		if err != nil && !apierrors.IsNotFound(err) {
			return err
		}
	}
	theirs, err := r.Cluster.DiscoveryV1().EndpointSlices(r.Namespace).List(ctx, r.ofService())
	if err != nil {
		return err
	}
	own := sets.New[string]()
	for i := range slices {
		own.Insert(slices[i].Name)
	}
	for i := range theirs.Items {
		source := &theirs.Items[i]
		if !own.Has(source.Name) {
			continue
		}
		_, err := r.Portolan.PortolanV1().EndpointSlices(r.Namespace).Patch(ctx, source.Name, types.MergePatchType, patch(source),
			metav1.PatchOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			return err
		}
	}
	return nil
}

// endpointsCopied reports whether nothing of Portolan's own is left that the cluster's
// endpoints of the Service replace.
func (r releasing) endpointsCopied(ctx context.Context) (bool, error) {
	endpoints, slices, err := r.ownEndpoints(ctx)
	if err != nil {
		return false, err
	}
	if endpoints != nil && (isReleased(endpoints) || endpoints.Labels[rules.LabelManagedBy] == rules.ManagedBy) {
		return false, nil
	}
	for i := range slices {
		if isReleased(&slices[i]) || isControllers(&slices[i]) {
			return false, nil
		}
	}
	return true, nil
}

func isReleased(obj metav1.Object) bool {
	_, released := obj.GetAnnotations()[v1.AnnotationReleasedTo]
	return released
}
