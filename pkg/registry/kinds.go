// Package registry has the table of kinds, and makes the stores and API groups from it. To
// add a kind, write and register its types, write its defaults, strategy, validation and
// columns, and add a row to the table.
package registry

import (
	"net/netip"
	"slices"
	"time"

	"go.etcd.io/etcd/client/v3/kubernetes"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	eventsv1 "k8s.io/api/events/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/registry/rest"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/claims"
	"github.com/portolan-dev/portolan/pkg/registry/claimquota"
	"github.com/portolan-dev/portolan/pkg/registry/configmap"
	"github.com/portolan-dev/portolan/pkg/registry/endpoints"
	"github.com/portolan-dev/portolan/pkg/registry/endpointslice"
	"github.com/portolan-dev/portolan/pkg/registry/event"
	"github.com/portolan-dev/portolan/pkg/registry/generic"
	"github.com/portolan-dev/portolan/pkg/registry/ingress"
	"github.com/portolan-dev/portolan/pkg/registry/ingressclass"
	"github.com/portolan-dev/portolan/pkg/registry/ipaddress"
	"github.com/portolan-dev/portolan/pkg/registry/lease"
	"github.com/portolan-dev/portolan/pkg/registry/loadbalancerip"
	"github.com/portolan-dev/portolan/pkg/registry/loadbalancerpool"
	"github.com/portolan-dev/portolan/pkg/registry/namespace"
	"github.com/portolan-dev/portolan/pkg/registry/node"
	"github.com/portolan-dev/portolan/pkg/registry/nodeport"
	"github.com/portolan-dev/portolan/pkg/registry/nodeportrange"
	"github.com/portolan-dev/portolan/pkg/registry/pod"
	"github.com/portolan-dev/portolan/pkg/registry/secret"
	"github.com/portolan-dev/portolan/pkg/registry/service"
	"github.com/portolan-dev/portolan/pkg/registry/serviceaccount"
	"github.com/portolan-dev/portolan/pkg/registry/servicecidr"
	"github.com/portolan-dev/portolan/pkg/storage"
)

// Kind is a row of the table of kinds.
type Kind struct {
	generic.Kind
	// Rules returns the kind's rules.
	Rules func(Inputs) generic.Rules
	// Groups are the API groups that serve the kind. The first one is its own.
	Groups []generic.Group
	// Serve wraps the store for clients. Nil serves the store itself.
	Serve func(generic.Store, *Storage, Inputs) rest.Storage
	// Served returns what sets the fields that only clients see. It is nil for most kinds.
	Served func(*Storage, Inputs) generic.FillServed
	// Subresources are the subresources other than status, by name.
	Subresources map[string]func(*Storage, Inputs) rest.Storage
	// OwnSubresources are further ones, which only the kind's own group serves.
	OwnSubresources map[string]func(*Storage, Inputs) rest.Storage
	// MirrorSubresources are the subresources that the mirror of a cluster uses. Only the
	// kind's own group serves them, and only with Inputs.Mirror.
	MirrorSubresources map[string]func(*Storage, Inputs) rest.Storage
	// Layer returns the layer between etcd and the watch cache. It may be nil. It can use
	// the stores of the kinds above this one in the table.
	Layer func(Backend, *Storage) (storage.Layer, error)
	// Batched is true if one transaction writes several objects of the kind.
	Batched bool
	// DeletionOrder is the kind's position in the order in which the contents of a
	// namespace are deleted, starting at 1. It is zero for a cluster-scoped kind.
	DeletionOrder int
}

// Inputs has what the rules of kinds depend on.
type Inputs struct {
	Typer runtime.ObjectTyper
	// Families are the IP families of the cluster.
	Families service.Families
	// CIDRUsage, PortUsage and PoolUsage report how full ranges are.
	CIDRUsage servicecidr.Usage
	PortUsage nodeportrange.Usage
	PoolUsage loadbalancerpool.Usage
	// RangeConditions computes conditions of ranges. It may be nil.
	RangeConditions *claims.RangeConditions
	// QuotaUsage sets the status of ClaimQuotas. It may be nil.
	QuotaUsage generic.FillServed
	// Loopback are the loopback networks that endpoints may use.
	Loopback []netip.Prefix
	// EventTTL is how long Events are kept.
	EventTTL time.Duration
	// Decoder decodes objects of portolan.dev.
	Decoder runtime.Decoder
	// Mirror serves the subresources with which a cluster's Services are mirrored and
	// adopted.
	Mirror bool
	// Ledger gives Services other values, once Synced reports that its index is complete.
	Ledger *claims.Ledger
	Synced func() bool
	// Authorizer decides what a user may do.
	Authorizer authorizer.UnconditionalAuthorizer
	// Rights are compared with the rights that a user grants.
	Rights Rights
	// Issuer issues the tokens of ServiceAccounts.
	Issuer serviceaccount.Issuer
	// Proxy makes services/proxy, which reads Services and Endpoints.
	Proxy func(services, endpoints rest.Getter) rest.Storage
}

// Backend has what the stores are built on.
type Backend struct {
	Getter *storage.Getter
	Ledger *claims.Ledger
	// Client reads from etcd.
	Client kubernetes.Interface
}

var portolan = v1.SchemeGroupVersion

// Kinds returns the table of kinds, in the order in which their stores are built: a kind
// comes after the kinds whose stores its layer uses.
func Kinds() []Kind {
	return slices.Concat(PortolanKinds(), coreV1Kinds(), otherKinds(), roleKinds(), extensionKinds(), admissionKinds())
}

// Resources returns the resources of all kinds, in every API group that serves them, and of
// the absent kinds.
func Resources() []schema.GroupResource {
	var resources []schema.GroupResource
	for _, kind := range Kinds() {
		for _, group := range kind.Groups {
			resources = append(resources, schema.GroupResource{Group: group.Group, Resource: kind.Resource.Resource})
		}
	}
	for _, kind := range AbsentKinds() {
		resources = append(resources, kind.Resource.GroupResource())
	}
	return resources
}

// StoredAs returns the name of the store of a resource. Resources of different API groups with
// the same store are the same objects. The name is empty for resources of other servers.
func StoredAs(resource schema.GroupResource) string {
	for _, kind := range Kinds() {
		for _, group := range kind.Groups {
			if group.Group == resource.Group && kind.Resource.Resource == resource.Resource {
				return kind.Resource.String()
			}
		}
	}
	return ""
}

// PortolanKinds returns the kinds of portolan.dev. Most of them are also in a core API
// group.
func PortolanKinds() []Kind {
	return slices.Concat(serviceKinds(), allocatorKinds(), loadBalancerKinds(), quotaKinds())
}

func serviceKinds() []Kind {
	return []Kind{
		{
			Kind: generic.Kind{
				Resource: v1.Resource("endpoints"), Singular: "endpoints",
				New: object[v1.Endpoints], NewList: object[v1.EndpointsList], Table: endpoints.TableConvertor,
			},
			Rules: func(in Inputs) generic.Rules { return endpoints.Rules(in.Typer, in.Loopback) },
			Groups: []generic.Group{
				{GroupVersion: portolan, Names: generic.Names{Short: []string{"pep"}}},
				{GroupVersion: corev1.SchemeGroupVersion, Names: generic.Names{Short: []string{"ep"}}},
			},
			MirrorSubresources: mirror(mirroredEndpoints),
			Layer:              withCopies(mirroredEndpoints, nil),
			DeletionOrder:      3,
		},
		{
			Kind: generic.Kind{
				Resource: v1.Resource("endpointslices"), Singular: "endpointslice",
				New: object[v1.EndpointSlice], NewList: object[v1.EndpointSliceList],
				Table: endpointslice.TableConvertor, Attributes: endpointslice.Attributes, Indexers: endpointslice.Indexers(),
			},
			Rules:              func(in Inputs) generic.Rules { return endpointslice.Rules(in.Typer, in.Loopback) },
			Groups:             []generic.Group{{GroupVersion: portolan}, {GroupVersion: discoveryv1.SchemeGroupVersion}},
			MirrorSubresources: mirror(mirroredSlices),
			Layer:              withCopies(mirroredSlices, recordLayer),
			Batched:            true,
			DeletionOrder:      4,
		},
		{
			Kind: generic.Kind{
				Resource: v1.Resource("services"), Singular: "service",
				New: object[v1.Service], NewList: object[v1.ServiceList],
				Table: service.TableConvertor, Attributes: service.Attributes, ReturnDeleted: true,
			},
			Rules: func(in Inputs) generic.Rules { return service.Rules(in.Typer, in.Families) },
			// The core group keeps svc and ep, so that kubectl can name the kinds of both
			// groups.
			Groups: []generic.Group{
				{GroupVersion: portolan, Names: generic.Names{Short: []string{"psvc"}, Sets: []string{"all"}}},
				{GroupVersion: corev1.SchemeGroupVersion, Names: generic.Names{Short: []string{"svc"}, Sets: []string{"all"}}},
			},
			Subresources:       map[string]func(*Storage, Inputs) rest.Storage{"proxy": proxy},
			OwnSubresources:    map[string]func(*Storage, Inputs) rest.Storage{"renumber": renumber},
			MirrorSubresources: mirrorServices(),
			Layer:              withCopies(mirroredServices, claimsLayer),
			DeletionOrder:      2,
		},
	}
}

func allocatorKinds() []Kind {
	return []Kind{
		{
			Kind: generic.Kind{
				Resource: v1.Resource("servicecidrs"), Singular: "servicecidr",
				New: object[v1.ServiceCIDR], NewList: object[v1.ServiceCIDRList], Table: servicecidr.TableConvertor,
			},
			Rules: func(in Inputs) generic.Rules { return servicecidr.Rules(in.Typer, in.CIDRUsage) },
			Groups: []generic.Group{
				{GroupVersion: portolan},
				{GroupVersion: networkingv1.SchemeGroupVersion, Table: servicecidr.CoreTableConvertor},
			},
			Served: rangeConditions,
			Layer:  rangeLayer("servicecidrs"),
		},
		{
			Kind: generic.Kind{
				Resource: v1.Resource("ipaddresses"), Singular: "ipaddress",
				New: object[v1.IPAddress], NewList: object[v1.IPAddressList], Table: ipaddress.TableConvertor,
			},
			Rules: plain(ipaddress.Rules),
			Groups: []generic.Group{
				{GroupVersion: portolan},
				{GroupVersion: networkingv1.SchemeGroupVersion, Names: generic.Names{Short: []string{"ip"}}, Table: ipaddress.CoreTableConvertor},
			},
			Layer:   reservationLayer,
			Batched: true,
		},
		{
			Kind: generic.Kind{
				Resource: v1.Resource("nodeportranges"), Singular: "nodeportrange",
				New: object[v1.NodePortRange], NewList: object[v1.NodePortRangeList], Table: nodeportrange.TableConvertor,
			},
			Rules:  func(in Inputs) generic.Rules { return nodeportrange.Rules(in.Typer, in.PortUsage) },
			Groups: []generic.Group{{GroupVersion: portolan}},
			Served: rangeConditions,
			Layer:  rangeLayer("nodeportranges"),
		},
		{
			Kind: generic.Kind{
				Resource: v1.Resource("nodeports"), Singular: "nodeport",
				New: object[v1.NodePort], NewList: object[v1.NodePortList], Table: nodeport.TableConvertor,
			},
			Rules:   plain(nodeport.Rules),
			Groups:  []generic.Group{{GroupVersion: portolan}},
			Layer:   reservationLayer,
			Batched: true,
		},
	}
}

func loadBalancerKinds() []Kind {
	return []Kind{
		{
			Kind: generic.Kind{
				Resource: v1.Resource("loadbalancerpools"), Singular: "loadbalancerpool",
				New: object[v1.LoadBalancerPool], NewList: object[v1.LoadBalancerPoolList], Table: loadbalancerpool.TableConvertor,
			},
			Rules:  func(in Inputs) generic.Rules { return loadbalancerpool.Rules(in.Typer, in.PoolUsage) },
			Groups: []generic.Group{{GroupVersion: portolan, Names: generic.Names{Short: []string{"lbpool"}}}},
			Served: rangeConditions,
			Layer:  rangeLayer("loadbalancerpools"),
		},
		{
			Kind: generic.Kind{
				Resource: v1.Resource("loadbalancerips"), Singular: "loadbalancerip",
				New: object[v1.LoadBalancerIP], NewList: object[v1.LoadBalancerIPList], Table: loadbalancerip.TableConvertor,
			},
			Rules:   plain(loadbalancerip.Rules),
			Groups:  []generic.Group{{GroupVersion: portolan, Names: generic.Names{Short: []string{"lbip"}}}},
			Layer:   reservationLayer,
			Batched: true,
		},
	}
}

func quotaKinds() []Kind {
	return []Kind{
		{
			Kind: generic.Kind{
				Resource: v1.Resource("claimquotas"), Singular: "claimquota",
				New: object[v1.ClaimQuota], NewList: object[v1.ClaimQuotaList], Table: claimquota.TableConvertor,
			},
			Rules:         plain(claimquota.Rules),
			Groups:        []generic.Group{{GroupVersion: portolan, Names: generic.Names{Short: []string{"cquota"}}}},
			Served:        func(_ *Storage, in Inputs) generic.FillServed { return in.QuotaUsage },
			Layer:         quotaLayer,
			DeletionOrder: 13,
		},
	}
}

// coreV1Kinds returns the kinds of core v1 that are not in portolan.dev.
func coreV1Kinds() []Kind {
	return []Kind{
		{
			Kind: generic.Kind{
				Resource: corev1.Resource("namespaces"), Singular: "namespace",
				New: object[corev1.Namespace], NewList: object[corev1.NamespaceList],
				Table: namespace.TableConvertor, Attributes: namespace.Attributes,
				ReturnDeleted: true, DeleteDuringUpdate: namespace.DeleteDuringUpdate,
			},
			Rules:        plain(namespace.Rules),
			Groups:       core("ns"),
			Serve:        serve(namespace.Serve),
			Subresources: map[string]func(*Storage, Inputs) rest.Storage{"finalize": finalize},
		},
		{
			Kind: generic.Kind{
				Resource: corev1.Resource("nodes"), Singular: "node",
				New: object[corev1.Node], NewList: object[corev1.NodeList],
				Table: node.TableConvertor, Attributes: node.Attributes,
			},
			Rules:  plain(node.Rules),
			Groups: core("no"),
		},
		{
			Kind: generic.Kind{
				Resource: corev1.Resource("pods"), Singular: "pod",
				New: object[corev1.Pod], NewList: object[corev1.PodList],
				Table: pod.TableConvertor, Attributes: pod.Attributes, ReturnDeleted: true,
			},
			Rules: plain(pod.Rules),
			Groups: []generic.Group{
				{GroupVersion: corev1.SchemeGroupVersion, Names: generic.Names{Short: []string{"po"}, Sets: []string{"all"}}},
			},
			Subresources:  podSubresources(),
			DeletionOrder: 1,
		},
		{
			Kind: generic.Kind{
				Resource: corev1.Resource("secrets"), Singular: "secret",
				New: object[corev1.Secret], NewList: object[corev1.SecretList],
				Table: secret.TableConvertor, Attributes: secret.Attributes,
			},
			Rules:         plain(secret.Rules),
			Groups:        core(),
			Serve:         serve(secret.Serve),
			DeletionOrder: 5,
		},
		{
			Kind: generic.Kind{
				Resource: corev1.Resource("configmaps"), Singular: "configmap",
				New: object[corev1.ConfigMap], NewList: object[corev1.ConfigMapList], Table: configmap.TableConvertor,
			},
			Rules:         plain(configmap.Rules),
			Groups:        core("cm"),
			DeletionOrder: 11,
		},
		{
			Kind: generic.Kind{
				Resource: corev1.Resource("serviceaccounts"), Singular: "serviceaccount",
				New: object[corev1.ServiceAccount], NewList: object[corev1.ServiceAccountList],
				Table: serviceaccount.TableConvertor, ReturnDeleted: true,
			},
			Rules:         plain(serviceaccount.Rules),
			Groups:        core("sa"),
			Subresources:  map[string]func(*Storage, Inputs) rest.Storage{"token": tokens},
			DeletionOrder: 12,
		},
		{
			Kind: generic.Kind{
				Resource: corev1.Resource("events"), Singular: "event",
				New: object[corev1.Event], NewList: object[corev1.EventList],
				Table: event.TableConvertor, Attributes: event.Attributes,
			},
			Rules: func(in Inputs) generic.Rules { return event.Rules(in.Typer, in.EventTTL) },
			Groups: append(core("ev"), generic.Group{
				GroupVersion: eventsv1.SchemeGroupVersion, Names: generic.Names{Short: []string{"ev"}}, KeepKind: true,
			}),
			DeletionOrder: 8,
		},
	}
}

// otherKinds returns the kinds that are only in core API groups other than core v1.
func otherKinds() []Kind {
	return []Kind{
		{
			Kind: generic.Kind{
				Resource: lease.Resource, Singular: "lease",
				New: object[coordinationv1.Lease], NewList: object[coordinationv1.LeaseList], Table: lease.TableConvertor,
			},
			Rules:         plain(lease.Rules),
			Groups:        []generic.Group{{GroupVersion: coordinationv1.SchemeGroupVersion}},
			DeletionOrder: 6,
		},
		{
			Kind: generic.Kind{
				Resource: networkingv1.Resource("ingresses"), Singular: "ingress",
				New: object[networkingv1.Ingress], NewList: object[networkingv1.IngressList], Table: ingress.TableConvertor,
			},
			Rules:         plain(ingress.Rules),
			Groups:        []generic.Group{{GroupVersion: networkingv1.SchemeGroupVersion, Names: generic.Names{Short: []string{"ing"}}}},
			DeletionOrder: 7,
		},
		{
			Kind: generic.Kind{
				Resource: networkingv1.Resource("ingressclasses"), Singular: "ingressclass",
				New: object[networkingv1.IngressClass], NewList: object[networkingv1.IngressClassList], Table: ingressclass.TableConvertor,
			},
			Rules:  plain(ingressclass.Rules),
			Groups: []generic.Group{{GroupVersion: networkingv1.SchemeGroupVersion}},
		},
	}
}
