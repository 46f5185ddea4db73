//go:build e2e

package mirror

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/portolan-dev/portolan/test/framework"
)

// TestRestart wants one write for each change, none after a restart, and what happened at the
// cluster while no mirror ran.
func TestRestart(t *testing.T) {
	f := newFixture(t)
	g := f.serve(nil)
	ctx := t.Context()
	services := f.cluster.CoreV1().Services(namespace)
	for i := range 20 {
		f.create(fmt.Sprintf("s%d", i), nil)
	}
	for i := range 20 {
		expectCopy(t, g, f.get(fmt.Sprintf("s%d", i)))
	}
	before := f.versions()
	source := f.get("s0")
	source.Labels = map[string]string{"a": "b"}
	source, err := services.Update(ctx, source, metav1.UpdateOptions{})
	f.must(err)
	expectCopy(t, g, source)
	changed := f.versions()
	for key, version := range changed {
		if want := before[key] + b(key == "s0"); version != want {
			t.Errorf("%s was written %d times, want %d", key, version, want)
		}
	}

	f.must(g.Stop())
	f.must(services.Delete(ctx, "s1", metav1.DeleteOptions{}))
	f.must(services.Delete(ctx, "s2", metav1.DeleteOptions{}))
	again := f.create("s2", nil)
	g = f.serve(nil)
	expectCopy(t, g, again)
	framework.AwaitGone(t, g.client.CoreV1().Services(namespace), "s1")
	for key, version := range f.versions() {
		if key != "s2" && version != changed[key] {
			t.Errorf("%s was written again", key)
		}
	}
	f.expectConsistent()
}

// b counts what is so.
func b(yes bool) int64 {
	if yes {
		return 1
	}
	return 0
}

// versions returns how often each Service in the store was written.
func (f *fixture) versions() map[string]int64 {
	f.t.Helper()
	const prefix = "/registry/portolan.dev/services/default/"
	response, err := f.store.Client.Get(f.t.Context(), prefix, fromPrefix()...)
	f.must(err)
	versions := map[string]int64{}
	for _, kv := range response.Kvs {
		versions[string(kv.Key[len(prefix):])] = kv.Version
	}
	return versions
}

// TestClusterAway stops kube-apiserver for a while: the copies stay, and later follow.
func TestClusterAway(t *testing.T) {
	f := newFixture(t)
	g := f.serve(nil)
	ctx := t.Context()
	source := f.create("web", nil)
	expectCopy(t, g, source)
	before := f.revision()
	f.kube.StopAPI()
	list, err := g.Client.PortolanV1().Services(namespace).List(ctx, metav1.ListOptions{})
	if err == nil && len(list.Items) != 2 {
		t.Errorf("there are %d Services", len(list.Items))
	}
	f.must(f.kube.StartAPI(ctx))
	source = f.get("web")
	source.Spec.Ports = append(source.Spec.Ports, corev1.ServicePort{Name: "more", Port: 81})
	source.Spec.Ports[0].Name = "first"
	source, err = f.cluster.CoreV1().Services(namespace).Update(ctx, source, metav1.UpdateOptions{})
	f.must(err)
	expectCopy(t, g, source)
	if versions := f.versions(); versions["web"] != 2 || f.revision() <= before {
		t.Errorf("the copy was written %d times", versions["web"])
	}
}
