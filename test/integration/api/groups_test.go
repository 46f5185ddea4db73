package api

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	portolanv1 "github.com/portolan-dev/portolan/generated/clientset/versioned/typed/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/server/options"
	"github.com/portolan-dev/portolan/test/framework"
)

// coreClient is a client of a kube-apiserver's, in protobuf as those in a
// cluster are.
func coreClient(t *testing.T, server *framework.Server) kubernetes.Interface {
	t.Helper()
	config := rest.CopyConfig(server.Config)
	config.ContentType = "application/vnd.kubernetes.protobuf"
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// coreService is a Service with one port as a client of core v1 has it.
func coreService(name string, change ...func(*corev1.ServiceSpec)) *corev1.Service {
	svc := corev1.Service(*serviceWith(name, change...))
	return &svc
}

// alike says whether two objects, each from one group, are the same one.
func alike(a, b metav1.Object) bool {
	return a.GetUID() == b.GetUID() && a.GetResourceVersion() == b.GetResourceVersion() && a.GetName() == b.GetName() &&
		equality.Semantic.DeepEqual(a.GetManagedFields(), b.GetManagedFields()) && equality.Semantic.DeepEqual(a.GetLabels(), b.GetLabels())
}

// TestTwoGroups writes each kind through one API group and reads it through the other.
func TestTwoGroups(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	server := framework.Start(t, nil)
	core, own := coreClient(t, server), server.Client.PortolanV1()

	watching, err := core.CoreV1().Services("default").Watch(ctx, metav1.ListOptions{FieldSelector: "spec.type=NodePort"})
	if err != nil {
		t.Fatal(err)
	}
	defer watching.Stop()
	next := func(want watch.EventType) *corev1.Service {
		t.Helper()
		event := <-watching.ResultChan()
		svc, ok := event.Object.(*corev1.Service)
		if event.Type != want || !ok {
			t.Fatalf("watched %s %+v, want %s", event.Type, event.Object, want)
		}
		return svc
	}

	made, err := core.CoreV1().Services("default").Create(ctx, coreService("web", onNodePort(0)), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if made.Spec.ClusterIP == "" || made.Spec.Ports[0].NodePort == 0 ||
		ptr.Deref(made.Spec.InternalTrafficPolicy, "") != corev1.ServiceInternalTrafficPolicyCluster {
		t.Errorf("it has no address, no port or no defaults: %+v", made.Spec)
	}
	found, err := own.Services("default").Get(ctx, "web", metav1.GetOptions{})
	if err != nil || !alike(made, found) || !equality.Semantic.DeepEqual(made.Spec, found.Spec) {
		t.Errorf("error %v, made was\n%+v\nfound is\n%+v", err, made, found)
	}
	if watched := next(watch.Added); !alike(watched, made) {
		t.Errorf("watched\n%+v, made was\n%+v", watched, made)
	}

	found.Spec.Type, found.Spec.Ports[0].NodePort, found.Spec.ExternalTrafficPolicy = corev1.ServiceTypeClusterIP, 0, ""
	changed, err := own.Services("default").Update(ctx, found, metav1.UpdateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if watched := next(watch.Deleted); watched.UID != made.UID {
		t.Errorf("what left the selection is\n%+v", watched)
	}
	listed, err := core.CoreV1().Services("").List(ctx, metav1.ListOptions{FieldSelector: "spec.clusterIP=" + made.Spec.ClusterIP})
	if err != nil || len(listed.Items) != 1 || !alike(&listed.Items[0], changed) {
		t.Errorf("error %v, listed are %+v", err, listed)
	}

	expectEndpointsAtBoth(t, core, own, made.UID)
	// The Service's dependents go with it, whichever group they were written through.
	if err := core.CoreV1().Services("default").Delete(ctx, "web", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	_, endpointsErr := core.CoreV1().Endpoints("default").Get(ctx, "web", metav1.GetOptions{})
	_, sliceErr := own.EndpointSlices("default").Get(ctx, "web-1", metav1.GetOptions{})
	addresses, err := core.NetworkingV1().IPAddresses().List(ctx, metav1.ListOptions{})
	if err != nil || len(addresses.Items) != 0 || !apierrors.IsNotFound(endpointsErr) || !apierrors.IsNotFound(sliceErr) {
		t.Errorf("left are %+v (%v), Endpoints: %v, slice: %v", addresses, err, endpointsErr, sliceErr)
	}
}

// expectEndpointsAtBoth writes the Endpoints of web in one API group and an
// EndpointSlice that the Service owns in the other.
func expectEndpointsAtBoth(t *testing.T, core kubernetes.Interface, own portolanv1.PortolanV1Interface, service types.UID) {
	t.Helper()
	ctx := t.Context()
	endpoints, err := own.Endpoints("default").Create(ctx, &v1.Endpoints{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Subsets:    []corev1.EndpointSubset{{Addresses: []corev1.EndpointAddress{{IP: "192.0.2.1"}}, Ports: []corev1.EndpointPort{{Port: 80}}}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if found, err := core.CoreV1().Endpoints("default").Get(ctx, "web", metav1.GetOptions{}); err != nil || !alike(found, endpoints) ||
		!equality.Semantic.DeepEqual(found.Subsets, endpoints.Subsets) {
		t.Errorf("error %v, the Endpoints are %+v", err, found)
	}
	slice, err := core.DiscoveryV1().EndpointSlices("default").Create(ctx, &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Name: "web-1", Labels: map[string]string{discoveryv1.LabelServiceName: "web"},
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "Service", Name: "web", UID: service}},
		},
		AddressType: discoveryv1.AddressTypeIPv4, Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"192.0.2.1"}}},
		Ports: []discoveryv1.EndpointPort{{Port: ptr.To[int32](80)}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if found, err := own.EndpointSlices("default").Get(ctx, "web-1", metav1.GetOptions{}); err != nil || !alike(found, slice) ||
		!equality.Semantic.DeepEqual(found.Ports, slice.Ports) || slice.Generation != 1 || *slice.Ports[0].Protocol != corev1.ProtocolTCP {
		t.Errorf("error %v, the slice is %+v, made was %+v", err, found, slice)
	}
}

// TestRangesAtTwoDoors does the same with the kinds that differ.
func TestRangesAtTwoDoors(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	server := framework.Start(t, nil)
	core, own := coreClient(t, server).NetworkingV1(), server.Client.PortolanV1()

	made, err := core.ServiceCIDRs().Create(ctx, &networkingv1.ServiceCIDR{
		ObjectMeta: metav1.ObjectMeta{Name: "more"}, Spec: networkingv1.ServiceCIDRSpec{CIDRs: []string{"198.51.100.0/24"}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	found, err := own.ServiceCIDRs().Get(ctx, "more", metav1.GetOptions{})
	if err != nil || !alike(made, found) || len(found.Status.CIDRs) != 1 || found.Status.CIDRs[0].Capacity != 254 {
		t.Errorf("error %v, found is %+v", err, found)
	}
	made.Status.Conditions = []metav1.Condition{
		{Type: networkingv1.ServiceCIDRConditionReady, Status: metav1.ConditionFalse, Reason: "Test", LastTransitionTime: metav1.Now()},
	}
	if made, err = core.ServiceCIDRs().UpdateStatus(ctx, made, metav1.UpdateOptions{}); err != nil || len(made.Status.Conditions) != 1 {
		t.Fatalf("error %v, the status is %+v", err, made)
	}
	_, err = servicesOf(server).Create(ctx, serviceWith("web", onAddresses("198.51.100.7")), metav1.CreateOptions{})
	expectInvalid(t, "in a range that is not ready", err, "the provided network does not match the current range")

	svc, err := servicesOf(server).Create(ctx, serviceWith("web"), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	held, err := core.IPAddresses().Get(ctx, svc.Spec.ClusterIP, metav1.GetOptions{})
	if want := (networkingv1.ParentReference{Resource: "services", Namespace: "default", Name: "web"}); err != nil ||
		*held.Spec.ParentRef != want {
		t.Fatalf("error %v, the holder is %+v", err, held.Spec.ParentRef)
	}
	// What was read can be written back with labels.
	held.Labels["a"] = "b"
	if _, err = core.IPAddresses().Update(ctx, held, metav1.UpdateOptions{}); err != nil {
		t.Error(err)
	}
	patch := []byte(`{"metadata":{"labels":{"c":"d"}}}`)
	if _, err := core.IPAddresses().Patch(ctx, held.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}); err != nil {
		t.Error(err)
	}
	full, err := own.IPAddresses().Get(ctx, held.Name, metav1.GetOptions{})
	if want := (v1.ParentReference{Group: v1.GroupName, Resource: "services", Namespace: "default", Name: "web", UID: svc.UID}); err != nil ||
		*full.Spec.ParentRef != want || full.Labels["a"] != "b" || full.Labels["c"] != "d" ||
		full.Labels[networkingv1.LabelManagedBy] != v1.ManagedByAllocator {
		t.Errorf("error %v, the claim is %+v", err, full)
	}
	held.ResourceVersion, held.Spec.ParentRef.Name = "", "other"
	_, err = core.IPAddresses().Update(ctx, held, metav1.UpdateOptions{})
	expectInvalid(t, "another holder", err, "field is immutable")

	// A reservation may name a Service of either group, and keeps what it was made with.
	for i, group := range []string{"", v1.GroupName} {
		name := fmt.Sprintf("10.96.0.%d", 10+i)
		reservation := &v1.IPAddress{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1.IPAddressSpec{
			ParentRef: &v1.ParentReference{Group: group, Resource: "services", Namespace: "default", Name: "later"},
		}}
		if _, err := own.IPAddresses().Create(ctx, reservation, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		read, err := core.IPAddresses().Get(ctx, name, metav1.GetOptions{})
		if err != nil || read.Spec.ParentRef.Group != "" {
			t.Fatalf("error %v, the holder is %+v", err, read.Spec.ParentRef)
		}
		read.Labels = map[string]string{"a": "b"}
		if _, err := core.IPAddresses().Update(ctx, read, metav1.UpdateOptions{}); err != nil {
			t.Errorf("a holder of the group %q: %v", group, err)
		}
		if kept, err := own.IPAddresses().Get(ctx, name, metav1.GetOptions{}); err != nil || kept.Spec.ParentRef.Group != group ||
			kept.Labels["a"] != "b" {
			t.Errorf("error %v, a holder of the group %q is of %+v", err, group, kept.Spec.ParentRef)
		}
	}
}

// TestRefusalsNameTheirGroup wants errors in the names of the group that was asked.
func TestRefusalsNameTheirGroup(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	server := framework.Start(t, func(o *options.Options) { o.ClusterIPRanges = []string{"10.96.0.0/24"} })
	core, own := coreClient(t, server), server.Client.PortolanV1()
	holder, err := core.CoreV1().Services("default").Create(ctx, coreService("holder", onNodePort(30000), onAddresses("10.96.0.5")),
		metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := own.ServiceCIDRs().Create(ctx,
		&v1.ServiceCIDR{ObjectMeta: metav1.ObjectMeta{Name: "more"},
			Spec: v1.ServiceCIDRSpec{CIDRs: []string{"10.97.0.0/24"}}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	other := metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: ptr.To(types.UID("other"))}}
	services, ours := core.CoreV1().Services("default"), own.Services("default")
	create := func(what, name, want, kind string, change ...func(*corev1.ServiceSpec)) refusal {
		return refusal{
			name: what, want: want, kind: kind,
			core: func() error {
				_, err := services.Create(ctx, coreService(name, change...), metav1.CreateOptions{})
				return err
			},
			own: func() error {
				_, err := ours.Create(ctx, serviceWith(name, change...), metav1.CreateOptions{})
				return err
			},
		}
	}
	expectRefusals(t, []refusal{
		{
			name: "none",
			core: func() error { _, err := services.Get(ctx, "none", metav1.GetOptions{}); return err },
			own:  func() error { _, err := ours.Get(ctx, "none", metav1.GetOptions{}); return err },
			want: `services%s "none" not found`, kind: "services",
		},
		create("there already", "holder", `services%s "holder" already exists`, "services"),
		create("invalid", "UPPER", `Service%s "UPPER" is invalid: metadata.name: `, "Service"),
		create("a port that is taken", "thief", `Service%s "thief" is invalid: spec.ports[0].nodePort: Invalid value: 30000: `+
			`provided port is already allocated by services%s/default/holder`, "Service", onNodePort(30000)),
		create("a family without a range", "six", `Service%s "six" is invalid: spec.clusterIPs[0]: `, "Service", onAddresses("2001:db8::1")),
		{
			name: "another object",
			core: func() error { return services.Delete(ctx, "holder", other) },
			own:  func() error { return ours.Delete(ctx, "holder", other) },
			want: `Operation cannot be fulfilled on Service%s "holder": `, kind: "Service",
		},
	})
	expectInUse(t, core, own, holder.Spec.ClusterIP)
}

// expectInUse wants what a Service holds to be kept.
func expectInUse(t *testing.T, core kubernetes.Interface, own portolanv1.PortolanV1Interface, address string) {
	t.Helper()
	ctx := t.Context()
	expectRefusals(t, []refusal{
		{
			name: "a claim that is held",
			core: func() error {
				return core.NetworkingV1().IPAddresses().Delete(ctx, address, metav1.DeleteOptions{})
			},
			own:       func() error { return own.IPAddresses().Delete(ctx, address, metav1.DeleteOptions{}) },
			want:      `Operation cannot be fulfilled on ipaddresses%s "10.96.0.5": the address is held by services%s/default/holder: `,
			wantGroup: networkingv1.GroupName, kind: "ipaddresses",
		},
		{
			name: "a range in use",
			core: func() error {
				return core.NetworkingV1().ServiceCIDRs().Delete(ctx, v1.DefaultRangeName, metav1.DeleteOptions{})
			},
			own:  func() error { return own.ServiceCIDRs().Delete(ctx, v1.DefaultRangeName, metav1.DeleteOptions{}) },
			want: `Operation cannot be fulfilled on servicecidrs%s "kubernetes": 10.96.0.5 is held by services%s/default/holder and lies in no other range`, wantGroup: networkingv1.GroupName, kind: "servicecidrs",
		},
	})
}

// refusal is a request that both groups reject, and the error they return:
// in the pattern the group comes first, and the suffix of the holder's resource
// next. wantGroup is the group of the core API groups.
type refusal struct {
	name            string
	core, own       func() error
	want            string
	wantGroup, kind string
}

func expectRefusals(t *testing.T, refusals []refusal) {
	t.Helper()
	for _, test := range refusals {
		expectRefusal(t, test.name+" in the core API groups", test.core(), test.want, test.wantGroup, "", test.kind)
		expectRefusal(t, test.name, test.own(), test.want, v1.GroupName, "."+v1.GroupName, test.kind)
	}
}

// expectRefusal wants an error of a group's kind or resource; in the pattern the
// group comes first, and the suffix of the holder's resource next.
func expectRefusal(t *testing.T, what string, err error, pattern, group, holder, kind string) {
	t.Helper()
	suffix := ""
	if group != "" {
		suffix = "." + group
	}
	want := strings.Replace(strings.Replace(pattern, "%s", suffix, 1), "%s", holder, 1)
	var status apierrors.APIStatus
	if !errors.As(err, &status) || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("%s: got %v\nwant %s", what, err, want)
		return
	}
	if details := status.Status().Details; details == nil || details.Group != group || details.Kind != kind {
		t.Errorf("%s: details %+v, want %s of %q", what, details, kind, group)
	}
}

// TestDeletionWithoutCollector deletes with each policy. No garbage collector runs that would delete or orphan
// dependents and remove the finalizer.
func TestDeletionWithoutCollector(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	server := framework.Start(t, nil)
	services := coreClient(t, server).CoreV1().Services("default")
	for _, policy := range []metav1.DeletionPropagation{metav1.DeletePropagationForeground, metav1.DeletePropagationOrphan,
		metav1.DeletePropagationBackground} {
		if _, err := services.Create(ctx, coreService("web"), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := services.Delete(ctx, "web", metav1.DeleteOptions{PropagationPolicy: &policy}); err != nil {
			t.Fatal(err)
		}
		if left, err := services.Get(ctx, "web", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			t.Errorf("%s: %v, %v", policy, left.Finalizers, err)
		}
	}
}
