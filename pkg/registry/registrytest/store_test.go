// Package registrytest tests the columns of kinds, and their stores as the table of kinds
// describes them: each with an etcd of its own, the guard of claims and the watch cache in
// front, as in the server. They are one package because each test binary links most of the
// server.
package registrytest

import (
	"context"
	"slices"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apiserver/pkg/endpoints/request"
	apigeneric "k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage/etcd3"
	etcd3testing "k8s.io/apiserver/pkg/storage/etcd3/testing"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/utils/clock"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/claims"
	"github.com/portolan-dev/portolan/pkg/registry"
	"github.com/portolan-dev/portolan/pkg/registry/generic"
	portolanstorage "github.com/portolan-dev/portolan/pkg/storage"
)

// newStore starts an etcd, makes the store of a portolan.dev kind as the table of kinds
// describes it, and waits until it can be watched. It returns a nil status for a kind
// without one. The inputs need no Typer.
func newStore(t testing.TB, resource string, in registry.Inputs) (generic.Store, *generic.Status) {
	t.Helper()
	scheme, getter := backend(t, resource)
	in.Typer = scheme
	kinds := registry.PortolanKinds()
	i := slices.IndexFunc(kinds, func(kind registry.Kind) bool { return kind.Resource.Resource == resource })
	if i < 0 {
		t.Fatalf("portolan.dev has no %s", resource)
	}
	rules := kinds[i].Rules(in)
	store, err := generic.NewStore(kinds[i].Kind, rules, getter)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Destroy)
	waitReady(t, store)
	if rules.Status == nil {
		return store, nil
	}
	return store, generic.NewStatus(store, rules.Status)
}

// backend starts an etcd and returns the scheme and the options of a resource's store.
func backend(t testing.TB, resource string) (*runtime.Scheme, apigeneric.RESTOptionsGetter) {
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
		Options: apigeneric.RESTOptions{
			StorageConfig:           config.ForResource(qualified),
			EnableGarbageCollection: true,
			DeleteCollectionWorkers: 1,
			ResourcePrefix:          resource,
		},
		Client:    server.V3Client.Client,
		Compactor: compactor,
		Layer:     claims.ProtectHeld,
	}
}

// clusterScoped returns the context of a request for a cluster-scoped resource.
func clusterScoped(t testing.TB) context.Context {
	return request.WithNamespace(t.Context(), "")
}

// waitReady waits until the watch cache of a store can be watched.
func waitReady(t testing.TB, store interface{ ReadinessCheck() error }) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if err = store.ReadinessCheck(); err == nil {
			return
		}
	}
	t.Fatal(err)
}

// cellsOf returns the cells of an object. There is one for each column.
func cellsOf(t *testing.T, convertor rest.TableConvertor, obj runtime.Object) []any {
	t.Helper()
	table, err := convertor.ConvertToTable(t.Context(), obj, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(table.Rows) != 1 || len(table.Rows[0].Cells) != len(table.ColumnDefinitions) {
		t.Fatalf("%d columns, rows %v", len(table.ColumnDefinitions), table.Rows)
	}
	return table.Rows[0].Cells
}
