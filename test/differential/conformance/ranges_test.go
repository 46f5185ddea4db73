package conformance

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/utils/ptr"
)

func ranges() behaviors {
	return behaviors{
		"the server's own":                   defaultRange,
		"what a ServiceCIDR may be":          whatRangesAre,
		"what an IPAddress may be":           whatAddressesAre,
		"an address that a Service has":      addressOfAService,
		"an address that somebody has taken": addressTaken,
		"one family":                         oneFamily,
		"two families":                       twoFamilies,
		"families that are none":             noFamilies,
	}
}

// createRange makes a ServiceCIDR. Upstream gives any Service an address of any
// range, which stays then: there can't be others around that make some.
func (w *world) createRange(name string, cidrs ...string) *networkingv1.ServiceCIDR {
	w.Helper()
	made, err := w.client.NetworkingV1().ServiceCIDRs().Create(w.Context(), &networkingv1.ServiceCIDR{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"behavior": w.namespace}}, Spec: networkingv1.ServiceCIDRSpec{
			CIDRs: cidrs,
		},
	}, metav1.CreateOptions{})
	w.ok("create", err)
	return made
}

// awaitReady waits until a ServiceCIDR says that it is ready.
func (w *world) awaitReady(name string) {
	w.Helper()
	w.eventually(name+" is ready", func(ctx context.Context) (bool, error) {
		found, err := w.client.NetworkingV1().ServiceCIDRs().Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		return meta.IsStatusConditionTrue(found.Status.Conditions, networkingv1.ServiceCIDRConditionReady), nil
	})
}

// defaultRange: "should support ServiceCIDR API operations".
func defaultRange(w *world) {
	ctx, client := w.Context(), w.client.NetworkingV1().ServiceCIDRs()
	found, err := client.Get(ctx, "kubernetes", metav1.GetOptions{})
	if err != nil || strings.Join(found.Spec.CIDRs, ",") != range4+","+range6 {
		w.Fatalf("found %+v, error %v", found, err)
	}
	w.awaitReady("kubernetes")
	status, err := w.dynamic.Resource(networkingv1.SchemeGroupVersion.WithResource("servicecidrs")).Get(ctx, "kubernetes", metav1.GetOptions{},
		"status")
	if err != nil || status.GetUID() != found.UID || status.GroupVersionKind() != networkingv1.SchemeGroupVersion.WithKind("ServiceCIDR") {
		w.Errorf("the status is of %+v, error %v", status, err)
	}
	list, err := client.List(ctx, metav1.ListOptions{FieldSelector: "metadata.name=kubernetes"})
	if err != nil || len(list.Items) != 1 {
		w.Errorf("listed %+v, error %v", list, err)
	}
	in := w.watching(client.Watch(ctx, metav1.ListOptions{FieldSelector: "metadata.name=kubernetes"}))
	w.next(in, watch.Added)
}

// rangeLifecycle makes, reads, changes and deletes.
func rangeLifecycle(w *world) {
	ctx, client := w.Context(), w.client.NetworkingV1().ServiceCIDRs()
	mine := metav1.ListOptions{LabelSelector: w.label()}
	in := w.watching(client.Watch(ctx, mine))
	made := w.createRange(w.namespace, "172.20.0.0/28")
	if seen := w.next(in, watch.Added).(*networkingv1.ServiceCIDR); seen.UID != made.UID {
		w.Errorf("watched %+v", seen)
	}
	w.awaitReady(w.namespace)
	patched, err := client.Patch(ctx, w.namespace, types.MergePatchType, []byte(`{"metadata":{"annotations":{"patched":"true"}}}`),
		metav1.PatchOptions{})
	if err != nil || patched.Annotations["patched"] != "true" || !w.older(made, patched) {
		w.Errorf("patched to %+v, error %v", patched, err)
	}
	_, err = client.Patch(ctx, w.namespace, types.MergePatchType, []byte(`{"spec":{"cidrs":["172.21.0.0/28"]}}`), metav1.PatchOptions{})
	if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "spec.cidrs") {
		w.Errorf("another range: %v", err)
	}
	w.createRange(w.namespace+"-2", "172.22.0.0/28")
	w.ok("delete", client.Delete(ctx, w.namespace, metav1.DeleteOptions{}))
	w.ok("delete all", client.DeleteCollection(ctx, metav1.DeleteOptions{}, mine))
	w.eventually("all are gone", func(ctx context.Context) (bool, error) {
		list, err := client.List(ctx, mine)
		return err == nil && len(list.Items) == 0, err
	})
}

// rangeStatus can be written by controllers.
func rangeStatus(w *world) {
	ctx, client := w.Context(), w.client.NetworkingV1().ServiceCIDRs()
	w.createRange(w.namespace, "172.24.0.0/28")
	w.awaitReady(w.namespace)
	patch := `{"metadata":{"annotations":{"patched":"true"}},"status":{"conditions":[{"type":"Example","status":"True","reason":"E2E","message":"from a test","lastTransitionTime":"2026-01-02T03:04:05Z"}]}}`
	patched, err := client.Patch(ctx, w.namespace, types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{}, "status")
	w.ok("patch the status", err)
	for _, condition := range patched.Status.Conditions {
		if condition.Type == "Example" && condition.Message == "from a test" {
			w.ok("delete", client.Delete(ctx, w.namespace, metav1.DeleteOptions{}))
			return
		}
	}
	w.Errorf("patched to %+v", patched.Status)
}

// serviceInAnotherRange: "should create Services and serve on different Service
// CIDRs" (the API's part). A range stays while something is in it.
func serviceInAnotherRange(w *world) {
	ctx, client := w.Context(), w.client.NetworkingV1().ServiceCIDRs()
	const cidr, address = "172.23.0.0/28", "172.23.0.5"
	named := newService("web", func(svc *corev1.Service) { svc.Spec.ClusterIP = address })
	_, err := w.services().Create(ctx, named, metav1.CreateOptions{})
	if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "the provided network does not match the current range") {
		w.Errorf("an address of no range: %v", err)
	}
	w.createRange(w.namespace, cidr)
	w.awaitReady(w.namespace)
	w.eventually("a Service in the new range", func(ctx context.Context) (bool, error) {
		_, err := w.services().Create(ctx, named, metav1.CreateOptions{})
		if apierrors.IsInvalid(err) {
			return false, nil
		}
		return err == nil, err
	})
	held, err := w.client.NetworkingV1().IPAddresses().Get(ctx, address, metav1.GetOptions{})
	if err != nil || held.Spec.ParentRef.Name != "web" || held.Spec.ParentRef.Namespace != w.namespace ||
		held.Spec.ParentRef.Resource != "services" {
		w.Errorf("the address is %+v, error %v", held, err)
	}
	w.ok("delete the Service", w.services().Delete(ctx, "web", metav1.DeleteOptions{}))
	w.eventually("the address is free", func(ctx context.Context) (bool, error) {
		list, err := w.client.NetworkingV1().IPAddresses().List(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + address})
		return err == nil && len(list.Items) == 0, err
	})
	w.ok("delete", client.Delete(ctx, w.namespace, metav1.DeleteOptions{}))
	w.eventually("the range is gone", func(ctx context.Context) (bool, error) {
		list, err := client.List(ctx, metav1.ListOptions{LabelSelector: w.label()})
		return err == nil && len(list.Items) == 0, err
	})
}

// whatRangesAre: names and networks, in their canonical form.
func whatRangesAre(w *world) {
	for want, cidrs := range map[string][]string{
		"spec.cidrs: Required value: at least one CIDR required":                                           nil,
		"spec.cidrs[0]: Invalid value: \"none\": must be a valid CIDR value":                               {"none"},
		"spec.cidrs[0]: Invalid value: \"172.31.0.1/28\": must not have bits set beyond the prefix length": {"172.31.0.1/28"},
		"spec.cidrs: Invalid value: [\"172.31.0.0/28\",\"172.31.1.0/28\"]: may specify no more than one IP for each IP family": {
			"172.31.0.0/28", "172.31.1.0/28",
		},
		"spec.cidrs[0]: Invalid value: \"172.31.00.0/28\"": {
			"172.31.00.0/28",
		},
	} {
		cidr := &networkingv1.ServiceCIDR{ObjectMeta: metav1.ObjectMeta{Name: w.namespace}, Spec: networkingv1.ServiceCIDRSpec{CIDRs: cidrs}}
		_, err := w.client.NetworkingV1().ServiceCIDRs().Create(w.Context(), cidr, metav1.CreateOptions{})
		if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), want) {
			w.Errorf("%q: got %v, want %s", cidrs, err, want)
		}
	}
}

// whatAddressesAre: the name is the address, in its canonical form.
func whatAddressesAre(w *world) {
	parent := &networkingv1.ParentReference{Resource: "things", Name: "a"}
	for _, test := range []struct {
		name, want string
		parent     *networkingv1.ParentReference
	}{
		{"none", "metadata.name: Invalid value: \"none\": must be a valid IP address", parent},
		{"192.0.2.01", "metadata.name: Invalid value: \"192.0.2.01\": must not have leading 0s", parent},
		{"2001:db8:0::1", "metadata.name: Invalid value: \"2001:db8:0::1\": must be in canonical form (\"2001:db8::1\")", parent},
		{"::ffff:192.0.2.1", "metadata.name: Invalid value: \"::ffff:192.0.2.1\": must not be an IPv4-mapped IPv6 address", parent},
		{"192.0.2.1", "spec.parentRef: Required value", nil},
		{"192.0.2.1", "spec.parentRef.resource: Required value", &networkingv1.ParentReference{Name: "a"}},
		{"192.0.2.1", "spec.parentRef.name: Required value", &networkingv1.ParentReference{Resource: "things"}},
		{"192.0.2.1", "spec.parentRef.name: Invalid value: \"a/b\": may not contain '/'",
			&networkingv1.ParentReference{Resource: "things", Name: "a/b"}},
	} {
		address := &networkingv1.IPAddress{
			ObjectMeta: metav1.ObjectMeta{Name: test.name}, Spec: networkingv1.IPAddressSpec{ParentRef: test.parent},
		}
		_, err := w.client.NetworkingV1().IPAddresses().Create(w.Context(), address, metav1.CreateOptions{})
		if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), test.want) {
			w.Errorf("%s of %+v: got %v, want %s", test.name, test.parent, err, test.want)
		}
	}
	made, err := w.client.NetworkingV1().IPAddresses().Create(w.Context(), &networkingv1.IPAddress{
		ObjectMeta: metav1.ObjectMeta{Name: addressOf(w.namespace, 0)}, Spec: networkingv1.IPAddressSpec{ParentRef: parent},
	}, metav1.CreateOptions{})
	w.ok("create", err)
	made.Spec.ParentRef.Name = "b"
	_, err = w.client.NetworkingV1().IPAddresses().Update(w.Context(), made, metav1.UpdateOptions{})
	if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "spec.parentRef: Invalid value") ||
		!strings.Contains(err.Error(), "field is immutable") {
		w.Errorf("another parent: %v", err)
	}
	w.ok("delete", w.client.NetworkingV1().IPAddresses().Delete(w.Context(), made.Name, metav1.DeleteOptions{}))
}

// addressOfAService is an IPAddress while the Service is there.
func addressOfAService(w *world) {
	ctx, client := w.Context(), w.client.NetworkingV1().IPAddresses()
	made := w.createService(newService("web",
		func(svc *corev1.Service) { svc.Spec.IPFamilyPolicy = ptr.To(corev1.IPFamilyPolicyRequireDualStack) }))
	for i, family := range []string{"IPv4", "IPv6"} {
		held, err := client.Get(ctx, made.Spec.ClusterIPs[i], metav1.GetOptions{})
		w.ok("get", err)
		if held.Labels[networkingv1.LabelIPAddressFamily] != family || held.Labels[networkingv1.LabelManagedBy] != "ipallocator.k8s.io" ||
			held.Spec.ParentRef.Name != "web" {
			w.Errorf("%s is held as %+v", family, held)
		}
	}
	w.ok("delete", w.services().Delete(ctx, "web", metav1.DeleteOptions{}))
	for _, address := range made.Spec.ClusterIPs {
		w.eventually(address+" is free", func(ctx context.Context) (bool, error) {
			list, err := client.List(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + address})
			return err == nil && len(list.Items) == 0, err
		})
	}
}

// addressTaken is an address that no Service gets.
func addressTaken(w *world) {
	made := w.createService(newService("web"))
	second := newService("second", func(svc *corev1.Service) { svc.Spec.ClusterIP = made.Spec.ClusterIP })
	_, err := w.services().Create(w.Context(), second, metav1.CreateOptions{})
	if want := fmt.Sprintf("failed to allocate IP %s: provided IP is already allocated", made.Spec.ClusterIP); !apierrors.IsInvalid(err) ||
		!strings.Contains(err.Error(), want) {
		w.Errorf("got %v, want %s", err, want)
	}
	changed := made.DeepCopy()
	changed.Spec.ClusterIP, changed.Spec.ClusterIPs = "10.96.1.1", []string{"10.96.1.1"}
	_, err = w.services().Update(w.Context(), changed, metav1.UpdateOptions{})
	if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "may not change once set") {
		w.Errorf("another address: %v", err)
	}
}
