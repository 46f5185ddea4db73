package registry

import (
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	eventsv1 "k8s.io/api/events/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/rest"
	genericapiserver "k8s.io/apiserver/pkg/server"

	"github.com/portolan-dev/portolan/pkg/registry/event"
	"github.com/portolan-dev/portolan/pkg/registry/ingress"
	"github.com/portolan-dev/portolan/pkg/registry/ingressclass"
	"github.com/portolan-dev/portolan/pkg/registry/lease"
	"github.com/portolan-dev/portolan/pkg/registry/namespace"
	"github.com/portolan-dev/portolan/pkg/registry/node"
	"github.com/portolan-dev/portolan/pkg/registry/pod"
	"github.com/portolan-dev/portolan/pkg/registry/secret"
	"github.com/portolan-dev/portolan/pkg/registry/servicecidr"
)

// CoreResources are all resources that are served at the second door alone.
var CoreResources = []Resource{
	{corev1.Resource("namespaces"), func() runtime.Object { return &corev1.Namespace{} }},
	{corev1.Resource("nodes"), func() runtime.Object { return &corev1.Node{} }},
	{corev1.Resource("pods"), func() runtime.Object { return &corev1.Pod{} }},
	{corev1.Resource("secrets"), func() runtime.Object { return &corev1.Secret{} }},
	{corev1.Resource("events"), func() runtime.Object { return &corev1.Event{} }},
	{lease.Resource, func() runtime.Object { return &coordinationv1.Lease{} }},
	{networkingv1.Resource("ingresses"), func() runtime.Object { return &networkingv1.Ingress{} }},
	{networkingv1.Resource("ingressclasses"), func() runtime.Object { return &networkingv1.IngressClass{} }},
}

// Core is the storage of the resources that are served at the second door alone.
type Core struct {
	Namespace    namespace.Storage
	Node         node.Storage
	Pod          pod.Storage
	Secret       secret.Storage
	Event        event.Storage
	Lease        lease.Storage
	Ingress      ingress.Storage
	IngressClass ingressclass.Storage
}

// NewCore makes the storage of what is served at the second door alone. Events
// are kept for as long as eventTTL.
func NewCore(scheme *runtime.Scheme, getter generic.RESTOptionsGetter, eventTTL time.Duration) (*Core, error) {
	namespaces, err := namespace.NewStorage(scheme, getter)
	if err != nil {
		return nil, err
	}
	nodes, err := node.NewStorage(scheme, getter)
	if err != nil {
		return nil, err
	}
	pods, err := pod.NewStorage(scheme, getter)
	if err != nil {
		return nil, err
	}
	secrets, err := secret.NewStorage(scheme, getter)
	if err != nil {
		return nil, err
	}
	events, err := event.NewStorage(scheme, getter, eventTTL)
	if err != nil {
		return nil, err
	}
	leases, err := lease.NewStorage(scheme, getter)
	if err != nil {
		return nil, err
	}
	ingresses, err := ingress.NewStorage(scheme, getter)
	if err != nil {
		return nil, err
	}
	classes, err := ingressclass.NewStorage(scheme, getter)
	return &Core{
		Namespace: namespaces, Node: nodes, Pod: pods, Secret: secrets, Event: events, Lease: leases, Ingress: ingresses, IngressClass: classes,
	}, err
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
		{corev1.Resource("pods"), s.Core.Pod.Pod},
		{corev1.Resource("services"), s.Storage.Service},
		{corev1.Resource("endpoints"), s.Endpoints},
		{discoveryv1.Resource("endpointslices"), s.EndpointSlice},
		{corev1.Resource("secrets"), s.Core.Secret.Secret},
		{lease.Resource, s.Core.Lease.Lease},
		{networkingv1.Resource("ingresses"), s.Core.Ingress.Ingress},
		{corev1.Resource("events"), s.Core.Event.Event},
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
		"nodes":               s.Core.Node.Node,
		"nodes/status":        s.Core.Node.Status,
		"pods":                s.Core.Pod.Pod,
		"pods/status":         s.Core.Pod.Status,
		"secrets":             s.Core.Secret.Secret,
		"events":              s.Core.Event.Event,
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
			"ingresses":           s.Core.Ingress.Ingress,
			"ingresses/status":    s.Core.Ingress.Status,
			"ingressclasses":      s.Core.IngressClass.IngressClass,
		}),
		newGroup(eventsv1.SchemeGroupVersion, scheme, codecs, map[string]rest.Storage{
			"events": s.Core.Event.Events().Event,
		}),
		newGroup(coordinationv1.SchemeGroupVersion, scheme, codecs, map[string]rest.Storage{
			"leases": s.Core.Lease.Lease,
		}),
	}
}
