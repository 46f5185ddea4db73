package registry

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/registry/rest"
	apistorage "k8s.io/apiserver/pkg/storage"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/claims"
	"github.com/portolan-dev/portolan/pkg/registry/generic"
	"github.com/portolan-dev/portolan/pkg/registry/namespace"
	"github.com/portolan-dev/portolan/pkg/storage"
)

// object makes an empty object.
func object[T any, P interface {
	*T
	runtime.Object
}]() runtime.Object {
	return P(new(T))
}

// plain is for rules that depend on the scheme alone.
func plain(rules func(runtime.ObjectTyper) generic.Rules) func(Inputs) generic.Rules {
	return func(in Inputs) generic.Rules { return rules(in.Typer) }
}

// core is for kinds that core v1 alone serves.
func core(short ...string) []generic.Group {
	return []generic.Group{{GroupVersion: corev1.SchemeGroupVersion, Names: generic.Names{Short: short}}}
}

func proxy(s *Storage, in Inputs) rest.Storage {
	return in.Proxy(s.Store(v1.Resource("services")), s.Store(v1.Resource("endpoints")))
}

func finalize(s *Storage, in Inputs) rest.Storage {
	return namespace.NewFinalize(s.Store(corev1.Resource("namespaces")), in.Typer)
}

func claimsLayer(l Layers) storage.Wrapper {
	return func(inner apistorage.Interface) apistorage.Interface { return claims.NewStorage(inner, l.Ledger) }
}

func rangeLayer(l Layers) storage.Wrapper {
	return func(inner apistorage.Interface) apistorage.Interface {
		return claims.NewRangeStorage(inner, l.Ledger, l.KV)
	}
}

func guardLayer(Layers) storage.Wrapper { return claims.Guard }

// Wrappers returns the layers of the kinds that have one.
func Wrappers(layers Layers) map[schema.GroupResource]storage.Wrapper {
	wrappers := map[schema.GroupResource]storage.Wrapper{}
	for _, kind := range Kinds() {
		if kind.Layer != nil {
			wrappers[kind.Resource] = kind.Layer(layers)
		}
	}
	return wrappers
}

// Batched returns the resources of which one transaction writes several objects.
func Batched() sets.Set[schema.GroupResource] {
	batched := sets.New[schema.GroupResource]()
	for _, kind := range Kinds() {
		if kind.Batched {
			batched.Insert(kind.Resource)
		}
	}
	return batched
}

// own reports whether portolan.dev serves the kind.
func (k Kind) own() bool { return k.Groups[0].Group == v1.GroupName }
