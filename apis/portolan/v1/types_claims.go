package v1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

const (
	// LabelIPFamily on an IPAddress says IPv4 or IPv6, as upstream's does.
	LabelIPFamily = "ipaddress.kubernetes.io/ip-family"
	// LabelManagedBy on an IPAddress names who keeps it; ManagedByAllocator on
	// those that a Service holds.
	LabelManagedBy = "ipaddress.kubernetes.io/managed-by"
	// ManagedByAllocator is upstream's value for an address that a Service
	// holds, kept so that tools which select on it go on working.
	ManagedByAllocator = "ipallocator.k8s.io"
)

// ParentReference names the object that holds a claim.
type ParentReference struct {
	// group of the holder; empty for the core group.
	// +optional
	Group string `json:"group,omitempty" protobuf:"bytes,1,opt,name=group"`
	// resource of the holder, in the plural, e.g. "services".
	Resource string `json:"resource,omitempty" protobuf:"bytes,2,opt,name=resource"`
	// namespace of the holder.
	// +optional
	Namespace string `json:"namespace,omitempty" protobuf:"bytes,3,opt,name=namespace"`
	// name of the holder.
	Name string `json:"name,omitempty" protobuf:"bytes,4,opt,name=name"`
	// uid of the Service that holds the claim. Only the server sets it. A claim
	// that has it lives and dies with that Service and can't be deleted or
	// edited away; one without it was made by hand and is a reservation.
	// +optional
	UID types.UID `json:"uid,omitempty" protobuf:"bytes,5,opt,name=uid,casttype=k8s.io/apimachinery/pkg/types.UID"`
}

// +genclient
// +genclient:nonNamespaced
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// IPAddress is the claim on one address. Its name is the address in canonical
// form (RFC 5952 for IPv6). Services claim theirs in the transaction that
// writes them; one made by hand keeps its address from every Service.
type IPAddress struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`

	// spec says who holds the address.
	// +optional
	Spec IPAddressSpec `json:"spec,omitempty" protobuf:"bytes,2,opt,name=spec"`
}

// IPAddressSpec says who holds an address.
type IPAddressSpec struct {
	// parentRef is the holder. It can't be changed.
	// +required
	ParentRef *ParentReference `json:"parentRef,omitempty" protobuf:"bytes,1,opt,name=parentRef"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// IPAddressList is a list of IPAddresses.
type IPAddressList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`

	// items are the IPAddresses.
	Items []IPAddress `json:"items" protobuf:"bytes,2,rep,name=items"`
}

// +genclient
// +genclient:nonNamespaced
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// NodePort is the claim on one port number of every node. Its name is the
// number. A Service holds it for all protocols, also those that it does not
// serve. One made by hand keeps its port from every Service.
type NodePort struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`

	// spec says who holds the port.
	// +optional
	Spec NodePortSpec `json:"spec,omitempty" protobuf:"bytes,2,opt,name=spec"`
}

// NodePortSpec says who holds a node port and for what.
type NodePortSpec struct {
	// protocols that the holder serves on the port. Empty for a port that is
	// claimed but that no Service port maps to, such as a health check port.
	// +optional
	// +listType=set
	Protocols []corev1.Protocol `json:"protocols,omitempty" protobuf:"bytes,1,rep,name=protocols,casttype=k8s.io/api/core/v1.Protocol"`
	// parentRef is the holder. It can't be changed.
	// +required
	ParentRef *ParentReference `json:"parentRef,omitempty" protobuf:"bytes,2,opt,name=parentRef"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// NodePortList is a list of NodePorts.
type NodePortList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`

	// items are the NodePorts.
	Items []NodePort `json:"items" protobuf:"bytes,2,rep,name=items"`
}
