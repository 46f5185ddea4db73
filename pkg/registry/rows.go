package registry

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/registry/rest"
	apistorage "k8s.io/apiserver/pkg/storage"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/cascade"
	"github.com/portolan-dev/portolan/pkg/claims"
	"github.com/portolan-dev/portolan/pkg/registry/generic"
	"github.com/portolan-dev/portolan/pkg/registry/namespace"
	"github.com/portolan-dev/portolan/pkg/registry/pod"
	"github.com/portolan-dev/portolan/pkg/registry/service"
	"github.com/portolan-dev/portolan/pkg/registry/serviceaccount"
	"github.com/portolan-dev/portolan/pkg/storage"
)

// object returns an empty object.
func object[T any, P interface {
	*T
	runtime.Object
}]() runtime.Object {
	return P(new(T))
}

// plain adapts rules that depend on the scheme alone.
func plain(rules func(runtime.ObjectTyper) generic.Rules) func(Inputs) generic.Rules {
	return func(in Inputs) generic.Rules { return rules(in.Typer) }
}

// core returns the groups of a kind that only core v1 serves.
func core(short ...string) []generic.Group {
	return []generic.Group{{GroupVersion: corev1.SchemeGroupVersion, Names: generic.Names{Short: short}}}
}

// serve adapts a wrapper that depends on the store alone.
func serve(wrap func(generic.Store) rest.Storage) func(generic.Store, *Storage, Inputs) rest.Storage {
	return func(store generic.Store, _ *Storage, _ Inputs) rest.Storage { return wrap(store) }
}

func proxy(s *Storage, in Inputs) rest.Storage {
	return in.Proxy(s.Store(v1.Resource("services")), s.Store(v1.Resource("endpoints")))
}

func renumber(s *Storage, in Inputs) rest.Storage {
	return service.NewRenumber(s.Store(v1.Resource("services")), in.Ledger, in.Synced, in.Authorizer)
}

func finalize(s *Storage, in Inputs) rest.Storage {
	return namespace.NewFinalize(s.Store(corev1.Resource("namespaces")), in.Typer)
}

func tokens(s *Storage, in Inputs) rest.Storage {
	return &serviceaccount.Tokens{
		Accounts: s.Store(corev1.Resource("serviceaccounts")), Pods: s.Store(corev1.Resource("pods")),
		Secrets: s.Store(corev1.Resource("secrets")), Nodes: s.Store(corev1.Resource("nodes")), Issuer: in.Issuer,
	}
}

func podSubresources() map[string]func(*Storage, Inputs) rest.Storage {
	stream := func(options func() runtime.Object) func(*Storage, Inputs) rest.Storage {
		return func(s *Storage, _ Inputs) rest.Storage {
			return &pod.Stream{Pods: s.Store(corev1.Resource("pods")), NewOptions: options}
		}
	}
	return map[string]func(*Storage, Inputs) rest.Storage{
		"log":         func(s *Storage, _ Inputs) rest.Storage { return &pod.Log{Pods: s.Store(corev1.Resource("pods"))} },
		"exec":        stream(object[corev1.PodExecOptions]),
		"attach":      stream(object[corev1.PodAttachOptions]),
		"portforward": stream(object[corev1.PodPortForwardOptions]),
	}
}

func claimsLayer(b Backend, s *Storage) (storage.Layer, error) {
	dependents, err := cascade.New(b.Client, b.Getter, s.Store(v1.Resource("endpoints")), s.SlicesReader(), &s.sliceWrites)
	if err != nil {
		return nil, err
	}
	return func(inner apistorage.Interface) apistorage.Interface {
		return claims.NewStorage(inner, b.Ledger, dependents)
	}, nil
}

func recordLayer(_ Backend, s *Storage) (storage.Layer, error) { return s.sliceWrites.Record, nil }

func rangeLayer(resource string) func(Backend, *Storage) (storage.Layer, error) {
	return func(b Backend, _ *Storage) (storage.Layer, error) {
		return func(inner apistorage.Interface) apistorage.Interface {
			return claims.NewRangeStorage(inner, b.Ledger, resource, b.Getter.Client.KV)
		}, nil
	}
}

func rangeConditions(s *Storage, in Inputs) generic.FillServed {
	if in.RangeConditions == nil {
		return nil
	}
	return in.RangeConditions.Filler(s.ClaimSource)
}

func reservationLayer(b Backend, _ *Storage) (storage.Layer, error) {
	return func(inner apistorage.Interface) apistorage.Interface {
		return claims.NewReservationStorage(inner, b.Ledger)
	}, nil
}

func quotaLayer(b Backend, _ *Storage) (storage.Layer, error) {
	return func(inner apistorage.Interface) apistorage.Interface { return claims.NewQuotaStorage(inner, b.Ledger) }, nil
}

// CoreGroup returns the core API group of the kind or, if it is in none, its own group.
func (k Kind) CoreGroup() schema.GroupVersion {
	if k.inPortolanGroup() && len(k.Groups) > 1 {
		return k.Groups[1].GroupVersion
	}
	return k.Groups[0].GroupVersion
}

// inPortolanGroup reports whether portolan.dev serves the kind.
func (k Kind) inPortolanGroup() bool { return k.Groups[0].Group == v1.GroupName }
