// Package registry is the table of contents of all resources: which there are,
// and what each one's storage is made of. Each has its room below.
package registry

import (
	"slices"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/rest"
	genericapiserver "k8s.io/apiserver/pkg/server"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/claims"
	"github.com/portolan-dev/portolan/pkg/registry/endpoints"
	"github.com/portolan-dev/portolan/pkg/registry/endpointslice"
	"github.com/portolan-dev/portolan/pkg/registry/ipaddress"
	"github.com/portolan-dev/portolan/pkg/registry/nodeport"
	"github.com/portolan-dev/portolan/pkg/registry/nodeportrange"
	"github.com/portolan-dev/portolan/pkg/registry/service"
	"github.com/portolan-dev/portolan/pkg/registry/servicecidr"
	"github.com/portolan-dev/portolan/pkg/registry/serviceproxy"
	"github.com/portolan-dev/portolan/pkg/registry/status"
)

// Resource is what a store holds, and of what kind that is.
type Resource struct {
	schema.GroupResource
	New func() runtime.Object
}

// Stored are the resources that a store can have: all of them, whatever doors a
// server has.
func Stored() []Resource { return slices.Concat(Resources, CoreResources) }

// Resources are all resources of portolan.dev. CoreResources are the others.
var Resources = []Resource{
	{v1.Resource("services"), func() runtime.Object { return &v1.Service{} }},
	{v1.Resource("endpoints"), func() runtime.Object { return &v1.Endpoints{} }},
	{v1.Resource("endpointslices"), func() runtime.Object { return &v1.EndpointSlice{} }},
	{v1.Resource("servicecidrs"), func() runtime.Object { return &v1.ServiceCIDR{} }},
	{v1.Resource("ipaddresses"), func() runtime.Object { return &v1.IPAddress{} }},
	{v1.Resource("nodeportranges"), func() runtime.Object { return &v1.NodePortRange{} }},
	{v1.Resource("nodeports"), func() runtime.Object { return &v1.NodePort{} }},
}

// Storage is every resource's storage.
type Storage struct {
	service.Storage
	ServiceProxy        *serviceproxy.REST
	Endpoints           *endpoints.REST
	EndpointSlice       *endpointslice.REST
	ServiceCIDR         *servicecidr.REST
	ServiceCIDRStatus   *status.REST
	IPAddress           *ipaddress.REST
	NodePortRange       *nodeportrange.REST
	NodePortRangeStatus *status.REST
	NodePort            *nodeport.REST
	// Core is nil where there is no second door.
	Core *Core
}

// NewStorage makes the storage of every resource. The guard says what may be
// reached through Services, and which addresses of loopback endpoints may have.
func NewStorage(scheme *runtime.Scheme, getter generic.RESTOptionsGetter, ledger *claims.Ledger, guard *serviceproxy.Guard) (*Storage, error) {
	services, err := service.NewStorage(scheme, getter, ledger.Families)
	if err != nil {
		return nil, err
	}
	endpoint, err := endpoints.NewStorage(scheme, getter, guard.Loopback()...)
	if err != nil {
		return nil, err
	}
	slice, err := endpointslice.NewStorage(scheme, getter, guard.Loopback()...)
	if err != nil {
		return nil, err
	}
	ledger.Dependents.ReadFrom(endpoint.Endpoints, slice.EndpointSlice)
	cidr, err := servicecidr.NewStorage(scheme, getter, ledger)
	if err != nil {
		return nil, err
	}
	address, err := ipaddress.NewStorage(scheme, getter)
	if err != nil {
		return nil, err
	}
	ports, err := nodeportrange.NewStorage(scheme, getter, ledger)
	if err != nil {
		return nil, err
	}
	port, err := nodeport.NewStorage(scheme, getter)
	if err != nil {
		return nil, err
	}
	return &Storage{
		Storage:             services,
		ServiceProxy:        serviceproxy.NewREST(services.Service, endpoint.Endpoints, guard),
		Endpoints:           endpoint.Endpoints,
		EndpointSlice:       slice.EndpointSlice,
		ServiceCIDR:         cidr.ServiceCIDR,
		ServiceCIDRStatus:   cidr.Status,
		IPAddress:           address.IPAddress,
		NodePortRange:       ports.NodePortRange,
		NodePortRangeStatus: ports.Status,
		NodePort:            port.NodePort,
	}, nil
}

// GroupInfo is what the generic server installs for portolan.dev, with a second
// door beside it or without.
func (s *Storage) GroupInfo(scheme *runtime.Scheme, codecs serializer.CodecFactory, besideCore bool) *genericapiserver.APIGroupInfo {
	services := s.Storage
	if besideCore {
		services = services.BesideCore()
	}
	return newGroup(v1.SchemeGroupVersion, scheme, codecs, map[string]rest.Storage{
		"services":              services.Service,
		"services/status":       services.Status,
		"services/proxy":        s.ServiceProxy,
		"endpoints":             s.Endpoints,
		"endpointslices":        s.EndpointSlice,
		"servicecidrs":          s.ServiceCIDR,
		"servicecidrs/status":   s.ServiceCIDRStatus,
		"ipaddresses":           s.IPAddress,
		"nodeportranges":        s.NodePortRange,
		"nodeportranges/status": s.NodePortRangeStatus,
		"nodeports":             s.NodePort,
	})
}

func newGroup(version schema.GroupVersion, scheme *runtime.Scheme, codecs serializer.CodecFactory, resources map[string]rest.Storage) *genericapiserver.APIGroupInfo {
	group := genericapiserver.NewDefaultAPIGroupInfo(version.Group, scheme, runtime.NewParameterCodec(scheme), codecs)
	group.VersionedResourcesStorageMap[version.Version] = resources
	return &group
}

// NewFeed feeds a ledger's index from the stores of claims and ranges.
func (s *Storage) NewFeed(ledger *claims.Ledger) *claims.Feed {
	return claims.NewFeed(ledger, s.IPAddress, s.NodePort, s.ServiceCIDR, s.NodePortRange)
}
