package rules

import (
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
)

func newService(change func(*corev1.Service)) *corev1.Service {
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "shop", Labels: map[string]string{"team": "a"}},
		Spec: corev1.ServiceSpec{
			ClusterIP:  "10.96.0.1",
			IPFamilies: []corev1.IPFamily{corev1.IPv4Protocol},
			Ports:      []corev1.ServicePort{{Name: "http", Port: 80, Protocol: corev1.ProtocolTCP, TargetPort: intstr.FromInt32(8080)}},
		},
	}
	if change != nil {
		change(service)
	}
	return service
}

func newPod(name string, ready bool, change func(*corev1.Pod), ips ...string) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "shop", UID: types.UID(name)},
		Spec:       corev1.PodSpec{NodeName: "node"},
		Status: corev1.PodStatus{
			Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionFalse}},
		},
	}
	if ready {
		pod.Status.Conditions[0].Status = corev1.ConditionTrue
	}
	for i, ip := range ips {
		if i == 0 {
			pod.Status.PodIP = ip
		}
		pod.Status.PodIPs = append(pod.Status.PodIPs, corev1.PodIP{IP: ip})
	}
	if change != nil {
		change(pod)
	}
	return pod
}

// show formats the ports, addresses and not ready addresses of subsets.
func show(subsets []corev1.EndpointSubset) string {
	text := ""
	for _, subset := range subsets {
		for _, port := range subset.Ports {
			text += fmt.Sprintf("%s:%d ", port.Name, port.Port)
		}
		text += "ready"
		for _, address := range subset.Addresses {
			text += " " + showAddress(address)
		}
		text += " unready"
		for _, address := range subset.NotReadyAddresses {
			text += " " + showAddress(address)
		}
		text += "; "
	}
	return text
}

func showAddress(address corev1.EndpointAddress) string {
	if address.Hostname != "" {
		return address.Hostname + "=" + address.IP
	}
	return address.IP
}

func terminating(pod *corev1.Pod) { pod.DeletionTimestamp = ptr.To(metav1.Now()) }

// named adds a port named web to the container or the sidecar of a Pod, if wanted. An
// init container always has one.
func named(container, sidecar bool) func(*corev1.Pod) {
	port := []corev1.ContainerPort{
		{Name: "web", ContainerPort: 9000, Protocol: corev1.ProtocolUDP}, {Name: "web", ContainerPort: 9090, Protocol: corev1.ProtocolTCP},
	}
	return func(pod *corev1.Pod) {
		pod.Spec.Containers = []corev1.Container{{}}
		pod.Spec.InitContainers = []corev1.Container{{Ports: port}}
		if container {
			pod.Spec.Containers[0].Ports = port[1:]
		}
		if sidecar {
			pod.Spec.InitContainers[0].RestartPolicy = ptr.To(corev1.ContainerRestartPolicyAlways)
		}
	}
}

func hostname(subdomain string) func(*corev1.Pod) {
	return func(pod *corev1.Pod) { pod.Spec.Hostname, pod.Spec.Subdomain = "db-0", subdomain }
}

func TestSubsets(t *testing.T) {
	toName := func(s *corev1.Service) { s.Spec.Ports[0].TargetPort = intstr.FromString("web") }
	headless := func(s *corev1.Service) { s.Spec.ClusterIP, s.Spec.Ports = corev1.ClusterIPNone, nil }
	tests := map[string]struct {
		service func(*corev1.Service)
		pods    []*corev1.Pod
		want    string
	}{
		"no Pods": {},
		"ready and not": {
			pods: []*corev1.Pod{newPod("b", true, nil, "10.0.0.2"), newPod("a", true, nil, "10.0.0.1"), newPod("c", false, nil, "10.0.0.3")},
			want: "http:8080 ready 10.0.0.1 10.0.0.2 unready 10.0.0.3; ",
		},
		"a Pod without a condition isn't ready": {
			pods: []*corev1.Pod{newPod("a", true, func(p *corev1.Pod) { p.Status.Conditions = nil }, "10.0.0.1")},
			want: "http:8080 ready unready 10.0.0.1; ",
		},
		"a Pod without an address, ended ones, one that goes": {
			pods: []*corev1.Pod{
				newPod("a", true, nil),
				newPod("b", true, func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded }, "10.0.0.2"),
				newPod("c", true, func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed }, "10.0.0.3"),
				newPod("d", true, terminating, "10.0.0.4"),
			},
		},
		"publishNotReadyAddresses": {
			service: func(s *corev1.Service) { s.Spec.PublishNotReadyAddresses = true },
			pods:    []*corev1.Pod{newPod("a", false, nil, "10.0.0.1"), newPod("b", false, terminating, "10.0.0.2")},
			want:    "http:8080 ready 10.0.0.1 10.0.0.2 unready; ",
		},
		"a named port": {
			service: toName,
			pods: []*corev1.Pod{
				newPod("a", true, named(true, false), "10.0.0.1"), newPod("b", true, named(false, true), "10.0.0.2"),
				newPod("c", true, named(false, false), "10.0.0.3"), newPod("d", true, func(p *corev1.Pod) {
					named(true, false)(p)
					p.Spec.Containers[0].Ports[0].ContainerPort = 9999
				}, "10.0.0.4"),
			},
			want: "http:9090 ready 10.0.0.1 10.0.0.2 unready; http:9999 ready 10.0.0.4 unready; ",
		},
		"the family of the Service": {
			service: func(s *corev1.Service) {
				s.Spec.IPFamilies = []corev1.IPFamily{corev1.IPv6Protocol, corev1.IPv4Protocol}
			},
			pods: []*corev1.Pod{newPod("a", true, nil, "10.0.0.1", "2001:DB8::1"), newPod("b", true, nil, "10.0.0.2")},
			want: "http:8080 ready 2001:db8::1 unready; ",
		},
		"the family of the cluster IP": {
			service: func(s *corev1.Service) { s.Spec.IPFamilies, s.Spec.ClusterIP = nil, "fd00::1" },
			pods:    []*corev1.Pod{newPod("a", true, nil, "10.0.0.1", "2001:db8::1")},
			want:    "http:8080 ready 2001:db8::1 unready; ",
		},
		"the family of the Pod": {
			service: func(s *corev1.Service) { s.Spec.IPFamilies, s.Spec.ClusterIP = nil, corev1.ClusterIPNone },
			pods:    []*corev1.Pod{newPod("a", true, nil, "2001:db8::1", "10.0.0.1"), newPod("b", true, nil, "10.0.0.2")},
			want:    "http:8080 ready 10.0.0.2 2001:db8::1 unready; ",
		},
		"headless without ports": {
			service: headless,
			pods:    []*corev1.Pod{newPod("a", true, hostname("web"), "10.0.0.1"), newPod("b", false, hostname("other"), "10.0.0.2")},
			want:    "ready db-0=10.0.0.1 unready 10.0.0.2; ",
		},
		"a cluster IP without ports": {
			service: func(s *corev1.Service) { s.Spec.Ports = nil },
			pods:    []*corev1.Pod{newPod("a", true, nil, "10.0.0.1")},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := show(Subsets(newService(test.service), test.pods)); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestDesired(t *testing.T) {
	trigger := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	pods := []*corev1.Pod{newPod("a", true, nil, "10.0.0.1")}
	service := newService(nil)
	stored, changed := Desired(service, pods, nil, trigger)
	if !changed || stored.Name != "web" || stored.Namespace != "shop" || len(stored.Subsets) != 1 {
		t.Fatalf("new Endpoints: %v, changed %v", stored, changed)
	}
	if got := stored.Annotations[corev1.EndpointsLastChangeTriggerTime]; got != "2026-01-02T03:04:05.000006Z" {
		t.Errorf("the time of the change is %q", got)
	}
	if stored.Labels["team"] != "a" || stored.Labels[LabelManagedBy] != ManagedBy || len(stored.Labels) != 2 {
		t.Errorf("labels %v", stored.Labels)
	}
	stored.ResourceVersion = "7"

	tests := map[string]struct {
		stored  func(*corev1.Endpoints)
		service func(*corev1.Service)
		pods    []*corev1.Pod
		changed bool
		check   func(*corev1.Endpoints) bool
	}{
		"nothing":         {pods: pods},
		"a Pod's version": {pods: []*corev1.Pod{newPod("a", true, func(p *corev1.Pod) { p.ResourceVersion = "9" }, "10.0.0.1")}},
		"stored in another order": {pods: pods, stored: func(e *corev1.Endpoints) {
			e.Subsets = append(e.Subsets, e.Subsets...)
			e.Subsets[0].Addresses[0].TargetRef.ResourceVersion = "3"
		}},
		"an address": {pods: []*corev1.Pod{newPod("a", true, nil, "10.0.0.2")}, changed: true},
		"no address": {changed: true, check: func(e *corev1.Endpoints) bool { return len(e.Subsets) == 0 }},
		"readiness":  {pods: []*corev1.Pod{newPod("a", false, nil, "10.0.0.1")}, changed: true},
		"a label of theirs": {pods: pods, stored: func(e *corev1.Endpoints) { e.Labels["x"] = "y" }, changed: true,
			check: func(e *corev1.Endpoints) bool { return len(e.Labels) == 2 }},
		"a label goes":      {pods: pods, stored: func(e *corev1.Endpoints) { delete(e.Labels, "team") }, changed: true},
		"other annotations": {pods: pods, stored: func(e *corev1.Endpoints) { e.Annotations["x"] = "y" }},
		"over capacity once": {pods: pods, stored: func(e *corev1.Endpoints) { e.Annotations[corev1.EndpointsOverCapacity] = truncated },
			changed: true, check: func(e *corev1.Endpoints) bool { return e.Annotations[corev1.EndpointsOverCapacity] == "" }},
		"the Service's label": {pods: pods, service: func(s *corev1.Service) { s.Labels["team"] = "b" }, changed: true},
		"headless": {pods: pods, service: func(s *corev1.Service) { s.Spec.ClusterIP = corev1.ClusterIPNone }, changed: true,
			check: func(e *corev1.Endpoints) bool {
				value, there := e.Labels[corev1.IsHeadlessService]
				return there && value == ""
			}},
		"the label headless of a Service that isn't": {pods: pods, service: func(s *corev1.Service) { s.Labels[corev1.IsHeadlessService] = "" }},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			current := stored.DeepCopy()
			if test.stored != nil {
				test.stored(current)
			}
			before := current.DeepCopy()
			desired, changed := Desired(newService(test.service), test.pods, current, time.Time{})
			if changed != test.changed {
				t.Errorf("changed is %v; from %v to %v", changed, current, desired)
			}
			if changed && (desired.ResourceVersion != "7" || desired.Annotations[corev1.EndpointsLastChangeTriggerTime] != "") {
				t.Errorf("the version or the time of the change is wrong: %v", desired)
			}
			if test.check != nil && !test.check(desired) {
				t.Errorf("got %v", desired)
			}
			if !ignoringVersions.DeepEqual(before, current) {
				t.Errorf("the stored object changed from %v to %v", before, current)
			}
		})
	}
}

func TestOverCapacity(t *testing.T) {
	many := func(ready, unready int, change func(i int, p *corev1.Pod)) []*corev1.Pod {
		var pods []*corev1.Pod
		for i := range ready + unready {
			pods = append(pods, newPod(fmt.Sprintf("p%04d", i), i < ready, func(p *corev1.Pod) {
				if change != nil {
					change(i, p)
				}
			}, fmt.Sprintf("10.1.%d.%d", i/250, i%250)))
		}
		return pods
	}
	port := func(number int32) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			p.Spec.Containers = []corev1.Container{
				{Ports: []corev1.ContainerPort{{Name: "web", ContainerPort: number, Protocol: corev1.ProtocolTCP}}},
			}
		}
	}
	everyFourth := func(i int, p *corev1.Pod) { port(map[bool]int32{true: 1000, false: 2000}[i%4 == 0])(p) }
	tests := map[string]struct {
		pods []*corev1.Pod
		want [][2]int
		over bool
	}{
		"1000 are let be":                    {many(600, 400, nil), [][2]int{{600, 400}}, false},
		"unready ones go first":              {many(600, 600, nil), [][2]int{{600, 400}}, true},
		"ready ones fill it":                 {many(1500, 600, nil), [][2]int{{1000, 0}}, true},
		"1000 ready ones leave no other":     {many(1000, 1, nil), [][2]int{{1000, 0}}, true},
		"by share of the ready":              {many(2000, 0, everyFourth), [][2]int{{250, 0}, {750, 0}}, true},
		"by share, rounded up, then the end": {many(1998, 0, everyFourth), [][2]int{{251, 0}, {749, 0}}, true},
		"by share of the unready":            {many(800, 800, everyFourth), [][2]int{{200, 50}, {600, 150}}, true},
		"a subset with no room left": {many(1000, 4, func(i int, p *corev1.Pod) {
			port(map[bool]int32{true: 1000, false: 2000}[i < 1000])(p)
		}), [][2]int{{1000, 0}}, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			service := newService(func(s *corev1.Service) {
				if len(test.pods[0].Spec.Containers) > 0 {
					s.Spec.Ports[0].TargetPort = intstr.FromString("web")
				}
			})
			desired, _ := Desired(service, test.pods, nil, time.Time{})
			var got [][2]int
			for _, subset := range desired.Subsets {
				got = append(got, [2]int{len(subset.Addresses), len(subset.NotReadyAddresses)})
			}
			if fmt.Sprint(got) != fmt.Sprint(test.want) {
				t.Errorf("got %v addresses, want %v", got, test.want)
			}
			if over := desired.Annotations[corev1.EndpointsOverCapacity] == "truncated"; over != test.over {
				t.Errorf("over capacity is %v", over)
			}
			if _, changed := Desired(service, test.pods, desired, time.Time{}); changed {
				t.Error("the same object is written again")
			}
		})
	}
}
