package registry

import (
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apiserver/pkg/registry/rest"
	genericapiserver "k8s.io/apiserver/pkg/server"

	"github.com/portolan-dev/portolan/pkg/registry/servicecidr"
)

// CoreGroupInfo is what the generic server installs at the second door for the
// group without a name.
func (s *Storage) CoreGroupInfo(scheme *runtime.Scheme, codecs serializer.CodecFactory) *genericapiserver.APIGroupInfo {
	services := s.Storage.Core()
	return newGroup(corev1.SchemeGroupVersion, scheme, codecs, map[string]rest.Storage{
		"services":        services.Service,
		"services/status": services.Status,
		"services/proxy":  s.ServiceProxy,
		"endpoints":       s.Endpoints.Core(),
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
