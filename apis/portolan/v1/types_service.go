package v1

import (
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// +genclient
// +genclient:method=Renumber,verb=create,subresource=renumber,input=Renumbering,result=Renumbering
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// Service is a named set of ports that clients reach at a stable address. Its
// claims (cluster IPs, node ports, the health check port) are written in the
// same transaction as the Service itself.
type Service struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`

	// spec is the desired state of the Service. Its fields are those of a core/v1
	// Service.
	// +optional
	Spec corev1.ServiceSpec `json:"spec,omitempty" protobuf:"bytes,2,opt,name=spec"`

	// status is the observed state of the Service: the ingress points of its load
	// balancer and its conditions.
	// +optional
	Status corev1.ServiceStatus `json:"status,omitempty" protobuf:"bytes,3,opt,name=status"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// ServiceList is a list of Services.
type ServiceList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`

	// items are the Services.
	Items []Service `json:"items" protobuf:"bytes,2,rep,name=items"`
}

// +genclient
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// Endpoints are the addresses and ports that implement the Service of the same
// name.
type Endpoints struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`

	// subsets are sets of addresses, each with the ports that all of its addresses
	// offer. They are stored as written, neither sorted nor merged.
	// +optional
	// +listType=atomic
	Subsets []corev1.EndpointSubset `json:"subsets,omitempty" protobuf:"bytes,2,rep,name=subsets"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// EndpointsList is a list of Endpoints.
type EndpointsList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`

	// items are the Endpoints.
	Items []Endpoints `json:"items" protobuf:"bytes,2,rep,name=items"`
}

// +genclient
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// EndpointSlice holds some of the addresses that implement a Service. Its label
// kubernetes.io/service-name names the Service. All slices with that label
// together are the Service's endpoints.
type EndpointSlice struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`

	// addressType is the type of all addresses in the slice: IPv4, IPv6 or FQDN
	// (deprecated). It is immutable.
	// +required
	AddressType discoveryv1.AddressType `json:"addressType" protobuf:"bytes,4,opt,name=addressType"`

	// endpoints are the endpoints in this slice, at most 1000. Their fields are
	// those of a discovery.k8s.io/v1 EndpointSlice.
	// +optional
	// +listType=atomic
	Endpoints []discoveryv1.Endpoint `json:"endpoints" protobuf:"bytes,2,rep,name=endpoints"`

	// ports are the ports that every endpoint in this slice offers, at most 20000.
	// Each has a unique name.
	// +optional
	// +listType=atomic
	Ports []discoveryv1.EndpointPort `json:"ports" protobuf:"bytes,3,rep,name=ports"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// EndpointSliceList is a list of EndpointSlices.
type EndpointSliceList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`

	// items are the EndpointSlices.
	Items []EndpointSlice `json:"items" protobuf:"bytes,2,rep,name=items"`
}
