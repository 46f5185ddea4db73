package rules

import (
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// MirroredBy is the value of the label endpointslice.kubernetes.io/managed-by on slices
// that mirror Endpoints. It is upstream's, because other programs know it.
const MirroredBy = "endpointslicemirroring-controller.k8s.io"

// Changes lists the writes after which the slices of an Endpoints object mirror it.
// Slices to update or delete carry their stored resource version and UID.
type Changes struct {
	Create, Update, Delete []*discoveryv1.EndpointSlice
}

// MirrorChanges returns the changes from the existing slices of an Endpoints object to
// the given groups. Where possible it updates a slice of the same IP family instead of
// deleting it and creating another. That saves a write, and the endpoints never
// disappear in between.
func MirrorChanges(endpoints *corev1.Endpoints, groups []Group, existing []*discoveryv1.EndpointSlice) Changes {
	var changes Changes
	var missing []Group
	unused := slices.Clone(existing)
	for _, group := range groups {
		at := slices.IndexFunc(unused, func(s *discoveryv1.EndpointSlice) bool {
			return s.AddressType == group.AddressType && equality.Semantic.DeepEqual(s.Ports, group.Ports)
		})
		if at < 0 {
			missing = append(missing, group)
			continue
		}
		changes.update(endpoints, group, unused[at])
		unused = slices.Delete(unused, at, at+1)
	}
	for _, group := range missing {
		at := slices.IndexFunc(unused, func(s *discoveryv1.EndpointSlice) bool { return s.AddressType == group.AddressType })
		if at < 0 {
			changes.Create = append(changes.Create, newMirror(endpoints, group))
			continue
		}
		changes.update(endpoints, group, unused[at])
		unused = slices.Delete(unused, at, at+1)
	}
	changes.Delete = unused
	return changes
}

// update adds an update of an existing slice to the group, unless it would change
// nothing.
func (c *Changes) update(endpoints *corev1.Endpoints, group Group, existing *discoveryv1.EndpointSlice) {
	wanted := newMirror(endpoints, group)
	updated := existing.DeepCopy()
	updated.Labels, updated.Annotations, updated.OwnerReferences = wanted.Labels, wanted.Annotations, wanted.OwnerReferences
	updated.Ports, updated.Endpoints = wanted.Ports, wanted.Endpoints
	if !ignoringVersions.DeepEqual(existing, updated) {
		c.Update = append(c.Update, updated)
	}
}

func newMirror(endpoints *corev1.Endpoints, group Group) *discoveryv1.EndpointSlice {
	labels := map[string]string{}
	maps.Copy(labels, endpoints.Labels)
	labels[discoveryv1.LabelServiceName] = endpoints.Name
	labels[discoveryv1.LabelManagedBy] = MirroredBy
	annotations := map[string]string{}
	maps.Copy(annotations, endpoints.Annotations)
	delete(annotations, corev1.EndpointsLastChangeTriggerTime)
	delete(annotations, corev1.LastAppliedConfigAnnotation)
	owner := metav1.NewControllerRef(endpoints, corev1.SchemeGroupVersion.WithKind("Endpoints"))
	return &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			GenerateName:    generateName(endpoints.Name),
			Namespace:       endpoints.Namespace,
			Labels:          labels,
			Annotations:     annotations,
			OwnerReferences: []metav1.OwnerReference{*owner},
		},
		AddressType: group.AddressType,
		Ports:       group.Ports,
		Endpoints:   group.Endpoints,
	}
}

// generateName returns the prefix for the names of slices: the Endpoints' name and a
// dash, or no dash if the name is too long for it.
func generateName(name string) string {
	prefix := fmt.Sprintf("%s-", name)
	if len(validation.NameIsDNSSubdomain(prefix, true)) > 0 {
		return name
	}
	return prefix
}
