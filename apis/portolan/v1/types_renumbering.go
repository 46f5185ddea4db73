package v1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// Renumbering moves the values that a Service holds of one range to another range. It is
// created as the subresource renumber of the Service, and it is not stored. Its name is that
// of the Service.
type Renumbering struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`

	// spec says what is moved.
	Spec RenumberingSpec `json:"spec" protobuf:"bytes,2,opt,name=spec"`

	// status is set by the server.
	// +optional
	Status RenumberingStatus `json:"status,omitempty" protobuf:"bytes,3,opt,name=status"`
}

// RenumberingSpec names two ranges. Values that lie in both of them are not moved.
type RenumberingSpec struct {
	// kind of both ranges: ServiceCIDR, NodePortRange or LoadBalancerPool.
	Kind string `json:"kind" protobuf:"bytes,1,opt,name=kind"`

	// from is the name of the range whose values the Service gives up.
	From string `json:"from" protobuf:"bytes,2,opt,name=from"`

	// to is the name of the range that gives the Service a value for each of them. Values of
	// an IP family that it does not have are not moved.
	To string `json:"to" protobuf:"bytes,3,opt,name=to"`

	// preconditions must hold for the Service.
	// +optional
	Preconditions *metav1.Preconditions `json:"preconditions,omitempty" protobuf:"bytes,4,opt,name=preconditions"`
}

// RenumberingStatus is what was moved.
type RenumberingStatus struct {
	// moves has the values that the Service gave up, and those that it has instead. It is
	// empty if the Service holds no value that is to be moved.
	// +optional
	// +listType=atomic
	Moves []ValueMove `json:"moves,omitempty" protobuf:"bytes,1,rep,name=moves"`
}

// ValueMove is the replacement of one address or port by another.
type ValueMove struct {
	// from is the former address or port.
	From string `json:"from" protobuf:"bytes,1,opt,name=from"`

	// to is the address or port that the Service has instead.
	To string `json:"to" protobuf:"bytes,2,opt,name=to"`
}
