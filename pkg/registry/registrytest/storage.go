// Package registrytest gives the tests of a registry a real store to run on: an
// etcd of their own, with the watch cache and the guard of claims in front, as
// the server has.
package registrytest

import (
	"context"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/generic"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/storage"
	etcd3testing "k8s.io/apiserver/pkg/storage/etcd3/testing"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/storage/storagebackend/factory"
	"k8s.io/client-go/tools/cache"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/registry/claim"
)

// Backend starts an etcd and returns what a registry of one resource is made
// from. Registries must be destroyed before the test ends.
func Backend(t testing.TB, resource string) (*runtime.Scheme, generic.RESTOptionsGetter) {
	scheme := runtime.NewScheme()
	if err := v1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	_, config := etcd3testing.NewUnsecuredEtcd3TestClientServer(t)
	config.Codec = serializer.NewCodecFactory(scheme).LegacyCodec(v1.SchemeGroupVersion)
	config.EventsHistoryWindow = storagebackend.DefaultEventsHistoryWindow
	return scheme, generic.RESTOptions{
		StorageConfig:           config.ForResource(schema.GroupResource{Group: v1.GroupName, Resource: resource}),
		Decorator:               guarded,
		EnableGarbageCollection: true,
		DeleteCollectionWorkers: 1,
		ResourcePrefix:          resource,
	}
}

// ClusterScoped is the context of a request for a resource without namespaces.
func ClusterScoped(t testing.TB) context.Context {
	return request.WithNamespace(t.Context(), "")
}

func guarded(config *storagebackend.ConfigForResource, prefix string, keyOf func(runtime.Object) (string, error), newObject, newList func() runtime.Object,
	attrs storage.AttrFunc, triggers storage.IndexerFuncs, indexers *cache.Indexers) (storage.Interface, factory.DestroyFunc, error) {
	inner, destroy, err := genericregistry.StorageWithCacher()(config, prefix, keyOf, newObject, newList, attrs, triggers, indexers)
	if err != nil {
		return nil, nil, err
	}
	return claim.Guard(inner), destroy, nil
}

// WaitReady waits until a registry's watch cache can be watched.
func WaitReady(t testing.TB, registry interface{ ReadinessCheck() error }) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if err = registry.ReadinessCheck(); err == nil {
			return
		}
	}
	t.Fatal(err)
}
