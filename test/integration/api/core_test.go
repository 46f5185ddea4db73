package api

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/kubernetes"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/utils/ptr"

	"github.com/portolan-dev/portolan/pkg/server/options"
	"github.com/portolan-dev/portolan/test/framework"
)

func podNamed(name string, change ...func(*corev1.Pod)) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": "web"}},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{
			Name: "web", Image: "registry.example/web:1", Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}},
		}}},
	}
	for _, change := range change {
		change(pod)
	}
	return pod
}

// makeReady gives a Pod an address and has it ready, or not.
func makeReady(t *testing.T, client kubernetes.Interface, name, ip string, ready corev1.ConditionStatus) {
	t.Helper()
	patch := fmt.Sprintf(`{"status":{"phase":"Running","podIP":%q,"conditions":[{"type":"Ready","status":%q}]}}`, ip, ready)
	pod, err := client.CoreV1().Pods("default").Patch(t.Context(), name, types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{},
		"status")
	if err != nil {
		t.Fatal(err)
	}
	if len(pod.Status.PodIPs) != 1 || pod.Status.PodIPs[0].IP != ip {
		t.Errorf("%s has the addresses %v", name, pod.Status.PodIPs)
	}
}

// TestPods is what a Pod is like, how it is found, and what is refused about it.
func TestPods(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	client := coreClient(t, framework.Start(t, nil))
	pods := client.CoreV1().Pods("default")
	made, err := pods.Create(ctx, podNamed("a", func(pod *corev1.Pod) { pod.Spec.NodeName = "n" }), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	container := made.Spec.Containers[0]
	if made.Status.Phase != corev1.PodPending || made.Generation != 1 || made.Spec.RestartPolicy != corev1.RestartPolicyAlways ||
		container.ImagePullPolicy != corev1.PullIfNotPresent || container.Ports[0].Protocol != corev1.ProtocolTCP ||
		*made.Spec.TerminationGracePeriodSeconds != 30 {
		t.Errorf("made %+v", made)
	}
	if _, err := pods.Create(ctx, podNamed("b"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	makeReady(t, client, "a", "192.0.2.1", corev1.ConditionTrue)
	for selector, want := range map[string]string{
		"spec.nodeName=n": "a", "spec.nodeName=": "b", "status.phase=Running": "a", "status.podIP=192.0.2.1": "a", "metadata.name=b": "b",
		"spec.host=n": "a",
		"status.phase!=Running,spec.hostNetwork=false": "b",
	} {
		list, err := pods.List(ctx, metav1.ListOptions{FieldSelector: selector})
		if err != nil || len(list.Items) != 1 || list.Items[0].Name != want {
			t.Errorf("%s: %d, error %v, want %s", selector, len(list.Items), err, want)
		}
	}
	image, err := pods.Patch(ctx, "a", types.StrategicMergePatchType,
		[]byte(`{"spec":{"containers":[{"name":"web","image":"registry.example/web:2"}]},"status":{"phase":"Failed"}}`), metav1.PatchOptions{})
	if err != nil || image.Generation != 2 || image.Status.Phase != corev1.PodRunning {
		t.Errorf("another image: %+v, error %v", image, err)
	}

	expectPodsRejected(t, pods)
	err = pods.GetLogs("a", &corev1.PodLogOptions{}).Do(ctx).Error()
	if want := "pod a is on host n, and Portolan does not connect to hosts"; !apierrors.IsBadRequest(err) || err.Error() != want {
		t.Errorf("the log of a Pod with a node: %v", err)
	}
	for patch, want := range map[string]string{
		`{"status":{"podIP":"192.0.2.300"}}`:                                         "status.podIPs[0]: Invalid value: \"192.0.2.300\": must be a valid IP address",
		`{"status":{"podIP":null,"podIPs":[{"ip":"192.0.2.1"},{"ip":"192.0.2.2"}]}}`: "may specify no more than one IP for each IP family",
		`{"status":{"conditions":[{"type":"a b","status":"True"}]}}`:                 "status.conditions[0].Type: Invalid value: \"a b\"",
	} {
		if _, err := pods.Patch(ctx, "a", types.MergePatchType, []byte(patch), metav1.PatchOptions{}, "status"); !apierrors.IsInvalid(err) ||
			!strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", patch, err, want)
		}
	}
	if _, err := pods.Patch(ctx, "a", types.MergePatchType, []byte(`{"spec":{"hostname":"b"}}`),
		metav1.PatchOptions{}); !apierrors.IsInvalid(err) ||
		!strings.Contains(err.Error(), "spec: Forbidden: pod updates may not change fields other than") {
		t.Errorf("another hostname: %v", err)
	}
	if err := pods.Delete(ctx, "a", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := pods.Get(ctx, "a", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("after it was deleted: %v", err)
	}
}

// expectPodsRejected creates Pods that are not valid.
func expectPodsRejected(t *testing.T, pods typedcorev1.PodInterface) {
	t.Helper()
	for what, test := range map[string]struct {
		pod  *corev1.Pod
		want string
	}{
		"no container": {podNamed("c", func(pod *corev1.Pod) { pod.Spec.Containers = nil }), "spec.containers: Required value"},
		"no image": {
			podNamed("c", func(pod *corev1.Pod) { pod.Spec.Containers[0].Image = "" }), "spec.containers[0].image: Required value",
		},
		"a bad name": {podNamed("C"), "a lowercase RFC 1123 subdomain must consist of"},
		"a name twice": {podNamed("c", func(pod *corev1.Pod) { pod.Spec.InitContainers = pod.Spec.Containers }),
			`spec.initContainers[0].name: Duplicate value: "web"`},
		"a port's name": {podNamed("c", func(pod *corev1.Pod) { pod.Spec.Containers[0].Ports[0].Name = "a--b" }),
			"spec.containers[0].ports[0].name: Invalid value: \"a--b\": must not contain consecutive hyphens"},
		"a port": {podNamed("c", func(pod *corev1.Pod) { pod.Spec.Containers[0].Ports[0].ContainerPort = 70000 }),
			"spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive"},
		"a protocol": {podNamed("c", func(pod *corev1.Pod) { pod.Spec.Containers[0].Ports[0].Protocol = "tcp" }),
			`spec.containers[0].ports[0].protocol: Unsupported value: "tcp": supported values: "SCTP", "TCP", "UDP"`},
		"a hostname": {podNamed("c", func(pod *corev1.Pod) { pod.Spec.Hostname = "A" }), `spec.hostname: Invalid value: "A"`},
		"a restart policy": {podNamed("c", func(pod *corev1.Pod) { pod.Spec.RestartPolicy = "Never!" }),
			`spec.restartPolicy: Unsupported value: "Never!": supported values: "Always", "OnFailure", "Never"`},
	} {
		if _, err := pods.Create(t.Context(), test.pod, metav1.CreateOptions{}); !apierrors.IsInvalid(err) ||
			!strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %s", what, err, test.want)
		}
	}
}

// TestNodes is the same of Nodes.
func TestNodes(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	nodes := coreClient(t, framework.Start(t, nil)).CoreV1().Nodes()
	node := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: "n"},
		Spec:       corev1.NodeSpec{PodCIDR: "192.0.2.0/24"},
		Status:     corev1.NodeStatus{Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "198.51.100.1"}}},
	}
	made, err := nodes.Create(ctx, node, metav1.CreateOptions{})
	if err != nil || len(made.Status.Addresses) != 1 || !slices.Equal(made.Spec.PodCIDRs, []string{"192.0.2.0/24"}) {
		t.Fatalf("made %+v, error %v", made, err)
	}
	applied, err := nodes.ApplyStatus(ctx, applycorev1.Node("n").WithStatus(applycorev1.NodeStatus().WithConditions(
		applycorev1.NodeCondition().WithType(corev1.NodeReady).WithStatus(corev1.ConditionTrue))), metav1.ApplyOptions{FieldManager: "test"})
	if err != nil || len(applied.Status.Conditions) != 1 {
		t.Errorf("applied %+v, error %v", applied, err)
	}
	watched, err := nodes.Watch(ctx, metav1.ListOptions{FieldSelector: "metadata.name=n"})
	if err != nil {
		t.Fatal(err)
	}
	defer watched.Stop()
	if event := <-watched.ResultChan(); event.Object.(*corev1.Node).Name != "n" {
		t.Errorf("watched %+v", event)
	}
	for patch, want := range map[string]string{
		`{"spec":{"podCIDR":"203.0.113.0/24","podCIDRs":["203.0.113.0/24"]}}`: "" +
			`spec.podCIDRs: Forbidden: node updates may not change podCIDR except from "" to valid`,
		`{"metadata":{"labels":{"a b":"c"}}}`: "metadata.labels: Invalid value",
	} {
		if _, err := nodes.Patch(ctx, "n", types.MergePatchType, []byte(patch), metav1.PatchOptions{}); !apierrors.IsInvalid(err) ||
			!strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", patch, err, want)
		}
	}
	node.Name, node.Spec.PodCIDRs, node.Spec.PodCIDR = "m", []string{"192.0.2.0/24", "198.51.100.0/24"}, ""
	if _, err := nodes.Create(ctx, node, metav1.CreateOptions{}); !apierrors.IsInvalid(err) ||
		!strings.Contains(err.Error(), "may specify no more than one CIDR for each IP family") {
		t.Errorf("two of a family: %v", err)
	}
}

// TestControllersWithoutCluster makes slices and Endpoints of Pods that the
// server itself has, in a server with replicas and in one without.
func TestControllersWithoutCluster(t *testing.T) {
	t.Parallel()
	etcd := framework.StartEtcd(t)
	for name, change := range map[string]func(*options.Options){"alone": nil, "with a lease": framework.On(etcd)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			client := coreClient(t, framework.StartAll(t, change))
			node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n", Labels: map[string]string{corev1.LabelTopologyZone: "z"}}}
			if _, err := client.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
			svc := coreService("web", func(spec *corev1.ServiceSpec) {
				spec.Selector = map[string]string{"app": "web"}
				spec.Ports[0].TargetPort = intstr.FromString("http")
			})
			made, err := client.CoreV1().Services("default").Create(ctx, svc, metav1.CreateOptions{})
			if err != nil {
				t.Fatal(err)
			}
			for i, pod := range []string{"a", "b"} {
				if _, err := client.CoreV1().Pods("default").Create(ctx, podNamed(pod, func(pod *corev1.Pod) { pod.Spec.NodeName = "n" }),
					metav1.CreateOptions{}); err != nil {
					t.Fatal(err)
				}
				makeReady(t, client, pod, fmt.Sprintf("192.0.2.%d", i+1), corev1.ConditionTrue)
			}
			expectSlice(t, client, "192.0.2.1:8080 in z ready, 192.0.2.2:8080 in z ready")
			makeReady(t, client, "a", "192.0.2.1", corev1.ConditionFalse)
			expectSlice(t, client, "192.0.2.1:8080 in z, 192.0.2.2:8080 in z ready")
			if err := client.CoreV1().Pods("default").Delete(ctx, "a", metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
			expectSlice(t, client, "192.0.2.2:8080 in z ready")
			// Nobody schedules Pods here.
			if _, err := client.CoreV1().Pods("default").Create(ctx, podNamed("c"), metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
			makeReady(t, client, "c", "192.0.2.3", corev1.ConditionTrue)
			expectSlice(t, client, "192.0.2.2:8080 in z ready, 192.0.2.3:8080 in no zone ready")
			if err := client.CoreV1().Pods("default").Delete(ctx, "c", metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
			expectSlice(t, client, "192.0.2.2:8080 in z ready")
			framework.Await(t, "Endpoints", func(ctx context.Context) (bool, error) {
				endpoints, err := client.CoreV1().Endpoints("default").Get(ctx, "web", metav1.GetOptions{})
				if err != nil || len(endpoints.Subsets) != 1 {
					return false, err
				}
				subset := endpoints.Subsets[0]
				return len(subset.Addresses) == 1 && subset.Addresses[0].TargetRef.Name == "b" && subset.Ports[0].Port == 8080, nil
			})
			expectWriter(t, client, made)
		})
	}
}

// expectWriter expects that what the controllers made names its Service as the
// clients of this group know it, and its field manager.
func expectWriter(t *testing.T, client kubernetes.Interface, service *corev1.Service) {
	t.Helper()
	list, err := client.DiscoveryV1().EndpointSlices("default").List(t.Context(),
		metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=" + service.Name})
	if err != nil {
		t.Fatal(err)
	}
	owner := metav1.NewControllerRef(service, corev1.SchemeGroupVersion.WithKind("Service"))
	if slice := list.Items[0]; !equality.Semantic.DeepEqual(slice.OwnerReferences, []metav1.OwnerReference{*owner}) {
		t.Errorf("the owners are %+v, want %+v", slice.OwnerReferences, owner)
	}
	program := filepath.Base(os.Args[0])
	if written := list.Items[0].ManagedFields[0]; written.Manager != program || written.APIVersion != discoveryv1.SchemeGroupVersion.String() {
		t.Errorf("written by %s in %s, want %s", written.Manager, written.APIVersion, program)
	}
}

// expectSlice waits until the one slice of the Service web has the endpoints.
func expectSlice(t *testing.T, client kubernetes.Interface, want string) {
	t.Helper()
	framework.Await(t, want, func(ctx context.Context) (bool, error) {
		list, err := client.DiscoveryV1().EndpointSlices("default").List(ctx,
			metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=web"})
		if err != nil || len(list.Items) != 1 || len(list.Items[0].Ports) != 1 {
			return false, err
		}
		if owners := list.Items[0].OwnerReferences; len(owners) != 1 || owners[0].APIVersion != "v1" || owners[0].Kind != "Service" {
			t.Errorf("the slice belongs to %+v", owners)
		}
		var got []string
		for _, endpoint := range list.Items[0].Endpoints {
			text := fmt.Sprintf("%s:%d in %s", endpoint.Addresses[0], *list.Items[0].Ports[0].Port, ptr.Deref(endpoint.Zone, "no zone"))
			if *endpoint.Conditions.Ready {
				text += " ready"
			}
			got = append(got, text)
		}
		slices.Sort(got)
		return strings.Join(got, ", ") == want, nil
	})
}

// TestEvents are written in one group and read in the other, and go in the end.
func TestEvents(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	client := coreClient(t, framework.Start(t, func(o *options.Options) { o.EventTTL = 2 * time.Second }))
	old, now := client.CoreV1().Events("default"), client.EventsV1().Events("default")
	about := corev1.ObjectReference{Kind: "Service", APIVersion: "v1", Namespace: "default", Name: "web"}
	event := &eventsv1.Event{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "web-"}, Regarding: about, Reason: "Why", Note: "What", Type: "Normal", Action: "Do",
		EventTime: metav1.NowMicro(), ReportingController: "example.com/c", ReportingInstance: "c-1",
	}
	made, err := now.Create(ctx, event, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	seen, err := old.List(ctx, metav1.ListOptions{FieldSelector: "involvedObject.name=web,reason=Why"})
	if err != nil || len(seen.Items) != 1 || seen.Items[0].Message != "What" || seen.Items[0].UID != made.UID {
		t.Fatalf("seen %+v, error %v", seen, err)
	}
	if list, err := now.List(ctx, metav1.ListOptions{FieldSelector: "regarding.name=none"}); err != nil || len(list.Items) != 0 {
		t.Errorf("seen %+v, error %v", list, err)
	}
	made.Series = &eventsv1.EventSeries{Count: 2, LastObservedTime: metav1.NowMicro()}
	if made, err = now.Update(ctx, made, metav1.UpdateOptions{}); err != nil || made.Series.Count != 2 {
		t.Errorf("a series: %+v, error %v", made, err)
	}
	made.Note = "Something else"
	if _, err := now.Update(ctx, made, metav1.UpdateOptions{}); !apierrors.IsInvalid(err) || !strings.HasPrefix(err.Error(), "Event \"") ||
		!strings.Contains(err.Error(), "message: Invalid value: \"Something else\": field is immutable") {
		t.Errorf("another note: %v", err)
	}
	event.EventTime = metav1.MicroTime{}
	if _, err := now.Create(ctx, event, metav1.CreateOptions{}); !apierrors.IsInvalid(err) ||
		!strings.Contains(err.Error(), "eventTime: Required value") {
		t.Errorf("no time: %v", err)
	}
	elsewhere := &corev1.Event{ObjectMeta: metav1.ObjectMeta{Name: "a"}, InvolvedObject: corev1.ObjectReference{Namespace: "kube-system"}}
	if _, err := old.Create(ctx, elsewhere, metav1.CreateOptions{}); !apierrors.IsInvalid(err) ||
		!strings.Contains(err.Error(), "involvedObject.namespace: Invalid value: \"kube-system\": does not match event.namespace") {
		t.Errorf("elsewhere: %v", err)
	}
	framework.Await(t, "the event is gone", func(ctx context.Context) (bool, error) {
		list, err := now.List(ctx, metav1.ListOptions{})
		return err == nil && len(list.Items) == 0, err
	})
}

// TestLeases is what a Lease may be.
func TestLeases(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	leases := coreClient(t, framework.Start(t, nil)).CoordinationV1().Leases("kube-system")
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: "a"},
		Spec: coordinationv1.LeaseSpec{HolderIdentity: ptr.To("me"), LeaseDurationSeconds: ptr.To[int32](15)}}
	made, err := leases.Update(ctx, lease, metav1.UpdateOptions{})
	if err != nil {
		t.Fatalf("a PUT makes one: %v", err)
	}
	made.Spec.LeaseDurationSeconds = ptr.To[int32](0)
	if _, err := leases.Update(ctx, made, metav1.UpdateOptions{}); !apierrors.IsInvalid(err) ||
		!strings.Contains(err.Error(),
			`Lease.coordination.k8s.io "a" is invalid: spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0`) {
		t.Errorf("for no time: %v", err)
	}
	made.Spec.LeaseDurationSeconds, made.ResourceVersion = ptr.To[int32](1), ""
	if _, err := leases.Update(ctx, made, metav1.UpdateOptions{}); !apierrors.IsInvalid(err) ||
		!strings.Contains(err.Error(), "metadata.resourceVersion: Invalid value") {
		t.Errorf("at no version: %v", err)
	}
}
