package etcd

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/etcd3/testserver"
	"k8s.io/apiserver/pkg/storage/feature"
	"k8s.io/apiserver/pkg/storage/storagebackend"
)

func start(t *testing.T, dir string) *Store {
	t.Helper()
	store, err := StartEmbedded(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func TestEmbeddedKeepsData(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "anew")
	store := start(t, dir)
	if _, err := store.Client.Put(t.Context(), "/a", "b"); err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	store = start(t, dir)
	got, err := store.Client.Get(t.Context(), "/a")
	if err != nil || len(got.Kvs) != 1 || string(got.Kvs[0].Value) != "b" {
		t.Errorf("got %v, %v", got, err)
	}
	if err := store.Close(); err != nil {
		t.Error(err)
	}
}

func TestEmbeddedDirectoryInUse(t *testing.T) {
	dir := t.TempDir()
	store := start(t, dir)
	if _, err := StartEmbedded(t.Context(), dir); err == nil || !strings.Contains(err.Error(), dir+" is in use by another process") {
		t.Errorf("got %v", err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	if err := start(t, dir).Close(); err != nil {
		t.Error(err)
	}
}

func TestEmbeddedUnlocksDirectoryOnFailure(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if store, err := StartEmbedded(ctx, dir); err == nil {
		// The member may have been ready before StartEmbedded checked the context.
		store.Close()
	} else if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if err := start(t, dir).Close(); err != nil {
		t.Error(err)
	}
}

// TestEmbeddedHasWatchProgress expects progress requests to be supported. Without
// them, consistent lists are not served from the watch cache.
func TestEmbeddedHasWatchProgress(t *testing.T) {
	store := start(t, t.TempDir())
	defer store.Close()
	if !feature.DefaultFeatureSupportChecker.Supports(storage.RequestWatchProgress) {
		t.Error("not supported")
	}
}

func TestConnect(t *testing.T) {
	server := testserver.RunEtcd(t, nil)
	store, err := Connect(t.Context(), storagebackend.TransportConfig{ServerList: server.Endpoints()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Client.Put(t.Context(), "/a", "b"); err != nil {
		t.Error(err)
	}
	if err := store.Close(); err != nil {
		t.Error(err)
	}
}

func TestConnectToNothing(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err := Connect(ctx, storagebackend.TransportConfig{ServerList: []string{"http://127.0.0.1:1"}})
	if err == nil || !strings.Contains(err.Error(), "--etcd-servers: http://127.0.0.1:1 can't be reached") {
		t.Errorf("got %v", err)
	}
}
