package controllers

import (
	"fmt"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/controllers"
	"github.com/portolan-dev/portolan/pkg/controllers/rules"
	"github.com/portolan-dev/portolan/test/framework"
)

// createEveryKind makes Services of every kind and returns what Endpoints and
// slices there have to be, as numbers of addresses.
func (f *fixture) createEveryKind() map[string]string {
	kinds := map[string]func(*v1.Service){
		"plain":    nil,
		"empty":    func(service *v1.Service) { service.Spec.Selector = map[string]string{"app": "nothing"} },
		"dual":     func(service *v1.Service) { service.Spec.IPFamilyPolicy = ptr.To(corev1.IPFamilyPolicyRequireDualStack) },
		"headless": func(service *v1.Service) { service.Spec.ClusterIP = corev1.ClusterIPNone },
		"no-ports": func(service *v1.Service) {
			service.Spec.ClusterIP, service.Spec.Ports = corev1.ClusterIPNone, nil
		},
		"early": func(service *v1.Service) { service.Spec.PublishNotReadyAddresses = true },
		"near": func(service *v1.Service) {
			service.Spec.TrafficDistribution = ptr.To(corev1.ServiceTrafficDistributionPreferSameZone)
		},
		"labeled": func(service *v1.Service) {
			service.Labels = map[string]string{rules.LabelManagedBy: "me", discoveryv1.LabelManagedBy: "me", corev1.IsHeadlessService: ""}
		},
		"many":   func(service *v1.Service) { service.Spec.Selector = map[string]string{"app": "many"} },
		"manual": func(service *v1.Service) { service.Spec.Selector = nil },
	}
	want := map[string]string{}
	for name, change := range kinds {
		f.createService(framework.NewService(namespace, name, func(service *v1.Service) {
			service.Spec.Selector = map[string]string{"app": "web"}
			if change != nil {
				change(service)
			}
		}))
		want[name] = "2"
	}
	f.createManual("manual", "192.0.2.1")
	want["empty"], want["dual"], want["many"], want["manual"] = "0", "4", "1001", "1"
	return want
}

// createManual writes Endpoints by hand.
func (f *fixture) createManual(name, ip string) {
	f.t.Helper()
	if _, err := f.portolan.PortolanV1().Endpoints(namespace).Create(f.t.Context(), &v1.Endpoints{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace},
		Subsets:    []corev1.EndpointSubset{{Addresses: []corev1.EndpointAddress{{IP: ip}}}},
	}, metav1.CreateOptions{}); err != nil {
		f.t.Fatal(err)
	}
}

// addPods adds Pods to the cluster, which no informer may follow yet: it can't
// take so many events at a time.
func (f *fixture) addPods(app string, count int) {
	f.t.Helper()
	for i := range count {
		pod := newPod(app, fmt.Sprint(app, i), func(pod *corev1.Pod) {
			if i%2 == 0 {
				ready(pod)
			}
		}, fmt.Sprintf("10.1.%d.%d", i/250, i%250), fmt.Sprintf("fd00:1::%x", i+1))
		if err := f.cluster.Tracker().Add(pod); err != nil {
			f.t.Fatal(err)
		}
	}
}

// versions are the resource versions of all Endpoints and slices of the tests.
func (f *fixture) versions() map[string]string {
	f.t.Helper()
	all := map[string]string{}
	list, err := f.portolan.PortolanV1().Endpoints(namespace).List(f.t.Context(), metav1.ListOptions{})
	if err != nil {
		f.t.Fatal(err)
	}
	for _, e := range list.Items {
		all["endpoints "+e.Name] = e.ResourceVersion
	}
	slices, err := f.portolan.PortolanV1().EndpointSlices(namespace).List(f.t.Context(), metav1.ListOptions{})
	if err != nil {
		f.t.Fatal(err)
	}
	for _, s := range slices.Items {
		all["slice "+s.Name] = s.ResourceVersion
	}
	return all
}

// TestRestart starts controllers beside what others before them have written, of
// Services of every kind: there is nothing to write.
func TestRestart(t *testing.T) {
	f := start(t)
	f.addPods("web", 2)
	f.addPods("many", 1001)
	want := f.createEveryKind()
	stop := f.run("a", nil)
	for name, count := range want {
		f.eventually("slices of "+name, func() string { return f.countIn(name) }, count)
		f.eventually("Endpoints "+name, func() string { return fmt.Sprint(f.endpoints(name) != "none") }, "true")
	}
	stop()
	before := f.versions()
	f.writes.take()

	// With one worker everything has its turn before what comes last.
	f.run("b", func(o *controllers.Options) { o.Workers = 1 })
	f.createService(framework.NewService(namespace, "last", func(service *v1.Service) {
		service.Spec.Selector = map[string]string{"app": "web"}
	}))
	f.createService(framework.NewService(namespace, "last-manual", func(service *v1.Service) { service.Spec.Selector = nil }))
	f.createManual("last-manual", "192.0.2.2")
	f.eventually("slices of last-manual", func() string { return f.countIn("last-manual") }, "1")
	f.expect("last", "10.1.0.0:8080 | 10.1.0.1:8080", "10.1.0.0:8080/r/s 10.1.0.1:8080")
	f.spoil("last", "last-manual")
	f.expect("last", "10.1.0.0:8080 | 10.1.0.1:8080", "10.1.0.0:8080/r/s 10.1.0.1:8080")
	f.eventually("slices of last-manual", func() string { return f.countIn("last-manual") }, "1")

	wrote := []string{
		"b POST endpoints", "b POST endpointslices", "b POST endpointslices",
		"b PUT endpoints", "b PUT endpointslices", "b PUT endpointslices",
	}
	if got := f.writes.take(); !slices.Equal(got, wrote) {
		t.Errorf("writes %q, want only those for what came last: %q", got, wrote)
	}
	after := f.versions()
	for name, version := range before {
		if after[name] != version {
			t.Errorf("%s was at %s and is at %q", name, version, after[name])
		}
	}
}

// spoil empties the slices of Services, and the Endpoints of the first.
func (f *fixture) spoil(names ...string) {
	f.t.Helper()
	for _, name := range names {
		for _, slice := range f.slicesOf(name) {
			slice.Endpoints = nil
			if _, err := f.portolan.PortolanV1().EndpointSlices(namespace).Update(f.t.Context(), &slice, metav1.UpdateOptions{}); err != nil {
				f.t.Fatal(err)
			}
		}
	}
	e, err := f.portolan.PortolanV1().Endpoints(namespace).Get(f.t.Context(), names[0], metav1.GetOptions{})
	if err != nil {
		f.t.Fatal(err)
	}
	e.Subsets = nil
	if _, err := f.portolan.PortolanV1().Endpoints(namespace).Update(f.t.Context(), e, metav1.UpdateOptions{}); err != nil {
		f.t.Fatal(err)
	}
}

// TestDuplicates has slices that hold the same endpoint twice, which two writers
// at a time would leave behind, and slices too many: one of each is left.
func TestDuplicates(t *testing.T) {
	f := start(t)
	f.createService(framework.NewService(namespace, "web", nil))
	f.createService(framework.NewService(namespace, "manual", func(service *v1.Service) { service.Spec.Selector = nil }))
	f.createManual("manual", "192.0.2.1")
	f.addPods("web", 2)
	a := discoveryv1.Endpoint{
		Addresses: []string{"10.1.0.0"}, NodeName: ptr.To("node-a"), Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(true)},
		TargetRef: &corev1.ObjectReference{Kind: "Pod", Namespace: namespace, Name: "web0", UID: "uid-web0"},
	}
	port := discoveryv1.EndpointPort{Name: ptr.To("http"), Port: ptr.To(int32(8080)), Protocol: ptr.To(corev1.ProtocolTCP)}
	mirror := discoveryv1.Endpoint{Addresses: []string{"192.0.2.1"}, Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(true)}}
	for _, s := range []*v1.EndpointSlice{
		sliceOf("web", "endpointslice-controller.k8s.io", a, port),
		sliceOf("web", "endpointslice-controller.k8s.io", a, port),
		sliceOf("manual", rules.MirroredBy, mirror),
		sliceOf("manual", rules.MirroredBy, mirror),
		sliceOf("manual", rules.MirroredBy, mirror, port),
	} {
		if _, err := f.portolan.PortolanV1().EndpointSlices(namespace).Create(t.Context(), s, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	f.run("a", nil)
	f.expect("web", "10.1.0.0:8080 | 10.1.0.1:8080", "10.1.0.0:8080/r/s 10.1.0.1:8080")
	f.eventually("slices of web", func() string { return fmt.Sprint(len(f.slicesOf("web"))) }, "1")
	f.eventually("slices of manual", func() string { return fmt.Sprint(len(f.slicesOf("manual"))) }, "1")
	f.eventually("slices of manual", func() string { return f.slices("manual") }, "192.0.2.1/r")
}

func sliceOf(service, managedBy string, endpoint discoveryv1.Endpoint, ports ...discoveryv1.EndpointPort) *v1.EndpointSlice {
	return &v1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			GenerateName: service + "-", Namespace: namespace,
			Labels: map[string]string{discoveryv1.LabelServiceName: service, discoveryv1.LabelManagedBy: managedBy},
		},
		AddressType: discoveryv1.AddressTypeIPv4, Endpoints: []discoveryv1.Endpoint{endpoint}, Ports: ports,
	}
}

// TestTriggerTime says when what led to a change happened, not when it was
// written, on Endpoints and slices.
func TestTriggerTime(t *testing.T) {
	f := start(t)
	f.run("a", nil)
	f.createService(framework.NewService(namespace, "web", nil))
	pod := f.createPod(newPod("web", "a", nil, "10.1.0.1"))
	f.expect("web", "| 10.1.0.1:8080", "10.1.0.1:8080")
	when := metav1.NewTime(time.Now().Add(time.Hour).Truncate(time.Second))
	f.updatePod(pod, func(pod *corev1.Pod) {
		pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: when}}
	})
	f.expect("web", "10.1.0.1:8080 |", "10.1.0.1:8080/r/s")
	want := when.UTC().Format(time.RFC3339Nano)
	e, err := f.portolan.PortolanV1().Endpoints(namespace).Get(t.Context(), "web", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for what, annotations := range map[string]map[string]string{"Endpoints": e.Annotations, "slice": f.slicesOf("web")[0].Annotations} {
		if got := annotations[corev1.EndpointsLastChangeTriggerTime]; got != want {
			t.Errorf("%s: last change %q, want %s", what, got, want)
		}
	}
}
