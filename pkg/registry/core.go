package registry

import (
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/rest"
	genericapiserver "k8s.io/apiserver/pkg/server"

	"github.com/portolan-dev/portolan/pkg/registry/namespace"
	"github.com/portolan-dev/portolan/pkg/registry/servicecidr"
)

// CoreResources are all resources that are served at the second door alone.
var CoreResources = []Resource{
	{corev1.Resource("namespaces"), func() runtime.Object { return &corev1.Namespace{} }},
}

// Core is the storage of the resources that are served at the second door alone.
type Core struct {
	Namespace namespace.Storage
}

// NewCore makes the storage of what is served at the second door alone.
func NewCore(scheme *runtime.Scheme, getter generic.RESTOptionsGetter) (*Core, error) {
	namespaces, err := namespace.NewStorage(scheme, getter)
	if err != nil {
		return nil, err
	}
	return &Core{Namespace: namespaces}, nil
}

// Contained is a resource whose objects are in namespaces.
type Contained struct {
	schema.GroupResource
	Objects interface {
		rest.Lister
		rest.CollectionDeleter
	}
}

// Contained are all resources whose objects are in namespaces, in the order in
// which a namespace is emptied.
func (s *Storage) Contained() []Contained {
	return []Contained{
		{corev1.Resource("services"), s.Storage.Service},
		{corev1.Resource("endpoints"), s.Endpoints},
		{discoveryv1.Resource("endpointslices"), s.EndpointSlice},
	}
}

// CoreGroupInfo is what the generic server installs at the second door for the
// group without a name.
func (s *Storage) CoreGroupInfo(scheme *runtime.Scheme, codecs serializer.CodecFactory) *genericapiserver.APIGroupInfo {
	services := s.Storage.Core()
	return newGroup(corev1.SchemeGroupVersion, scheme, codecs, map[string]rest.Storage{
		"services":            services.Service,
		"services/status":     services.Status,
		"services/proxy":      s.ServiceProxy,
		"endpoints":           s.Endpoints.Core(),
		"namespaces":          s.Core.Namespace.Namespace,
		"namespaces/status":   s.Core.Namespace.Status,
		"namespaces/finalize": s.Core.Namespace.Finalize,
	})
}

// CoreGroupInfos are what it installs there for the groups that have one.
func (s *Storage) CoreGroupInfos(scheme *runtime.Scheme, codecs serializer.CodecFactory) []*genericapiserver.APIGroupInfo {
	cidrs := servicecidr.Storage{ServiceCIDR: s.ServiceCIDR, Status: s.ServiceCIDRStatus}.Core()
	return []*genericapiserver.APIGroupInfo{
		newGroup(discoveryv1.SchemeGroupVersion, scheme, codecs, map[string]rest.Storage{
			"endpointslices": s.EndpointSlice.Core(),
		}),
		newGroup(networkingv1.SchemeGroupVersion, scheme, codecs, map[string]rest.Storage{
			"servicecidrs":        cidrs.ServiceCIDR,
			"servicecidrs/status": cidrs.Status,
			"ipaddresses":         s.IPAddress.Core(),
		}),
	}
}
