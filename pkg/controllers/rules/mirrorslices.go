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

// MirroredBy is the value of the label endpointslice.kubernetes.io/managed-by
// on slices that mirror Endpoints: upstream's, which others know.
const MirroredBy = "endpointslicemirroring-controller.k8s.io"

// Changes are what makes slices of an Endpoints object mirror it. What is to be
// updated or deleted is there with its resource version and UID.
type Changes struct {
	Create, Update, Delete []*discoveryv1.EndpointSlice
}

// MirrorChanges says how to get from the slices that mirror an Endpoints object
// now to what should. A slice that would go is used for one that would be made,
// where the IP family is the same: that saves a write and a gap.
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

// update notes that a slice is to hold the group, unless it does.
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

// generateName is the beginning of slices' names. A name that is too long for a
// dash goes without.
func generateName(name string) string {
	prefix := fmt.Sprintf("%s-", name)
	if len(validation.NameIsDNSSubdomain(prefix, true)) > 0 {
		return name
	}
	return prefix
}
