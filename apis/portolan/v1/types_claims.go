package v1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

const (
	// LabelIPFamily is upstream's label for the IP family of an IPAddress. Its value
	// is IPv4 or IPv6.
	LabelIPFamily = "ipaddress.kubernetes.io/ip-family"
	// LabelManagedBy is upstream's label for the manager of an IPAddress. Its value is
	// ManagedByAllocator if a Service holds the address.
	LabelManagedBy = "ipaddress.kubernetes.io/managed-by"
	// ManagedByAllocator is upstream's value of LabelManagedBy for an address that a
	// Service holds. Tools select on it.
	ManagedByAllocator = "ipallocator.k8s.io"
)

// ParentReference names the object that holds a claim.
type ParentReference struct {
	// group of the holder. Empty for the core group.
	// +optional
	Group string `json:"group,omitempty" protobuf:"bytes,1,opt,name=group"`
	// resource is the plural name of the holder's resource, for example "services".
	Resource string `json:"resource,omitempty" protobuf:"bytes,2,opt,name=resource"`
	// namespace of the holder.
	// +optional
	Namespace string `json:"namespace,omitempty" protobuf:"bytes,3,opt,name=namespace"`
	// name of the holder.
	Name string `json:"name,omitempty" protobuf:"bytes,4,opt,name=name"`
	// uid of the Service that holds the claim. Only the server sets it. A claim with
	// a uid is created and deleted with that Service, and clients can neither delete
	// nor change it. A claim without a uid is a reservation, made by a client.
	// +optional
	UID types.UID `json:"uid,omitempty" protobuf:"bytes,5,opt,name=uid,casttype=k8s.io/apimachinery/pkg/types.UID"`
}

// +genclient
// +genclient:nonNamespaced
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// IPAddress is the claim on one address. Its name is the address in canonical
// form (RFC 5952 for IPv6). A Service's claims are written in the same
// transaction as the Service. A claim made by a client is a reservation: no
// Service can get its address, except the one that it is for.
type IPAddress struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`

	// spec names the holder of the address.
	// +optional
	Spec IPAddressSpec `json:"spec,omitempty" protobuf:"bytes,2,opt,name=spec"`
}

// IPAddressSpec names the holder of an address.
type IPAddressSpec struct {
	// parentRef is the holder. It is immutable. If it names a Service and has no uid, the
	// address is reserved for the Service of that namespace and name, which gets it when it
	// needs one.
	// +required
	ParentRef *ParentReference `json:"parentRef,omitempty" protobuf:"bytes,1,opt,name=parentRef"`
	// expirationTimestamp is when the reservation ends. Unset means never. It has no
	// meaning while a Service holds the address.
	// +optional
	ExpirationTimestamp *metav1.Time `json:"expirationTimestamp,omitempty" protobuf:"bytes,2,opt,name=expirationTimestamp"`
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
// number. A Service holds the port for all protocols, even those that it does
// not serve. A claim made by a client is a reservation: no Service can get its
// port, except the one that it is for.
type NodePort struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`

	// spec names the holder of the port.
	// +optional
	Spec NodePortSpec `json:"spec,omitempty" protobuf:"bytes,2,opt,name=spec"`
}

// NodePortSpec names the holder of a node port and its protocols.
type NodePortSpec struct {
	// protocols that the holder serves on the port. Empty for a claimed port to
	// which no port of a Service maps, such as a health check port.
	// +optional
	// +listType=set
	Protocols []corev1.Protocol `json:"protocols,omitempty" protobuf:"bytes,1,rep,name=protocols,casttype=k8s.io/api/core/v1.Protocol"`
	// parentRef is the holder. It is immutable. If it names a Service and has no uid, the
	// port is reserved for the Service of that namespace and name, which gets it when it
	// needs one.
	// +required
	ParentRef *ParentReference `json:"parentRef,omitempty" protobuf:"bytes,2,opt,name=parentRef"`
	// servicePorts are the ports of the Service that the node port is reserved for. Without
	// them and without healthCheck, it is for the first port of the Service that needs one
	// and whose protocol is in protocols, if those are set. They have no meaning while a
	// Service holds the port.
	// +optional
	// +listType=atomic
	ServicePorts []ServicePortReference `json:"servicePorts,omitempty" protobuf:"bytes,3,rep,name=servicePorts"`
	// healthCheck reserves the node port as the Service's health check node port. It has no
	// meaning while a Service holds the port.
	// +optional
	HealthCheck *bool `json:"healthCheck,omitempty" protobuf:"varint,4,opt,name=healthCheck"`
	// expirationTimestamp is when the reservation ends. Unset means never. It has no
	// meaning while a Service holds the port.
	// +optional
	ExpirationTimestamp *metav1.Time `json:"expirationTimestamp,omitempty" protobuf:"bytes,5,opt,name=expirationTimestamp"`
}

// ServicePortReference names a port of a Service. A port is found by its name first and
// then by its number, always with the protocol.
type ServicePortReference struct {
	// name of the port. Empty for the port of a Service that has only one.
	// +optional
	Name string `json:"name,omitempty" protobuf:"bytes,1,opt,name=name"`
	// port is the number of the port.
	// +optional
	Port int32 `json:"port,omitempty" protobuf:"varint,2,opt,name=port"`
	// protocol of the port. The default is TCP.
	// +optional
	Protocol corev1.Protocol `json:"protocol,omitempty" protobuf:"bytes,3,opt,name=protocol,casttype=k8s.io/api/core/v1.Protocol"`
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
