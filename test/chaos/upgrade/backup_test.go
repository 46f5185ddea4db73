//go:build e2e

package upgrade

import (
	"context"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/server/options"
	"github.com/portolan-dev/portolan/test/framework"
)

const convergeTimeout = time.Minute

// member is an etcd that can be stopped and started on another directory at the
// same address.
type member struct {
	framework.Etcd
	etcd *embed.Etcd
}

func (m *member) start(t *testing.T, dir string) {
	t.Helper()
	address := m.URL
	if address == "" {
		address = "http://127.0.0.1:0"
	}
	clients, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	config := embed.NewConfig()
	config.Dir = dir
	config.TickMs, config.ElectionMs = 10, 100
	config.ListenClientUrls, config.AdvertiseClientUrls = []url.URL{*clients}, []url.URL{*clients}
	config.ListenPeerUrls = []url.URL{{Scheme: "http", Host: "127.0.0.1:0"}}
	config.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	if m.etcd, err = embed.StartEtcd(config); err != nil {
		t.Fatal(err)
	}
	<-m.etcd.Server.ReadyNotify()
	m.URL = "http://" + m.etcd.Clients[0].Addr().String()
	if m.Client, err = clientv3.New(clientv3.Config{Endpoints: []string{m.URL}, DialTimeout: convergeTimeout,
		Logger: zap.NewNop()}); err != nil {
		t.Fatal(err)
	}
}

func (m *member) stop(t *testing.T) {
	t.Helper()
	if err := m.Client.Close(); err != nil {
		t.Error(err)
	}
	m.etcd.Close()
}

// TestBackupOfEtcd does what the README says, on an etcd that is written to, and
// looks at what clients see: one server is started again, the other goes on.
func TestBackupOfEtcd(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	etcd := &member{}
	etcd.start(t, filepath.Join(dir, "etcd"))
	shell := newShell(t, dir, "ETCDCTL_ENDPOINTS="+etcd.URL)
	first := framework.Start(t, framework.On(&etcd.Etcd))
	second := framework.Start(t, framework.On(&etcd.Etcd))
	churn(t, first, 0, 10)

	saved := make(chan struct{})
	go func() {
		defer close(saved)
		churn(t, second, 1, 60)
	}()
	shell.run("etcdctl snapshot save")
	<-saved
	informer := startInformer(t, second)
	createService(t, first, "after-the-snapshot")
	seen := listServices(t, first)
	waitForNames(t, informer, seen)

	if err := first.Stop(); err != nil {
		t.Fatal(err)
	}
	etcd.stop(t)
	shell.run("etcdutl snapshot restore snapshot.db --data-dir=restored")
	etcd.start(t, filepath.Join(dir, "restored"))
	defer etcd.stop(t)
	again := framework.Start(t, func(o *options.Options) {
		framework.On(&etcd.Etcd)(o)
		o.DataDir = first.DataDir
	})
	// It is ready before it has lost its watch, but not for long.
	waitFor(t, "the server that went on has what was restored", func() bool {
		return names(listServices(t, second)).Equal(names(listServices(t, again)))
	})

	restored := listServices(t, again)
	if names(restored).Has("after-the-snapshot") || len(restored.Items) < 5 {
		t.Errorf("restored was %v", sets.List(names(restored)))
	}
	if before, after := revisionOf(t, seen), revisionOf(t, restored); after <= before {
		t.Errorf("the resource version went from %d to %d", before, after)
	}
	for _, server := range []*framework.Server{again, second} {
		expectGone(t, server, seen.ResourceVersion)
	}
	if out := shell.run("portolan verify --etcd-servers"); !strings.Contains(out, "\nOK: ") {
		t.Error(out)
	}
	churn(t, again, 2, 10)
	churn(t, second, 3, 10)
	waitForNames(t, informer, listServices(t, again))
	framework.Verify(t, etcd.Client)
	if record, err := etcd.Client.Get(t.Context(), formatKey); err != nil || len(record.Kvs) != 1 || record.Kvs[0].Version != 1 {
		t.Errorf("the record of the format: %v, %v", record, err)
	}
}

// TestBackupOfEmbedded does what the page says of a server that has its etcd
// inside, and then moves its store to an etcd with a port.
func TestBackupOfEmbedded(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	inside := func(o *options.Options) { o.DataDir = filepath.Join(dir, "portolan-data") }
	shell := newShell(t, dir)
	server := framework.Start(t, inside)
	churn(t, server, 0, 10)
	kept := listServices(t, server)
	shell.run("portolan snapshot snapshot.db")
	shell.run("mkdir -p backups")
	if saved, err := filepath.Glob(filepath.Join(dir, "backups", "portolan-2*Z.db")); err != nil || len(saved) != 1 {
		t.Errorf("%v was saved by the schedule, %v", saved, err)
	}
	createService(t, server, "after-the-snapshot")
	seen := listServices(t, server)
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
	etcd := &member{}
	etcd.start(t, filepath.Join(dir, "restored"))
	defer etcd.stop(t)
	expectRestored(t, framework.Start(t, framework.On(&etcd.Etcd)), kept, seen)
	framework.Verify(t, etcd.Client)
}

// TestReplace does what the README says of kubectl replace.
func TestReplace(t *testing.T) {
	t.Parallel()
	store := framework.StartEtcd(t)
	v := variants[1]
	n := v.replay(t, store.Client)
	server := framework.Start(t, framework.On(store))
	newShell(t, t.TempDir(), "KUBECONFIG="+server.Kubeconfig).run("for resource in services ")
	// The server has made namespaces besides.
	if got := storedAs(t, store.Client); got["protobuf"] < n || len(got) != 1 {
		t.Errorf("stored as %v, want at least %d, all in protobuf", got, n)
	}
	v.expectServed(t, server)
}

// TestMigrateOfREADME does what the README says of portolan migrate.
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
	restored := listServices(t, server)
	if !names(restored).Equal(names(kept)) || revisionOf(t, restored) <= revisionOf(t, seen) {
		t.Errorf("restored was %v at %s", sets.List(names(restored)), restored.ResourceVersion)
	}
	expectGone(t, server, seen.ResourceVersion)
	churn(t, server, 1, 10)
}

func createService(t *testing.T, server *framework.Server, name string) {
	t.Helper()
	svc := &v1.Service{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}}}
	if _, err := server.Client.PortolanV1().Services("default").Create(t.Context(), svc, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func listServices(t *testing.T, server *framework.Server) *v1.ServiceList {
	t.Helper()
	list, err := server.Client.PortolanV1().Services("").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return list
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

// expectGone watches from a resource version of before the restoration.
func expectGone(t *testing.T, server *framework.Server, from string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), convergeTimeout)
	defer cancel()
	w, err := server.Client.PortolanV1().Services("").Watch(ctx, metav1.ListOptions{ResourceVersion: from})
	if err == nil {
		defer w.Stop()
		event := <-w.ResultChan()
		if event.Type != watch.Error {
			t.Errorf("a watch from %s tells of %v", from, event)
			return
		}
		err = apierrors.FromObject(event.Object)
	}
	if !apierrors.IsResourceExpired(err) && !apierrors.IsGone(err) {
		t.Errorf("a watch from %s ends with %v", from, err)
	}
}

// startInformer follows Services as controllers do.
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

// waitForNames waits until an informer has what was listed.
func waitForNames(t *testing.T, informer cache.SharedIndexInformer, list *v1.ServiceList) {
	t.Helper()
	want := names(list)
	waitFor(t, "the informer has what is listed", func() bool {
		got := sets.New[string]()
		for _, obj := range informer.GetStore().List() {
			accessor, err := meta.Accessor(obj)
			if err != nil {
				t.Fatal(err)
			}
			got.Insert(accessor.GetName())
		}
		return got.Equal(want)
	})
}

func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, convergeTimeout, true,
		func(context.Context) (bool, error) { return done(), nil })
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}
