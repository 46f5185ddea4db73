// Package upgrade tests stores across releases: written by another release,
// migrated, backed up and restored.
package upgrade

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/apimachinery/pkg/util/version"

	"github.com/portolan-dev/portolan/pkg/server"
	"github.com/portolan-dev/portolan/pkg/server/options"
	"github.com/portolan-dev/portolan/pkg/store/format"
	"github.com/portolan-dev/portolan/test/framework"
)

const (
	formatKey   = "/registry/portolan.dev/format"
	newerFormat = `{"format":2,"release":"v9.0.0"}`
)

func TestMain(m *testing.M) { framework.Main(m) }

func put(t *testing.T, client *clientv3.Client, key, value string) {
	t.Helper()
	if _, err := client.Put(t.Context(), key, value); err != nil {
		t.Fatal(err)
	}
}

func expectNewer(t *testing.T, err error) {
	t.Helper()
	var newer *format.NewerError
	if !errors.As(err, &newer) || newer.Format != 2 || newer.Release != "v9.0.0" {
		t.Errorf("the server ended with: %v", err)
	}
}

// runOn runs a server until it ends.
func runOn(t *testing.T, store *framework.Etcd) error {
	t.Helper()
	o := options.New()
	o.DataDir = t.TempDir()
	framework.On(store)(o)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	o.SecureServing.Listener = listener
	o.SecureServing.BindPort = listener.Addr().(*net.TCPAddr).Port
	return server.Run(t.Context(), o, &bytes.Buffer{})
}

// TestNewerStoreIsLeftAlone starts a release before a migration. It must write
// nothing.
func TestNewerStoreIsLeftAlone(t *testing.T) {
	t.Parallel()
	store := framework.StartEtcd(t)
	put(t, store.Client, formatKey, newerFormat)
	expectNewer(t, runOn(t, store))
	all, err := store.Client.Get(t.Context(), "", clientv3.WithPrefix())
	if err != nil || all.Count != 1 || string(all.Kvs[0].Value) != newerFormat {
		t.Errorf("%v, %v", all, err)
	}
}

// TestMigrationEndsOldReplicas migrates while a replica of the previous release
// runs.
func TestMigrationEndsOldReplicas(t *testing.T) {
	t.Parallel()
	store := framework.StartEtcd(t)
	ended := make(chan error, 1)
	go func() { ended <- runOn(t, store) }()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for response := range store.Client.Watch(ctx, "/registry/portolan.dev/nodeportranges/", clientv3.WithPrefix(), clientv3.WithRev(1)) {
		if len(response.Events) > 0 {
			break
		}
	}
	put(t, store.Client, formatKey, newerFormat)
	expectNewer(t, <-ended)
}

// TestReplicasWriteOneRecord starts replicas concurrently.
func TestReplicasWriteOneRecord(t *testing.T) {
	t.Parallel()
	store, replicas := framework.Replicas(t, 2, nil)
	record, err := store.Client.Get(t.Context(), formatKey)
	if err != nil || len(record.Kvs) != 1 || record.Kvs[0].Version != 1 ||
		!strings.HasPrefix(string(record.Kvs[0].Value), `{"format":1,"release":"`) {
		t.Errorf("%v, %v", record, err)
	}
	if report := framework.Check(t, store.Client); report.Err() != nil || report.Unreadable > 0 {
		t.Errorf("verify: %s", report)
	}
	reported, err := replicas[0].Client.Discovery().ServerVersion()
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := version.ParseSemantic(reported.GitVersion)
	if err != nil || parsed.Major() != 1 || !strings.HasPrefix(parsed.BuildMetadata(), "portolan.") {
		t.Errorf("/version says %s, %v", reported.GitVersion, err)
	}
}
