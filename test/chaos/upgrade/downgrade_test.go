//go:build e2e

package upgrade

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/portolan-dev/portolan/pkg/server/options"
	"github.com/portolan-dev/portolan/test/framework"
	"github.com/portolan-dev/portolan/test/framework/upstream"
)

// TestDowngradeOfEtcd moves the store of an embedded etcd to an etcd 3.6. That
// rejects the snapshot until an etcd 3.7 has run the documented downgrade.
func TestDowngradeOfEtcd(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	inside := func(o *options.Options) { o.DataDir = filepath.Join(dir, "portolan-data") }
	server := framework.Start(t, inside)
	churn(t, server, 0, 10)
	kept := names(server.ListServices(t))
	shell := newShell(t, dir)
	shell.run("portolan snapshot snapshot.db")
	shell.run("etcdutl snapshot restore snapshot.db --data-dir=restored")

	ctx, cancel := context.WithTimeout(t.Context(), framework.Patience)
	defer cancel()
	programs := upstream.Programs{Etcd: framework.Program(t, "etcd")}
	// StartEtcd uses the folder etcd of a directory.
	older := filepath.Join(dir, "older")
	copyStore(t, filepath.Join(dir, "restored"), filepath.Join(older, "etcd"))
	if etcd, _, err := upstream.StartEtcd(ctx, programs, older); err == nil {
		etcd.Stop()
		t.Error("etcd 3.6 starts on what an etcd 3.7 has written")
	} else if !strings.Contains(err.Error(), `version \"3.7.0\" is not supported`) && !strings.Contains(err.Error(), "MustDetectDowngrade") {
		// A store that is a few seconds old may have the version of the cluster and not yet
		// that of its own format. Then etcd panics in that function.
		t.Error(err)
	}

	newer := framework.StartEtcd(t, onDir(filepath.Join(dir, "restored")))
	newShell(t, dir, "ETCDCTL_ENDPOINTS="+newer.URL).run("etcdctl downgrade enable 3.6")
	newer.Stop()

	ready := filepath.Join(dir, "ready")
	copyStore(t, filepath.Join(dir, "restored"), filepath.Join(ready, "etcd"))
	etcd, url, err := upstream.StartEtcd(ctx, programs, ready)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(etcd.Stop)
	client := framework.ConnectEtcd(t, url)
	status, err := client.Status(ctx, url)
	if err != nil || !strings.HasPrefix(status.Version, "3.6.") {
		t.Fatalf("this is no etcd 3.6: %v, %v", status, err)
	}
	store := &framework.Etcd{URL: url, Client: client}
	onOlder := framework.Start(t, framework.On(store))
	if got := names(onOlder.ListServices(t)); !got.Equal(kept) {
		t.Errorf("etcd 3.6 has %v, want %v", got, kept)
	}
	churn(t, onOlder, 1, 10)
	framework.Verify(t, client)
}

func copyStore(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	// etcd requires a private directory.
	if err := os.Chmod(to, 0o700); err != nil {
		t.Fatal(err)
	}
}
