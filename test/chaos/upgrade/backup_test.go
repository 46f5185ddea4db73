//go:build e2e

package upgrade

import (
	"context"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/etcd/server/v3/embed"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/server/options"
	"github.com/portolan-dev/portolan/test/framework"
)

// onDir runs etcd on a directory.
func onDir(dir string) func(*embed.Config) {
	return func(config *embed.Config) { config.Dir = dir }
}

// atAddress runs etcd at the address of one that was stopped.
func atAddress(t *testing.T, address string) func(*embed.Config) {
	t.Helper()
	clients, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return func(config *embed.Config) {
		config.ListenClientUrls, config.AdvertiseClientUrls = []url.URL{*clients}, []url.URL{*clients}
	}
}

// TestBackupOfEtcd runs the documented commands on an etcd under load. Of two
// servers, one is restarted and the other continues.
func TestBackupOfEtcd(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	etcd := framework.StartEtcd(t, onDir(filepath.Join(dir, "etcd")))
	shell := newShell(t, dir, "ETCDCTL_ENDPOINTS="+etcd.URL)
	first := framework.Start(t, framework.On(etcd))
	second := framework.Start(t, framework.On(etcd))
	churn(t, first, 0, 10)

	saved := make(chan struct{})
	go func() {
		defer close(saved)
		churn(t, second, 1, 60)
	}()
	shell.run("etcdctl snapshot save")
	<-saved
	informer := startInformer(t, second)
	first.CreateService(t, "after-the-snapshot")
	seen := first.ListServices(t)
	waitForNames(t, informer, seen)

	if err := first.Stop(); err != nil {
		t.Fatal(err)
	}
	etcd.Stop()
	shell.run("etcdutl snapshot restore snapshot.db --data-dir=restored")
	etcd = framework.StartEtcd(t, onDir(filepath.Join(dir, "restored")), atAddress(t, etcd.URL))
	again := framework.Start(t, func(o *options.Options) {
		framework.On(etcd)(o)
		o.DataDir = first.DataDir
	})
	// It is ready for a moment before its watch is interrupted, and may have to connect again.
	framework.Eventually(t, "the server that went on has what was restored", func(ctx context.Context) (bool, error) {
		list, err := second.Client.PortolanV1().Services("").List(ctx, metav1.ListOptions{})
		if err != nil {
			return false, err
		}
		got, want := names(list), names(again.ListServices(t))
		return got.Equal(want), fmt.Errorf("it has %q, want %q", sets.List(got), sets.List(want))
	})

	restored := again.ListServices(t)
	if names(restored).Has("after-the-snapshot") || len(restored.Items) < 5 {
		t.Errorf("restored was %v", sets.List(names(restored)))
	}
	if before, after := revisionOf(t, seen), revisionOf(t, restored); after <= before {
		t.Errorf("the resource version went from %d to %d", before, after)
	}
	for _, server := range []*framework.Server{again, second} {
		server.ExpectExpired(t, seen.ResourceVersion)
	}
	if out := shell.run("portolan verify --etcd-servers"); !strings.Contains(out, "\nOK: ") {
		t.Error(out)
	}
	churn(t, again, 2, 10)
	churn(t, second, 3, 10)
	waitForNames(t, informer, again.ListServices(t))
	framework.Verify(t, etcd.Client)
	if record, err := etcd.Client.Get(t.Context(), formatKey); err != nil || len(record.Kvs) != 1 || record.Kvs[0].Version != 1 {
		t.Errorf("the record of the format: %v, %v", record, err)
	}
}

// TestBackupOfEmbedded runs the documented commands for a server with an
// embedded etcd, and then moves its store to an external etcd.
func TestBackupOfEmbedded(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	inside := func(o *options.Options) { o.DataDir = filepath.Join(dir, "portolan-data") }
	shell := newShell(t, dir)
	server := framework.Start(t, inside)
	churn(t, server, 0, 10)
	kept := server.ListServices(t)
	shell.run("portolan snapshot snapshot.db")
	shell.run("mkdir -p backups")
	if saved, err := filepath.Glob(filepath.Join(dir, "backups", "portolan-2*Z.db")); err != nil || len(saved) != 1 {
		t.Errorf("%v was saved by the schedule, %v", saved, err)
	}
	server.CreateService(t, "after-the-snapshot")
	seen := server.ListServices(t)
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	shell.run("portolan snapshot stopped.db")

	if out := shell.run("portolan restore"); !strings.Contains(out, "\nOK: ") {
		t.Error(out)
	}
	server = framework.Start(t, inside)
	expectRestored(t, server, kept, seen)
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}

	shell.run("etcdutl snapshot restore snapshot.db --data-dir=restored")
	etcd := framework.StartEtcd(t, onDir(filepath.Join(dir, "restored")))
	expectRestored(t, framework.Start(t, framework.On(etcd)), kept, seen)
	framework.Verify(t, etcd.Client)
}

// TestReplace runs the documented kubectl replace.
func TestReplace(t *testing.T) {
	t.Parallel()
	store := framework.StartEtcd(t)
	v := variants[1]
	n := v.replay(t, store.Client)
	server := framework.Start(t, framework.On(store))
	newShell(t, t.TempDir(), "KUBECONFIG="+server.Kubeconfig).run("for resource in services ")
	// The server has created namespaces as well.
	if got := storedAs(t, store.Client); got["protobuf"] < n || len(got) != 1 {
		t.Errorf("stored as %v, want at least %d, all in protobuf", got, n)
	}
	v.expectServed(t, server)
}

// TestMigrateOfREADME runs the documented portolan migrate.
func TestMigrateOfREADME(t *testing.T) {
	t.Parallel()
	store := framework.StartEtcd(t)
	n := variants[1].replay(t, store.Client)
	newShell(t, t.TempDir(), "ETCDCTL_ENDPOINTS="+store.URL).run("portolan migrate")
	if got := storedAs(t, store.Client); got["protobuf"] != n {
		t.Errorf("stored as %v, want %d in protobuf", got, n)
	}
}

func expectRestored(t *testing.T, server *framework.Server, kept, seen *v1.ServiceList) {
	t.Helper()
	restored := server.ListServices(t)
	if !names(restored).Equal(names(kept)) || revisionOf(t, restored) <= revisionOf(t, seen) {
		t.Errorf("restored was %v at %s", sets.List(names(restored)), restored.ResourceVersion)
	}
	server.ExpectExpired(t, seen.ResourceVersion)
	churn(t, server, 1, 10)
}

func names(list *v1.ServiceList) sets.Set[string] {
	all := sets.New[string]()
	for _, svc := range list.Items {
		all.Insert(svc.Name)
	}
	return all
}

func revisionOf(t *testing.T, list *v1.ServiceList) (n int64) {
	t.Helper()
	if _, err := fmt.Sscan(list.ResourceVersion, &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// startInformer watches Services as controllers do.
func startInformer(t *testing.T, server *framework.Server) cache.SharedIndexInformer {
	services := server.Client.PortolanV1().Services("")
	informer := cache.NewSharedIndexInformer(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			return services.List(ctx, options)
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			return services.Watch(ctx, options)
		},
	}, &v1.Service{}, 0, cache.Indexers{})
	go informer.RunWithContext(t.Context())
	return informer
}

// waitForNames waits until an informer has the Services of a list.
func waitForNames(t *testing.T, informer cache.SharedIndexInformer, list *v1.ServiceList) {
	t.Helper()
	want := names(list)
	framework.Eventually(t, "the informer has what is listed", func(context.Context) (bool, error) {
		got := sets.New[string]()
		for _, obj := range informer.GetStore().List() {
			accessor, err := meta.Accessor(obj)
			if err != nil {
				t.Fatal(err)
			}
			got.Insert(accessor.GetName())
		}
		return got.Equal(want), fmt.Errorf("it has %q, want %q", sets.List(got), sets.List(want))
	})
}
