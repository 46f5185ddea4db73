package upgrade

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/etcd"
	"github.com/portolan-dev/portolan/pkg/server/options"
	"github.com/portolan-dev/portolan/test/framework"
)

// replay writes the recorded store of a release.
func (v variant) replay(t *testing.T, client *clientv3.Client) int {
	t.Helper()
	all := readLines[stored](t, v.file("store"))
	for _, one := range all {
		put(t, client, one.Key, one.value())
	}
	return len(all)
}

// expectServed wants the objects that the release served.
func (v variant) expectServed(t *testing.T, server *framework.Server) {
	t.Helper()
	want := map[string]string{}
	for _, one := range readLines[served](t, v.file("served")) {
		want[one.name()] = one.text(t)
	}
	for _, one := range listAll(t, server.Config) {
		if got := one.text(t); got != want[one.name()] {
			t.Errorf("%s is\n%s\nand was\n%s", one.name(), got, want[one.name()])
		}
		delete(want, one.name())
	}
	for name := range want {
		t.Errorf("%s is gone", name)
	}
}

// text returns an object without its resource version.
func (s served) text(t *testing.T) string {
	t.Helper()
	object := s.Object.DeepCopy()
	object.SetResourceVersion("")
	if s.Resource == "servicecidrs" {
		// The release did not set the condition Ready of a range, nor store it.
		unstructured.RemoveNestedField(object.Object, "status", "conditions")
	}
	text, err := object.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// storedAs counts objects by their encoding.
func storedAs(t *testing.T, client *clientv3.Client) map[string]int {
	t.Helper()
	all, err := client.Get(t.Context(), keyPrefix, clientv3.WithPrefix())
	if err != nil {
		t.Fatal(err)
	}
	n := map[string]int{}
	for _, kv := range all.Kvs {
		switch {
		case string(kv.Key) == formatKey:
		case bytes.HasPrefix(kv.Value, []byte("{")):
			n["json"]++
		case bytes.HasPrefix(kv.Value, []byte("k8s\x00")):
			n["protobuf"]++
		default:
			n["other"]++
		}
	}
	return n
}

// migrate runs the command and checks the last line of its table.
func migrate(t *testing.T, read, rewritten int, args ...string) {
	t.Helper()
	stdout, stderr, err := framework.Command(t, append([]string{"migrate"}, args...)...)
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	got, want := strings.Join(strings.Fields(lines[len(lines)-1]), " "), fmt.Sprintf("all %d %d 0 0", read, rewritten)
	if err != nil || got != want {
		t.Errorf("migrate %v: %v, want %s\n%s%s", args, err, want, stdout, stderr)
	}
}

// TestReleasedStore starts servers of this release on an etcd that the first
// release has written.
func TestReleasedStore(t *testing.T) {
	t.Parallel()
	for i, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			store := framework.StartEtcd(t)
			n := v.replay(t, store.Client)
			live := "--etcd-servers=" + store.URL
			same, other := "--storage-media-type="+v.mediaType, variants[1-i]
			// This release would write the same bytes as the first one.
			migrate(t, n, 0, live, same)
			migrate(t, n, n, live, "--dry-run", "--storage-media-type="+other.mediaType)

			server := framework.Start(t, func(o *options.Options) {
				framework.On(store)(o)
				v.withoutCore(o)
			})
			v.expectServed(t, server)
			framework.Verify(t, store.Client)
			migrate(t, n, n, live, "--storage-media-type="+other.mediaType)
			if got := storedAs(t, store.Client); len(got) != 1 || got[other.name] != n {
				t.Errorf("stored as %v", got)
			}
			v.expectServed(t, server)
			framework.Verify(t, store.Client)
			useStore(t, server)
			framework.Verify(t, store.Client)
		})
	}
}

// TestReleasedDataDir does the same with a data directory.
func TestReleasedDataDir(t *testing.T) {
	t.Parallel()
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			inStore(t, dir, func(client *clientv3.Client) { v.replay(t, client) })
			server := framework.Start(t, func(o *options.Options) {
				o.DataDir = dir
				v.options(o)
			})
			v.expectServed(t, server)
			useStore(t, server)
			if err := server.Stop(); err != nil {
				t.Fatal(err)
			}
			inStore(t, dir, func(client *clientv3.Client) {
				framework.Verify(t, client)
				if got := storedAs(t, client); len(got) != 1 || got[v.name] < 30 {
					t.Errorf("stored as %v", got)
				}
			})
		})
	}
}

// inStore calls a function with the store of a stopped server.
func inStore(t *testing.T, dir string, do func(*clientv3.Client)) {
	t.Helper()
	store, err := etcd.StartEmbedded(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	do(store.Client)
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
}

// useStore changes, deletes and creates objects in a store with the objects of
// testdata.
func useStore(t *testing.T, server *framework.Server) {
	t.Helper()
	client := server.Client.PortolanV1()
	services := client.Services("default")
	patch := func(name, patch string) {
		t.Helper()
		if _, err := services.Patch(t.Context(), name, types.MergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
			t.Errorf("changing %s: %v", name, err)
		}
	}
	create := func(name string, spec corev1.ServiceSpec) error {
		_, err := services.Create(t.Context(), &v1.Service{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: spec}, metav1.CreateOptions{})
		return err
	}
	onPort := func(port int32) corev1.ServiceSpec {
		return corev1.ServiceSpec{Type: corev1.ServiceTypeNodePort, Ports: []corev1.ServicePort{{Port: 80, NodePort: port}}}
	}
	expectTaken := func(name string, spec corev1.ServiceSpec) {
		t.Helper()
		if err := create(name, spec); !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "already allocated") {
			t.Errorf("%s: %v", name, err)
		}
	}
	expectFree := func(name string, spec corev1.ServiceSpec) {
		t.Helper()
		if err := create(name, spec); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}

	// Held and reserved values remain taken until they are released.
	expectTaken("takes-port", onPort(30153))
	expectTaken("takes-reserved-port", onPort(30053))
	expectTaken("takes-leaving-port", onPort(8005))
	expectTaken("takes-address", corev1.ServiceSpec{ClusterIP: "10.96.0.77", Ports: []corev1.ServicePort{{Port: 80}}})
	expectTaken("takes-reserved-address", corev1.ServiceSpec{ClusterIP: "10.96.0.10", Ports: []corev1.ServicePort{{Port: 80}}})
	patch("web", `{"metadata":{"labels":{"changed":"yes"}},"spec":{"type":"NodePort"}}`)
	patch("dual", `{"spec":{"type":"ClusterIP"}}`)
	patch("leaving", `{"metadata":{"finalizers":null}}`)
	if err := services.Delete(t.Context(), "named-address", metav1.DeleteOptions{}); err != nil {
		t.Error(err)
	}
	if err := client.NodePorts().Delete(t.Context(), "30053", metav1.DeleteOptions{}); err != nil {
		t.Error(err)
	}
	expectFree("takes-port", onPort(30153))
	expectFree("takes-reserved-port", onPort(30053))
	expectFree("takes-leaving-port", onPort(8005))
	expectFree("takes-address", corev1.ServiceSpec{ClusterIP: "10.96.0.77", Ports: []corev1.ServicePort{{Port: 80}}})
	for i := range 20 {
		expectFree(fmt.Sprintf("new-%d", i), onPort(0))
	}
}
