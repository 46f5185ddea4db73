// Package etcdtest starts an etcd for a test of a package that reads or writes a store.
package etcdtest

import (
	"testing"

	"github.com/portolan-dev/portolan/pkg/etcd"
)

// Start starts an embedded etcd with an empty store, which ends with the test.
func Start(t testing.TB) *etcd.Store {
	t.Helper()
	store, err := etcd.StartEmbedded(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store
}
