package v1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// ServiceCIDRConditionReady is the condition of a ServiceCIDR that allows
	// allocations. False forbids them. True and an absent condition allow them.
	ServiceCIDRConditionReady = "Ready"
	// DefaultRangeName is the name of the ServiceCIDR and the NodePortRange that the
	// first start creates from the flags. It is the name of upstream's default
	// ServiceCIDR.
	DefaultRangeName = "kubernetes"

	// ServiceCIDRAnnotation of a Service names the ServiceCIDR from which it takes its
	// cluster IPs.
	ServiceCIDRAnnotation = "portolan.dev/service-cidr"
	// NodePortRangeAnnotation of a Service names the NodePortRange from which it takes its
	// node ports.
	NodePortRangeAnnotation = "portolan.dev/node-port-range"
)

// RangeAllocation says which Services get new values from a range.
type RangeAllocation string

const (
	// AllocationAutomatic allows every Service that the range selects to get values from
	// it.
	AllocationAutomatic RangeAllocation = "Automatic"
	// AllocationOnRequest allows only Services that name the range, or a value in it.
	AllocationOnRequest RangeAllocation = "OnRequest"
	// AllocationDisabled allows no new values. Services keep those that they have.
	AllocationDisabled RangeAllocation = "Disabled"
)

// RangeWhenFull says what happens to a Service when a range that selects it is full.
type RangeWhenFull string

const (
	// WhenFullFail rejects the Service.
	WhenFullFail RangeWhenFull = "Fail"
	// WhenFullFallBack continues with the other ranges that select the Service.
	WhenFullFallBack RangeWhenFull = "FallBack"
)

// +genclient
// +genclient:nonNamespaced
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// ServiceCIDR is a range from which cluster IPs are allocated: one block of
// addresses, or one of each IP family.
type ServiceCIDR struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`

	// spec is the range.
	// +optional
	Spec ServiceCIDRSpec `json:"spec,omitempty" protobuf:"bytes,2,opt,name=spec"`

	// status has the conditions and the usage of the range.
	// +optional
	Status ServiceCIDRStatus `json:"status,omitempty" protobuf:"bytes,3,opt,name=status"`
}

// ServiceCIDRSpec is a range of addresses.
type ServiceCIDRSpec struct {
	// cidrs in canonical form, for example "192.168.0.0/24" or "2001:db8::/64":
	// one, or one of each IP family. Entries are immutable, but a second entry can
	// be appended.
	// +optional
	// +listType=atomic
	CIDRs []string `json:"cidrs,omitempty" protobuf:"bytes,1,rep,name=cidrs"`

	// namespaceSelector selects Services by the labels of their namespace. Only selected
	// Services can have values of the range. If it is not set, the namespace does not
	// matter. Values of a range with a selector belong to it alone: other Services don't
	// get them from a range without selectors that has them too.
	// +optional
	NamespaceSelector *metav1.LabelSelector `json:"namespaceSelector,omitempty" protobuf:"bytes,2,opt,name=namespaceSelector"`

	// serviceSelector selects Services by their own labels. Only selected Services can
	// have values of the range. If it is not set, the labels do not matter.
	// +optional
	ServiceSelector *metav1.LabelSelector `json:"serviceSelector,omitempty" protobuf:"bytes,3,opt,name=serviceSelector"`

	// priority is the place of the range among those that select a Service, the highest
	// first. Ranges with a selector come before ranges without one, whatever their
	// priority. Ranges that are equal in both are used together. Defaults to 0.
	// +optional
	Priority *int32 `json:"priority,omitempty" protobuf:"varint,4,opt,name=priority"`

	// allocation says which Services get new values from the range: Automatic is for all
	// that it selects, OnRequest only for those of them that name the range or a value
	// in it, Disabled for none. Services keep the values that they have. Defaults to
	// Automatic.
	// +optional
	Allocation *RangeAllocation `json:"allocation,omitempty" protobuf:"bytes,5,opt,name=allocation,casttype=RangeAllocation"`

	// whenFull says what happens to a Service that the range selects when the range is
	// full: Fail rejects it, FallBack continues with the next range that selects it. A
	// Service that names the range is rejected in either case. Defaults to FallBack.
	// +optional
	WhenFull *RangeWhenFull `json:"whenFull,omitempty" protobuf:"bytes,6,opt,name=whenFull,casttype=RangeWhenFull"`
}

// ServiceCIDRStatus is the observed state of a range of addresses.
type ServiceCIDRStatus struct {
	// conditions of the range. If Ready is False, nothing is allocated from it.
	// +optional
	// +patchMergeKey=type
	// +patchStrategy=merge
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty" patchStrategy:"merge" patchMergeKey:"type" protobuf:"bytes,1,rep,name=conditions"`

	// cidrs is the usage of each CIDR in the spec. The server computes it when the
	// object is read, and ignores what clients write here.
	// +optional
	// +listType=map
	// +listMapKey=cidr
	CIDRs []CIDRUsage `json:"cidrs,omitempty" protobuf:"bytes,2,rep,name=cidrs"`
}

// CIDRUsage is the usage of one CIDR. For numbers of 2^63 and above, capacity and free
// are 2^63-1, and exactCapacity and exactFree are the numbers.
type CIDRUsage struct {
	// cidr is the block, as in the spec.
	CIDR string `json:"cidr" protobuf:"bytes,1,opt,name=cidr"`
	// capacity is the number of addresses that Services can have from the block.
	Capacity int64 `json:"capacity" protobuf:"varint,2,opt,name=capacity"`
	// allocated is the number of claimed addresses, including reservations.
	Allocated int64 `json:"allocated" protobuf:"varint,3,opt,name=allocated"`
	// free is the number of unclaimed addresses.
	Free int64 `json:"free" protobuf:"varint,4,opt,name=free"`
	// exactCapacity is the capacity as a decimal number, if it is 2^63 or above.
	// +optional
	ExactCapacity string `json:"exactCapacity,omitempty" protobuf:"bytes,5,opt,name=exactCapacity"`
	// exactFree is the number of unclaimed addresses as a decimal number, if the capacity
	// is 2^63 or above.
	// +optional
	ExactFree string `json:"exactFree,omitempty" protobuf:"bytes,6,opt,name=exactFree"`
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

// NodePortRange is a range from which node ports and health check ports are
// allocated: a set of port numbers.
type NodePortRange struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`

	// spec is the range.
	// +optional
	Spec NodePortRangeSpec `json:"spec,omitempty" protobuf:"bytes,2,opt,name=spec"`

	// status has the conditions and the usage of the range.
	// +optional
	Status NodePortRangeStatus `json:"status,omitempty" protobuf:"bytes,3,opt,name=status"`
}

// NodePortRangeSpec is a set of port numbers.
type NodePortRangeSpec struct {
	// ports are single numbers or inclusive ranges, for example "443" and
	// "30000-32767". They must not overlap.
	// +listType=atomic
	Ports []string `json:"ports,omitempty" protobuf:"bytes,1,rep,name=ports"`

	// autoAssign allows allocations to Services that do not name a node port. If it
	// is false, Services get only ports of this range that they name. Defaults to
	// true. If allocation is set, it decides.
	// +optional
	AutoAssign *bool `json:"autoAssign,omitempty" protobuf:"varint,2,opt,name=autoAssign"`

	// staticBand is the number of the lowest ports of each range of ports that are
	// kept for requests that name their port. Other requests get one of them only
	// when all others are claimed. The default is upstream's rule (KEP-3668): 0 for
	// 16 ports or fewer, otherwise 1/32 of the ports, but at least 16 and at most
	// 128.
	// +optional
	StaticBand *int32 `json:"staticBand,omitempty" protobuf:"varint,3,opt,name=staticBand"`

	// namespaceSelector selects Services by the labels of their namespace. Only selected
	// Services can have values of the range. If it is not set, the namespace does not
	// matter. Values of a range with a selector belong to it alone: other Services don't
	// get them from a range without selectors that has them too.
	// +optional
	NamespaceSelector *metav1.LabelSelector `json:"namespaceSelector,omitempty" protobuf:"bytes,4,opt,name=namespaceSelector"`

	// serviceSelector selects Services by their own labels. Only selected Services can
	// have values of the range. If it is not set, the labels do not matter.
	// +optional
	ServiceSelector *metav1.LabelSelector `json:"serviceSelector,omitempty" protobuf:"bytes,5,opt,name=serviceSelector"`

	// priority is the place of the range among those that select a Service, the highest
	// first. Ranges with a selector come before ranges without one, whatever their
	// priority. Ranges that are equal in both are used together. Defaults to 0.
	// +optional
	Priority *int32 `json:"priority,omitempty" protobuf:"varint,6,opt,name=priority"`

	// allocation says which Services get new values from the range: Automatic is for all
	// that it selects, OnRequest only for those of them that name the range or a value
	// in it, Disabled for none. Services keep the values that they have. Defaults to
	// Automatic, or to OnRequest if autoAssign is false.
	// +optional
	Allocation *RangeAllocation `json:"allocation,omitempty" protobuf:"bytes,7,opt,name=allocation,casttype=RangeAllocation"`

	// whenFull says what happens to a Service that the range selects when the range is
	// full: Fail rejects it, FallBack continues with the next range that selects it. A
	// Service that names the range is rejected in either case. Defaults to FallBack.
	// +optional
	WhenFull *RangeWhenFull `json:"whenFull,omitempty" protobuf:"bytes,8,opt,name=whenFull,casttype=RangeWhenFull"`
}

// NodePortRangeStatus is the observed state of a set of port numbers. The
// server computes the numbers when the object is read, and ignores what clients
// write there.
type NodePortRangeStatus struct {
	// conditions of the range.
	// +optional
	// +patchMergeKey=type
	// +patchStrategy=merge
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty" patchStrategy:"merge" patchMergeKey:"type" protobuf:"bytes,1,rep,name=conditions"`
	// capacity is the number of ports in the range.
	// +optional
	Capacity int32 `json:"capacity" protobuf:"varint,2,opt,name=capacity"`
	// allocated is the number of claimed ports, including reservations.
	// +optional
	Allocated int32 `json:"allocated" protobuf:"varint,3,opt,name=allocated"`
	// free is the number of unclaimed ports.
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
