package conformance

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/utils/ptr"
)

func endpoints() behaviors {
	return behaviors{
		"lifecycle":                     endpointsLifecycle,
		"of a selector without Pods":    endpointsOfNoPods,
		"of Pods":                       endpointsOfPods,
		"of Pods that aren't ready":     endpointsOfUnreadyPods,
		"of two families":               endpointsOfTwoFamilies,
		"written by hand, are mirrored": endpointsMirrored,
		"in several slices":             manySlices,
	}
}

// endpointsLifecycle: "should test the lifecycle of an Endpoint".
func endpointsLifecycle(f *fixture) {
	ctx, client := f.Context(), f.client.CoreV1().Endpoints(f.namespace)
	in := f.watching(client.Watch(ctx, metav1.ListOptions{LabelSelector: "static=true"}))
	made, err := client.Create(ctx, &corev1.Endpoints{
		ObjectMeta: metav1.ObjectMeta{Name: "web", Labels: map[string]string{"static": "true"}},
		Subsets: []corev1.EndpointSubset{
			{Addresses: []corev1.EndpointAddress{{IP: "192.0.2.24"}}, Ports: []corev1.EndpointPort{{Name: "http", Port: 80}}},
		},
	}, metav1.CreateOptions{})
	f.ok("create", err)
	if f.next(in, watch.Added); made.Subsets[0].Ports[0].Protocol != corev1.ProtocolTCP {
		f.Errorf("made %+v", made)
	}
	list, err := f.client.CoreV1().Endpoints("").List(ctx,
		metav1.ListOptions{LabelSelector: "static=true", FieldSelector: "metadata.namespace=" + f.namespace})
	if err != nil || len(list.Items) != 1 {
		f.Fatalf("listed %+v, error %v", list, err)
	}
	found := &list.Items[0]
	found.Labels["service"] = "updated"
	_, err = client.Update(ctx, found, metav1.UpdateOptions{})
	f.ok("update", err)
	if seen := f.next(in, watch.Modified).(*corev1.Endpoints); seen.Labels["service"] != "updated" {
		f.Errorf("updated to %+v", seen)
	}
	patch := `{"metadata":{"labels":{"service":"patched"}},"subsets":[{"addresses":[{"ip":"192.0.2.25"}],"ports":[{"name":"http-test","port":8080}]}]}`
	_, err = client.Patch(ctx, "web", types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{})
	f.ok("patch", err)
	seen := f.next(in, watch.Modified).(*corev1.Endpoints)
	if len(seen.Subsets) != 1 || seen.Subsets[0].Addresses[0].IP != "192.0.2.25" || seen.Subsets[0].Ports[0].Name != "http-test" ||
		seen.Subsets[0].Ports[0].Port != 8080 {
		f.Errorf("patched to %+v", seen)
	}
	f.ok("delete", client.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: "static=true"}))
	f.next(in, watch.Deleted)
}

// slicesOf returns the slices of a Service.
func (f *fixture) slicesOf(ctx context.Context, service string) ([]discoveryv1.EndpointSlice, error) {
	list, err := f.client.DiscoveryV1().EndpointSlices(f.namespace).List(ctx,
		metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=" + service})
	if err != nil {
		return nil, err
	}
	return list.Items, nil
}

// describe lists the addresses and ports of slices, and which endpoints are not
// ready.
func describe(items []discoveryv1.EndpointSlice) string {
	var lines []string
	for _, slice := range items {
		for _, endpoint := range slice.Endpoints {
			line := endpoint.Addresses[0]
			for _, port := range slice.Ports {
				line += fmt.Sprintf(" %s=%d", ptr.Deref(port.Name, ""), ptr.Deref(port.Port, 0))
			}
			if !ptr.Deref(endpoint.Conditions.Ready, true) {
				line += " unready"
			}
			lines = append(lines, line)
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, ", ")
}

// expectSlices waits until the slices of a Service have certain endpoints.
func (f *fixture) expectSlices(service, want string) {
	f.Helper()
	got := ""
	f.Cleanup(func() {
		if f.Failed() {
			f.Logf("the slices of %s: %s", service, got)
		}
	})
	f.eventually(service+" leads to "+want, func(ctx context.Context) (bool, error) {
		items, err := f.slicesOf(ctx, service)
		got = describe(items)
		return got == want, err
	})
}

// selecting creates a Service that selects Pods whose label app is its name.
func (f *fixture) selecting(name string, changes ...func(*corev1.Service)) {
	f.Helper()
	svc := newService(name, changes...)
	svc.Spec.Selector = map[string]string{"app": name}
	f.createService(svc)
}

// createPod creates a Pod of an app, and writes its status as a kubelet does.
func (f *fixture) createPod(name, app string, ready corev1.ConditionStatus, ports []corev1.ContainerPort, addresses ...string) {
	f.Helper()
	ctx, client := f.Context(), f.client.CoreV1().Pods(f.namespace)
	// Upstream's controllers ignore Pods without a node.
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: f.namespace}}
	if _, err := f.client.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{}); !apierrors.IsAlreadyExists(err) {
		f.ok("create", err)
	}
	pod, err := client.Create(ctx, newPod(name, func(pod *corev1.Pod) {
		pod.Spec.NodeName = node.Name
		pod.Labels = map[string]string{"app": app}
		pod.Spec.Containers[0].Ports = ports
	}), metav1.CreateOptions{})
	f.ok("create", err)
	pod.Status.Phase, pod.Status.PodIP = corev1.PodRunning, addresses[0]
	for _, address := range addresses {
		pod.Status.PodIPs = append(pod.Status.PodIPs, corev1.PodIP{IP: address})
	}
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: ready}}
	_, err = client.UpdateStatus(ctx, pod, metav1.UpdateOptions{})
	f.ok("update the status", err)
}

// endpointsOfNoPods: "should create and delete Endpoints for a Service with a
// selector that matches no pods", and the same of EndpointSlices.
func endpointsOfNoPods(f *fixture) {
	ctx := f.Context()
	f.selecting("web")
	f.eventually("an empty slice", func(ctx context.Context) (bool, error) {
		items, err := f.slicesOf(ctx, "web")
		return err == nil && len(items) == 1 && len(items[0].Endpoints) == 0 &&
			items[0].Labels[discoveryv1.LabelManagedBy] == "endpointslice-controller.k8s.io", err
	})
	f.eventually("empty Endpoints", func(ctx context.Context) (bool, error) {
		found, err := f.client.CoreV1().Endpoints(f.namespace).Get(ctx, "web", metav1.GetOptions{})
		return err == nil && len(found.Subsets) == 0, err
	})
	f.ok("delete", f.services().Delete(ctx, "web", metav1.DeleteOptions{}))
	f.eventually("they go with their Service", func(ctx context.Context) (bool, error) {
		items, err := f.slicesOf(ctx, "web")
		if err != nil {
			return false, err
		}
		list, err := f.client.CoreV1().Endpoints(f.namespace).List(ctx, metav1.ListOptions{})
		return err == nil && len(items)+len(list.Items) == 0, err
	})
}

// endpointsOfPods: "should create Endpoints and EndpointSlices for Pods matching a
// Service".
func endpointsOfPods(f *fixture) {
	f.createPod("pod1", "web", corev1.ConditionTrue, []corev1.ContainerPort{{Name: "example", ContainerPort: 3000}}, "192.0.2.1")
	f.createPod("pod2", "web", corev1.ConditionTrue,
		[]corev1.ContainerPort{{Name: "example", ContainerPort: 3001}, {Name: "other", ContainerPort: 3002}}, "192.0.2.2")
	f.createPod("pod3", "else", corev1.ConditionTrue, nil, "192.0.2.3")
	f.selecting("web", func(svc *corev1.Service) { svc.Spec.Ports[0].TargetPort = intstr.FromString("example") })
	f.expectSlices("web", "192.0.2.1 http=3000, 192.0.2.2 http=3001")
	f.eventually("Endpoints", func(ctx context.Context) (bool, error) {
		found, err := f.client.CoreV1().Endpoints(f.namespace).Get(ctx, "web", metav1.GetOptions{})
		return err == nil && len(found.Subsets) == 2 && found.Subsets[0].Addresses[0].TargetRef.Kind == "Pod", err
	})
	items, err := f.slicesOf(f.Context(), "web")
	f.ok("list", err)
	for _, slice := range items {
		owner := metav1.GetControllerOf(&slice)
		if owner == nil || owner.Kind != "Service" || owner.Name != "web" || slice.AddressType != discoveryv1.AddressTypeIPv4 {
			f.Errorf("a slice is %+v", slice)
		}
		if target := slice.Endpoints[0].TargetRef; target == nil || target.Kind != "Pod" || !strings.HasPrefix(target.Name, "pod") {
			f.Errorf("a slice leads to %+v", target)
		}
	}
	client := f.client.DiscoveryV1().EndpointSlices(f.namespace)
	f.ok("delete", client.DeleteCollection(f.Context(), metav1.DeleteOptions{},
		metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=web"}))
	f.expectSlices("web", "192.0.2.1 http=3000, 192.0.2.2 http=3001")
	f.ok("delete", f.client.CoreV1().Pods(f.namespace).Delete(f.Context(), "pod1", *metav1.NewDeleteOptions(0)))
	f.expectSlices("web", "192.0.2.2 http=3001")
}

// endpointsOfUnreadyPods: "should create endpoints for unready pods", and
// "should implement service.kubernetes.io/headless", as far as that concerns
// the API.
func endpointsOfUnreadyPods(f *fixture) {
	f.createPod("pod1", "web", corev1.ConditionFalse, nil, "192.0.2.1")
	f.selecting("web")
	f.expectSlices("web", "192.0.2.1 http=9376 unready")
	f.updateService("web", func(svc *corev1.Service) { svc.Spec.PublishNotReadyAddresses = true })
	f.expectSlices("web", "192.0.2.1 http=9376")
	f.updateService("web", func(svc *corev1.Service) {
		svc.Spec.PublishNotReadyAddresses = false
		svc.Spec.Ports = append(svc.Spec.Ports, corev1.ServicePort{Name: "more", Port: 81})
	})
	f.expectSlices("web", "192.0.2.1 http=9376 more=81 unready")
}

// endpointsOfTwoFamilies: each family has a slice.
func endpointsOfTwoFamilies(f *fixture) {
	f.createPod("pod1", "web", corev1.ConditionTrue, nil, "192.0.2.1", "2001:db8::1")
	f.selecting("web", func(svc *corev1.Service) { svc.Spec.IPFamilyPolicy = ptr.To(corev1.IPFamilyPolicyRequireDualStack) })
	f.expectSlices("web", "192.0.2.1 http=9376, 2001:db8::1 http=9376")
	items, err := f.slicesOf(f.Context(), "web")
	if err != nil || len(items) != 2 || items[0].AddressType == items[1].AddressType {
		f.Errorf("the slices are %+v, error %v", items, err)
	}
}

// endpointsMirrored: "should mirror a custom Endpoints resource through create
// update and delete".
func endpointsMirrored(f *fixture) {
	ctx, client := f.Context(), f.client.CoreV1().Endpoints(f.namespace)
	f.createService(newService("web"))
	written := &corev1.Endpoints{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Subsets:    []corev1.EndpointSubset{{Addresses: []corev1.EndpointAddress{{IP: "192.0.2.1"}}, Ports: []corev1.EndpointPort{{Port: 80}}}},
	}
	_, err := client.Create(ctx, written, metav1.CreateOptions{})
	f.ok("create", err)
	f.expectSlices("web", "192.0.2.1 =80")
	items, err := f.slicesOf(ctx, "web")
	if err != nil || items[0].Labels[discoveryv1.LabelManagedBy] != "endpointslicemirroring-controller.k8s.io" {
		f.Errorf("the mirror is %+v, error %v", items, err)
	}
	written.Subsets[0].Addresses[0].IP = "192.0.2.2"
	_, err = client.Update(ctx, written, metav1.UpdateOptions{})
	f.ok("update", err)
	f.expectSlices("web", "192.0.2.2 =80")
	f.ok("delete", client.Delete(ctx, "web", metav1.DeleteOptions{}))
	f.expectSlices("web", "")
}

// manySlices: "should support a Service with multiple ports specified in
// multiple EndpointSlices" (the API's part): the controllers leave slices alone
// that are written by hand.
func manySlices(f *fixture) {
	f.createService(newService("web"))
	for i, port := range []int32{80, 81} {
		slice := &discoveryv1.EndpointSlice{
			ObjectMeta: metav1.ObjectMeta{
				GenerateName: "web-", Labels: map[string]string{discoveryv1.LabelServiceName: "web", discoveryv1.LabelManagedBy: "e2e"},
			},
			AddressType: discoveryv1.AddressTypeIPv4, Ports: []discoveryv1.EndpointPort{{Name: ptr.To("http"), Port: &port}},
			Endpoints: []discoveryv1.Endpoint{{Addresses: []string{[]string{"192.0.2.1", "192.0.2.2"}[i]}}},
		}
		made, err := f.client.DiscoveryV1().EndpointSlices(f.namespace).Create(f.Context(), slice, metav1.CreateOptions{})
		f.ok("create", err)
		if *made.Ports[0].Protocol != corev1.ProtocolTCP {
			f.Errorf("made %+v", made)
		}
	}
	f.expectSlices("web", "192.0.2.1 http=80, 192.0.2.2 http=81")
}
