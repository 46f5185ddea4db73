// Package registrytest gives the tests of a registry a real store to run on: an
// etcd of their own, with the guard of claims and the watch cache in front, as
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
	"k8s.io/apiserver/pkg/storage/etcd3"
	etcd3testing "k8s.io/apiserver/pkg/storage/etcd3/testing"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/utils/clock"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/registry/claim"
	portolanstorage "github.com/portolan-dev/portolan/pkg/storage"
)

// Backend starts an etcd and returns what a registry of one resource is made
// from. Registries must be destroyed before the test ends.
func Backend(t testing.TB, resource string) (*runtime.Scheme, generic.RESTOptionsGetter) {
	scheme := runtime.NewScheme()
	if err := v1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	server, config := etcd3testing.NewUnsecuredEtcd3TestClientServer(t)
	config.Codec = serializer.NewCodecFactory(scheme).LegacyCodec(v1.SchemeGroupVersion)
	config.EventsHistoryWindow = storagebackend.DefaultEventsHistoryWindow
	qualified := v1.Resource(resource)
	compactor := etcd3.NewCompactor(server.V3Client.Client, 0, clock.RealClock{}, func() {})
	t.Cleanup(compactor.Stop)
	return scheme, &portolanstorage.Getter{
		Options: generic.RESTOptions{
			StorageConfig:           config.ForResource(qualified),
			EnableGarbageCollection: true,
			DeleteCollectionWorkers: 1,
			ResourcePrefix:          resource,
		},
		Client:    server.V3Client.Client,
		Compactor: compactor,
		Wrappers:  map[schema.GroupResource]portolanstorage.Wrapper{qualified: claim.Guard},
	}
}

// ClusterScoped is the context of a request for a resource without namespaces.
func ClusterScoped(t testing.TB) context.Context {
	return request.WithNamespace(t.Context(), "")
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
