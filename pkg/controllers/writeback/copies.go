package writeback

import (
	"maps"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

const (
	// annotationUID names the Service of Portolan that a copy is of.
	annotationUID = v1.GroupName + "/service-uid"
	// managedBy is the value of upstream's label for the writer of a slice.
	managedBy = "write-back." + v1.GroupName
)

// copyOf returns the copy of a Service.
func copyOf(from *corev1.Service) *corev1.Service {
	copied := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: from.Namespace, Name: from.Name,
			Labels:      map[string]string{v1.LabelWrittenBack: v1.WrittenBack},
			Annotations: map[string]string{annotationUID: string(from.UID)},
		},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeClusterIP, ClusterIP: from.Spec.ClusterIP, ClusterIPs: from.Spec.ClusterIPs,
			IPFamilies: from.Spec.IPFamilies, IPFamilyPolicy: from.Spec.IPFamilyPolicy,
			PublishNotReadyAddresses: from.Spec.PublishNotReadyAddresses,
		},
	}
	if from.Spec.Type == corev1.ServiceTypeExternalName {
		copied.Spec = corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: from.Spec.ExternalName}
	}
	for _, port := range from.Spec.Ports {
		port.NodePort = 0
		copied.Spec.Ports = append(copied.Spec.Ports, port)
	}
	return copied
}

// externalCopyOf returns the copy for a cluster that does not accept the cluster IP. It
// reports false if the Service has no IPv4 address.
func externalCopyOf(from *corev1.Service) (*corev1.Service, bool) {
	for _, text := range from.Spec.ClusterIPs {
		if address, err := netip.ParseAddr(text); err == nil && address.Is4() {
			copied := copyOf(from)
			copied.Spec = corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: text, Ports: copied.Spec.Ports}
			return copied, true
		}
	}
	return nil, false
}

// sameCopy reports whether a copy in the cluster is as wanted. The cluster sets defaults.
func sameCopy(got, want *corev1.Service) bool {
	return sameIdentity(got, want) && equality.Semantic.DeepEqual(got.Spec.Ports, want.Spec.Ports) &&
		got.Spec.PublishNotReadyAddresses == want.Spec.PublishNotReadyAddresses
}

// sameIdentity reports whether what can't be changed by an update is as wanted.
func sameIdentity(got, want *corev1.Service) bool {
	return got.Spec.Type == want.Spec.Type && got.Spec.ExternalName == want.Spec.ExternalName &&
		equality.Semantic.DeepEqual(got.Spec.ClusterIPs, want.Spec.ClusterIPs) &&
		got.Annotations[annotationUID] == want.Annotations[annotationUID]
}

// sliceCopyOf returns the copy of a slice, which belongs to the copy of its Service.
func sliceCopyOf(from *discoveryv1.EndpointSlice, owner *corev1.Service) *discoveryv1.EndpointSlice {
	return &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: from.Namespace, Name: from.Name,
			Labels: map[string]string{
				v1.LabelWrittenBack: v1.WrittenBack, discoveryv1.LabelServiceName: owner.Name, discoveryv1.LabelManagedBy: managedBy,
			},
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(owner, corev1.SchemeGroupVersion.WithKind("Service"))},
		},
		AddressType: from.AddressType, Endpoints: from.Endpoints, Ports: from.Ports,
	}
}

func sameSlice(got, want *discoveryv1.EndpointSlice) bool {
	return maps.Equal(got.Labels, want.Labels) && equality.Semantic.DeepEqual(got.OwnerReferences, want.OwnerReferences) &&
		equality.Semantic.DeepEqual(got.Endpoints, want.Endpoints) && equality.Semantic.DeepEqual(got.Ports, want.Ports)
}
