package v1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// ServiceCIDRConditionReady is False on a ServiceCIDR that nothing may be
	// allocated from; absent and True both mean that it may.
	ServiceCIDRConditionReady = "Ready"
	// DefaultRangeName names the ServiceCIDR and the NodePortRange that the
	// flags seed at the first start, as upstream's default ServiceCIDR is named.
	DefaultRangeName = "kubernetes"
)

// +genclient
// +genclient:nonNamespaced
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// ServiceCIDR is one block of addresses, or one of each IP family, that
// cluster IPs are allocated from.
type ServiceCIDR struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`

	// spec is the range.
	// +optional
	Spec ServiceCIDRSpec `json:"spec,omitempty" protobuf:"bytes,2,opt,name=spec"`

	// status is the range's conditions and how full it is.
	// +optional
	Status ServiceCIDRStatus `json:"status,omitempty" protobuf:"bytes,3,opt,name=status"`
}

// ServiceCIDRSpec is a range of addresses.
type ServiceCIDRSpec struct {
	// cidrs in canonical form, e.g. "192.168.0.0/24" or "2001:db8::/64": one,
	// or one of each IP family. An entry can't be changed; a second one may be
	// appended.
	// +optional
	// +listType=atomic
	CIDRs []string `json:"cidrs,omitempty" protobuf:"bytes,1,rep,name=cidrs"`
}

// ServiceCIDRStatus is what was observed of a range of addresses.
type ServiceCIDRStatus struct {
	// conditions of the range; see ServiceCIDRConditionReady.
	// +optional
	// +patchMergeKey=type
	// +patchStrategy=merge
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty" patchStrategy:"merge" patchMergeKey:"type" protobuf:"bytes,1,rep,name=conditions"`

	// cidrs says of each CIDR in the spec how full it is. The server works it
	// out when the object is read; what a client writes here is ignored.
	// +optional
	// +listType=map
	// +listMapKey=cidr
	CIDRs []CIDRUsage `json:"cidrs,omitempty" protobuf:"bytes,2,rep,name=cidrs"`
}

// CIDRUsage says how full one CIDR is. Figures of 2^63 and more are given as
// 2^63-1.
type CIDRUsage struct {
	// cidr is the block, as in the spec.
	CIDR string `json:"cidr" protobuf:"bytes,1,opt,name=cidr"`
	// capacity is how many addresses Services can have from it.
	Capacity int64 `json:"capacity" protobuf:"varint,2,opt,name=capacity"`
	// allocated is how many are held, reservations included.
	Allocated int64 `json:"allocated" protobuf:"varint,3,opt,name=allocated"`
	// free is how many are left.
	Free int64 `json:"free" protobuf:"varint,4,opt,name=free"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// ServiceCIDRList is a list of ServiceCIDRs.
type ServiceCIDRList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`

	// items are the ServiceCIDRs.
	Items []ServiceCIDR `json:"items" protobuf:"bytes,2,rep,name=items"`
}

// +genclient
// +genclient:nonNamespaced
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// NodePortRange is a set of port numbers that node ports and health check
// ports are allocated from.
type NodePortRange struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`

	// spec is the range.
	// +optional
	Spec NodePortRangeSpec `json:"spec,omitempty" protobuf:"bytes,2,opt,name=spec"`

	// status is the range's conditions and how full it is.
	// +optional
	Status NodePortRangeStatus `json:"status,omitempty" protobuf:"bytes,3,opt,name=status"`
}

// NodePortRangeSpec is a set of port numbers.
type NodePortRangeSpec struct {
	// ports are single numbers or ranges with both ends included, such as
	// "443" and "30000-32767". They must not overlap one another.
	// +listType=atomic
	Ports []string `json:"ports,omitempty" protobuf:"bytes,1,rep,name=ports"`

	// autoAssign says whether a Service that leaves its node port open may be
	// given one from here. Where it is false, ports must be asked for by
	// number. Defaults to true.
	// +optional
	AutoAssign *bool `json:"autoAssign,omitempty" protobuf:"varint,2,opt,name=autoAssign"`

	// staticBand is how many of the lowest ports of each range are left to
	// requests that name their port: one that is left open gets one of them
	// only when the rest is taken. Left out, it is upstream's rule: none of 16
	// ports or fewer, else a 32nd of the range but at least 16 and at most 128
	// (KEP-3668).
	// +optional
	StaticBand *int32 `json:"staticBand,omitempty" protobuf:"varint,3,opt,name=staticBand"`
}

// NodePortRangeStatus is what was observed of a set of port numbers. The
// server works the figures out when the object is read; what a client writes
// there is ignored.
type NodePortRangeStatus struct {
	// conditions of the range.
	// +optional
	// +patchMergeKey=type
	// +patchStrategy=merge
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty" patchStrategy:"merge" patchMergeKey:"type" protobuf:"bytes,1,rep,name=conditions"`
	// capacity is how many ports the range has.
	// +optional
	Capacity int32 `json:"capacity" protobuf:"varint,2,opt,name=capacity"`
	// allocated is how many are held, reservations included.
	// +optional
	Allocated int32 `json:"allocated" protobuf:"varint,3,opt,name=allocated"`
	// free is how many are left.
	// +optional
	Free int32 `json:"free" protobuf:"varint,4,opt,name=free"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// NodePortRangeList is a list of NodePortRanges.
type NodePortRangeList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`

	// items are the NodePortRanges.
	Items []NodePortRange `json:"items" protobuf:"bytes,2,rep,name=items"`
}
