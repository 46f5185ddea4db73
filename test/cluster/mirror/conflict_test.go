//go:build e2e

package mirror

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/scheme"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/server/options"
	"github.com/portolan-dev/portolan/test/framework"
)

const valueConflicts = `portolan_mirror_conflicts{reason="value",resource="services"}`

var codecs = scheme.Codecs.WithoutConversion()

func fromPrefix() []clientv3.OpOption {
	return []clientv3.OpOption{clientv3.WithPrefix(), clientv3.WithKeysOnly()}
}

// overlapping gives a gateway the cluster's own ranges.
func overlapping(o *options.Options) {
	o.ClusterIPRanges, o.NodePortRanges = []string{"10.96.0.0/12"}, []string{"30000-32767"}
}

// TestConflicts wants the earlier holder of a name, an address or a port to keep it, the
// conflict reported, and the copy made once the way is free.
func TestConflicts(t *testing.T) {
	f := newFixture(t)
	g := f.serve(overlapping)
	g.awaitMetric(t, "portolan_mirror_running", "1")
	ctx := t.Context()
	own := g.client.CoreV1().Services(namespace)
	for _, test := range []struct {
		name, metric, event string
		// own and theirs change Portolan's Service and the cluster's.
		own, theirs func(*corev1.Service)
	}{
		{"name", `portolan_mirror_conflicts{reason="name",resource="services"}`, "Portolan's own object has the name",
			func(s *corev1.Service) { s.Name = "name" }, nil},
		{"address", valueConflicts, "provided IP is already allocated by services.portolan.dev/default/own-address",
			func(s *corev1.Service) { s.Spec.ClusterIP = "10.96.7.7" }, func(s *corev1.Service) { s.Spec.ClusterIP = "10.96.7.7" }},
		{"port", valueConflicts, "provided port is already allocated by services.portolan.dev/default/own-port",
			withNodePort, withNodePort},
	} {
		t.Run(test.name, func(t *testing.T) {
			mine := newService("own-"+test.name, test.own)
			_, err := own.Create(ctx, mine, metav1.CreateOptions{})
			f.must(err)
			source := f.create(test.name, test.theirs)
			g.awaitMetric(t, test.metric, "1")
			f.awaitEvent(source, test.event)
			f.expectConsistent()
			writes := f.revision()
			time.Sleep(3 * time.Second)
			if after := f.revision(); after != writes {
				t.Errorf("%d writes while nothing can be done", after-writes)
			}
			stored, err := own.Get(ctx, mine.Name, metav1.GetOptions{})
			f.must(err)
			if _, mirrored := v1.MirroredFrom(stored); mirrored {
				t.Error("Portolan's own Service became a copy")
			}
			f.must(own.Delete(ctx, mine.Name, metav1.DeleteOptions{}))
			expectCopy(t, g, source)
			g.awaitMetric(t, test.metric, "0")
		})
	}
	f.expectConsistent()
	g.awaitMetric(t, "portolan_mirror_lag_seconds", "0")
}

func withNodePort(s *corev1.Service) {
	s.Spec.Type, s.Spec.Ports[0].NodePort = corev1.ServiceTypeNodePort, 30777
}

// TestTaken wants Portolan never to give out what a Service of the cluster has, by name or
// by itself.
func TestTaken(t *testing.T) {
	f := newFixture(t)
	g := f.serve(func(o *options.Options) {
		// One address is left for Portolan.
		o.ClusterIPRanges, o.NodePortRanges = []string{"10.96.9.0/30"}, []string{"30777-30778"}
	})
	ctx := t.Context()
	theirs := f.create("theirs", func(s *corev1.Service) { withNodePort(s); s.Spec.ClusterIP = "10.96.9.1" })
	expectCopy(t, g, theirs)
	own := g.client.CoreV1().Services(namespace)
	_, err := own.Create(ctx, newService("a", func(s *corev1.Service) { s.Spec.ClusterIP = "10.96.9.1" }), metav1.CreateOptions{})
	if err == nil || !strings.Contains(err.Error(), "provided IP is already allocated by services/default/theirs") {
		t.Errorf("got %v", err)
	}
	nodePort := newService("b", func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeNodePort })
	created, err := own.Create(ctx, nodePort, metav1.CreateOptions{})
	f.must(err)
	if created.Spec.ClusterIP != "10.96.9.2" || created.Spec.Ports[0].NodePort != 30778 {
		t.Errorf("got %v", created.Spec)
	}
	_, err = own.Create(ctx, newService("c", nil), metav1.CreateOptions{})
	if err == nil || !strings.Contains(err.Error(), "range is full") {
		t.Errorf("got %v", err)
	}
	f.expectConsistent()
}

func (g gateway) awaitMetric(t *testing.T, name, value string) {
	t.Helper()
	framework.Eventually(t, name, func(ctx context.Context) (bool, error) {
		body, err := g.client.RESTClient().Get().AbsPath("/metrics").DoRaw(ctx)
		if err != nil {
			return false, err
		}
		lines := strings.Split(string(body), "\n")
		at := slices.IndexFunc(lines, func(line string) bool { return strings.HasPrefix(line, name+" ") })
		if at < 0 {
			return false, fmt.Errorf("%s is missing", name)
		}
		return lines[at] == name+" "+value, fmt.Errorf("there is %s", lines[at])
	})
}

func (f *fixture) awaitEvent(source *corev1.Service, text string) {
	f.t.Helper()
	framework.Eventually(f.t, "an event about "+source.Name, func(ctx context.Context) (bool, error) {
		list, err := f.cluster.CoreV1().Events(namespace).List(ctx, metav1.ListOptions{FieldSelector: "involvedObject.uid=" + string(source.UID)})
		if err != nil {
			return false, err
		}
		found := slices.ContainsFunc(list.Items, func(event corev1.Event) bool {
			return event.Reason == "NotMirrored" && strings.Contains(event.Message, text)
		})
		return found, fmt.Errorf("there are %v", list.Items)
	})
}
