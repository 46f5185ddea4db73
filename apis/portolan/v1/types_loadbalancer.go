package v1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

const (
	// LoadBalancerPoolAnnotation of a Service names the LoadBalancerPool from which it takes
	// its load-balancer addresses.
	LoadBalancerPoolAnnotation = "portolan.dev/load-balancer-pool"
	// LoadBalancerIPsAnnotation of a Service names its load-balancer addresses, separated by
	// commas: one, or one of each IP family.
	LoadBalancerIPsAnnotation = "portolan.dev/load-balancer-ips"
	// LoadBalancerSharingKeyAnnotation of a Service has the key under which it shares its
	// load-balancer addresses with other Services of the same key.
	LoadBalancerSharingKeyAnnotation = "portolan.dev/load-balancer-sharing-key"

	// ServiceConditionLoadBalancerAddress is the condition of a Service that a
	// LoadBalancerPool serves. It is True if the server has set status.loadBalancer, and
	// False while the Service waits for an address.
	ServiceConditionLoadBalancerAddress = "portolan.dev/LoadBalancerAddress"
	// ReasonAllocated is the reason of the condition if the Service has its addresses.
	ReasonAllocated = "Allocated"
	// ReasonPartlyAllocated is the reason of the condition if the Service has an address of
	// one of its two IP families and waits for one of the other. The condition is True.
	ReasonPartlyAllocated = "PartlyAllocated"
	// ReasonPoolFull is the reason of the condition if the pools that select the Service
	// have no free address.
	ReasonPoolFull = "PoolFull"
	// ReasonAddressUnavailable is the reason of the condition if another Service has an
	// address that the Service names, or no pool has it.
	ReasonAddressUnavailable = "AddressUnavailable"
	// ReasonQuotaExceeded is the reason of the condition if a ClaimQuota does not let the
	// Service, which waited for an address, have one.
	ReasonQuotaExceeded = "QuotaExceeded"
)

// PoolSharing says which Services can share an address of a pool.
type PoolSharing string

const (
	// SharingSameNamespace allows Services of one namespace to share an address.
	SharingSameNamespace PoolSharing = "SameNamespace"
	// SharingAcrossNamespaces allows Services of different namespaces to share an address.
	SharingAcrossNamespaces PoolSharing = "AcrossNamespaces"

	// SharesWithAll in a list of namespaces stands for all of them.
	SharesWithAll = "*"
)

// +genclient
// +genclient:nonNamespaced
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// LoadBalancerPool is a range from which load-balancer addresses are allocated. A
// Service of type LoadBalancer that a pool serves gets its addresses in the transaction
// that creates or changes it.
type LoadBalancerPool struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`

	// spec is the range.
	// +optional
	Spec LoadBalancerPoolSpec `json:"spec,omitempty" protobuf:"bytes,2,opt,name=spec"`

	// status has the conditions and the usage of the range.
	// +optional
	Status LoadBalancerPoolStatus `json:"status,omitempty" protobuf:"bytes,3,opt,name=status"`
}

// LoadBalancerPoolSpec is a set of addresses of one or both IP families.
type LoadBalancerPoolSpec struct {
	// cidrs in canonical form, for example "192.0.2.0/24" or "2001:db8::/64". Every
	// address of a CIDR belongs to the pool. There is at least one CIDR or range.
	// +optional
	// +listType=atomic
	CIDRs []string `json:"cidrs,omitempty" protobuf:"bytes,1,rep,name=cidrs"`

	// ranges are pairs of addresses with both ends included, for example
	// "192.0.2.10-192.0.2.99". CIDRs and ranges must not overlap.
	// +optional
	// +listType=atomic
	Ranges []string `json:"ranges,omitempty" protobuf:"bytes,2,rep,name=ranges"`

	// exclude has the CIDRs, ranges and single addresses that do not belong to the pool.
	// +optional
	// +listType=atomic
	Exclude []string `json:"exclude,omitempty" protobuf:"bytes,3,rep,name=exclude"`

	// avoidBuggyIPs leaves out the IPv4 addresses that end in .0 or .255, because some
	// networks drop traffic to them. Such a pool has at most 65536 IPv4 addresses.
	// Defaults to false.
	// +optional
	AvoidBuggyIPs *bool `json:"avoidBuggyIPs,omitempty" protobuf:"varint,4,opt,name=avoidBuggyIPs"`

	// namespaceSelector selects Services by the labels of their namespace. Only selected
	// Services can have addresses of the pool. If it is not set, the namespace does not
	// matter. Addresses of a pool with a selector belong to it alone: other Services don't
	// get them from a pool without selectors that has them too.
	// +optional
	NamespaceSelector *metav1.LabelSelector `json:"namespaceSelector,omitempty" protobuf:"bytes,5,opt,name=namespaceSelector"`

	// serviceSelector selects Services by their own labels. Only selected Services can
	// have addresses of the pool. If it is not set, the labels do not matter.
	// +optional
	ServiceSelector *metav1.LabelSelector `json:"serviceSelector,omitempty" protobuf:"bytes,6,opt,name=serviceSelector"`

	// priority is the place of the pool among those that select a Service, the highest
	// first. Pools with a selector come before pools without one, whatever their
	// priority. Pools that are equal in both are used together. Defaults to 0.
	// +optional
	Priority *int32 `json:"priority,omitempty" protobuf:"varint,7,opt,name=priority"`

	// allocation says which Services get new addresses from the pool: Automatic is for
	// all that it selects, OnRequest only for those of them that name the pool or an
	// address in it, Disabled for none. Services keep the addresses that they have.
	// Defaults to Automatic.
	// +optional
	Allocation *RangeAllocation `json:"allocation,omitempty" protobuf:"bytes,8,opt,name=allocation,casttype=RangeAllocation"`

	// whenFull says what happens to a Service that the pool selects when the pool is
	// full: Fail makes it wait for an address of this pool, FallBack continues with the
	// next pool that selects it. A Service that names the pool waits in either case.
	// Defaults to FallBack.
	// +optional
	WhenFull *RangeWhenFull `json:"whenFull,omitempty" protobuf:"bytes,9,opt,name=whenFull,casttype=RangeWhenFull"`

	// loadBalancerClass is the class of the Services that the pool serves. If it is not
	// set, the pool serves Services without a class.
	// +optional
	LoadBalancerClass *string `json:"loadBalancerClass,omitempty" protobuf:"bytes,10,opt,name=loadBalancerClass"`

	// sharing says which Services that have the same sharing key can share an address of
	// the pool: SameNamespace or AcrossNamespaces. They must not have a port in common.
	// Defaults to SameNamespace.
	// +optional
	Sharing *PoolSharing `json:"sharing,omitempty" protobuf:"bytes,11,opt,name=sharing,casttype=PoolSharing"`
}

// LoadBalancerPoolStatus is the observed state of a pool.
type LoadBalancerPoolStatus struct {
	// conditions of the pool.
	// +optional
	// +patchMergeKey=type
	// +patchStrategy=merge
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty" patchStrategy:"merge" patchMergeKey:"type" protobuf:"bytes,1,rep,name=conditions"`

	// families is the usage of the pool's addresses of each IP family. The server computes
	// it when the object is read, and ignores what clients write here.
	// +optional
	// +listType=map
	// +listMapKey=family
	Families []FamilyUsage `json:"families,omitempty" protobuf:"bytes,2,rep,name=families"`
}

// FamilyUsage is the usage of a pool's addresses of one IP family. For numbers of 2^63
// and above, capacity and free are 2^63-1, and exactCapacity and exactFree are the
// numbers.
type FamilyUsage struct {
	// family is IPv4 or IPv6.
	Family corev1.IPFamily `json:"family" protobuf:"bytes,1,opt,name=family,casttype=k8s.io/api/core/v1.IPFamily"`
	// capacity is the number of addresses that Services can have from the pool.
	Capacity int64 `json:"capacity" protobuf:"varint,2,opt,name=capacity"`
	// allocated is the number of claimed addresses, including reservations. An address
	// that several Services share counts once.
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

// LoadBalancerPoolList is a list of LoadBalancerPools.
type LoadBalancerPoolList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`

	// items are the LoadBalancerPools.
	Items []LoadBalancerPool `json:"items" protobuf:"bytes,2,rep,name=items"`
}

// +genclient
// +genclient:nonNamespaced
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// LoadBalancerIP is the claim on one load-balancer address. Its name is the address in
// canonical form (RFC 5952 for IPv6). A Service's claims are written in the same
// transaction as the Service. A claim made by a client is a reservation: no Service can get
// its address, except the one that it is for.
type LoadBalancerIP struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`

	// spec names the holders of the address.
	// +optional
	Spec LoadBalancerIPSpec `json:"spec,omitempty" protobuf:"bytes,2,opt,name=spec"`
}

// LoadBalancerIPSpec names the holders of a load-balancer address.
type LoadBalancerIPSpec struct {
	// parentRef is the object that the address is reserved for. It is immutable. If it names
	// a Service, the Service of that namespace and name gets the address when it needs one.
	// It has no meaning while there are holders.
	// +optional
	ParentRef *ParentReference `json:"parentRef,omitempty" protobuf:"bytes,1,opt,name=parentRef"`

	// sharingKey is the key that the holders have in common. It is empty if the holder
	// does not share the address. Services that could share the address with the Service for
	// which it is reserved can take it under this key. Only the server sets it.
	// +optional
	SharingKey string `json:"sharingKey,omitempty" protobuf:"bytes,2,opt,name=sharingKey"`

	// holders are the Services that hold the address, in the order in which they got it.
	// Only the server sets them.
	// +optional
	// +listType=map
	// +listMapKey=uid
	Holders []LoadBalancerIPHolder `json:"holders,omitempty" protobuf:"bytes,3,rep,name=holders"`

	// expirationTimestamp is when the reservation ends. Unset means never. It has no
	// meaning while there are holders.
	// +optional
	ExpirationTimestamp *metav1.Time `json:"expirationTimestamp,omitempty" protobuf:"bytes,4,opt,name=expirationTimestamp"`
}

// LoadBalancerIPHolder is a Service that holds a load-balancer address.
type LoadBalancerIPHolder struct {
	// namespace of the Service.
	Namespace string `json:"namespace" protobuf:"bytes,1,opt,name=namespace"`
	// name of the Service.
	Name string `json:"name" protobuf:"bytes,2,opt,name=name"`
	// uid of the Service.
	UID types.UID `json:"uid" protobuf:"bytes,3,opt,name=uid,casttype=k8s.io/apimachinery/pkg/types.UID"`
	// ports that the Service serves on the address. No other holder has any of them.
	// +optional
	// +listType=atomic
	Ports []LoadBalancerIPPort `json:"ports,omitempty" protobuf:"bytes,4,rep,name=ports"`
	// sharesWith are the namespaces with whose Services the Service shares the address, or *
	// for all of them. Without any, it shares with all that the pool allows.
	// +optional
	// +listType=atomic
	SharesWith []string `json:"sharesWith,omitempty" protobuf:"bytes,5,rep,name=sharesWith"`
}

// LoadBalancerIPPort is a port of a load-balancer address.
type LoadBalancerIPPort struct {
	// protocol of the port: TCP, UDP or SCTP.
	Protocol corev1.Protocol `json:"protocol" protobuf:"bytes,1,opt,name=protocol,casttype=k8s.io/api/core/v1.Protocol"`
	// port number.
	Port int32 `json:"port" protobuf:"varint,2,opt,name=port"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// LoadBalancerIPList is a list of LoadBalancerIPs.
type LoadBalancerIPList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`

	// items are the LoadBalancerIPs.
	Items []LoadBalancerIP `json:"items" protobuf:"bytes,2,rep,name=items"`
}
