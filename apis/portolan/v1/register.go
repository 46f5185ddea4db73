package v1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupName is the API group of every kind in this package.
const GroupName = "portolan.dev"

// SchemeGroupVersion is the group and version of every kind in this package.
var SchemeGroupVersion = schema.GroupVersion{Group: GroupName, Version: "v1"}

// internalGroupVersion is the internal version of the same types. See the package
// documentation.
var internalGroupVersion = schema.GroupVersion{Group: GroupName, Version: runtime.APIVersionInternal}

var (
	// SchemeBuilder collects the functions that AddToScheme calls.
	SchemeBuilder      = runtime.NewSchemeBuilder(addKnownTypes)
	localSchemeBuilder = &SchemeBuilder
	// AddToScheme registers the kinds, their defaults and their field labels. Clients
	// and servers share it.
	AddToScheme = SchemeBuilder.AddToScheme
)

func init() {
	localSchemeBuilder.Register(RegisterDefaults, addFieldLabels)
}

// Resource qualifies an unqualified resource name with this group.
func Resource(resource string) schema.GroupResource {
	return SchemeGroupVersion.WithResource(resource).GroupResource()
}

// Kind qualifies an unqualified kind with this group.
func Kind(kind string) schema.GroupKind {
	return SchemeGroupVersion.WithKind(kind).GroupKind()
}

func addKnownTypes(scheme *runtime.Scheme) error {
	kinds := []runtime.Object{
		&Service{}, &ServiceList{},
		&Endpoints{}, &EndpointsList{},
		&EndpointSlice{}, &EndpointSliceList{},
		&ServiceCIDR{}, &ServiceCIDRList{},
		&IPAddress{}, &IPAddressList{},
		&NodePortRange{}, &NodePortRangeList{},
		&NodePort{}, &NodePortList{},
		&LoadBalancerPool{}, &LoadBalancerPoolList{},
		&LoadBalancerIP{}, &LoadBalancerIPList{},
		&Renumbering{},
		&ClaimQuota{}, &ClaimQuotaList{},
	}
	scheme.AddKnownTypes(SchemeGroupVersion, kinds...)
	scheme.AddKnownTypes(internalGroupVersion, kinds...)
	metav1.AddToGroupVersion(scheme, SchemeGroupVersion)
	return nil
}
