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
		"validation of ServiceCIDRs":         rangeRules,
		"validation of IPAddresses":          addressRules,
		"an address that a Service has":      addressOfAService,
		"an address that somebody has taken": addressTaken,
		"one family":                         oneFamily,
		"two families":                       twoFamilies,
		"invalid families":                   noFamilies,
	}
}

// createRange creates a ServiceCIDR. Upstream may give any Service an address
// of any range, which then cannot be deleted, so no behavior that creates
// Services may run beside.
func (f *fixture) createRange(name string, cidrs ...string) *networkingv1.ServiceCIDR {
	f.Helper()
	made, err := f.client.NetworkingV1().ServiceCIDRs().Create(f.Context(), &networkingv1.ServiceCIDR{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"behavior": f.namespace}}, Spec: networkingv1.ServiceCIDRSpec{
			CIDRs: cidrs,
		},
	}, metav1.CreateOptions{})
	f.ok("create", err)
	return made
}

// awaitReady waits until a ServiceCIDR is ready.
func (f *fixture) awaitReady(name string) {
	f.Helper()
	f.eventually(name+" is ready", func(ctx context.Context) (bool, error) {
		found, err := f.client.NetworkingV1().ServiceCIDRs().Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		return meta.IsStatusConditionTrue(found.Status.Conditions, networkingv1.ServiceCIDRConditionReady), nil
	})
}

// awaitNoRanges waits until the behavior's ServiceCIDRs are gone. Upstream rejects some
// Services while it forgets one.
func (f *fixture) awaitNoRanges() {
	f.Helper()
	f.eventually("its ranges are gone", func(ctx context.Context) (bool, error) {
		list, err := f.client.NetworkingV1().ServiceCIDRs().List(ctx, metav1.ListOptions{LabelSelector: f.label()})
		return err == nil && len(list.Items) == 0, err
	})
}

// defaultRange: "should support ServiceCIDR API operations".
func defaultRange(f *fixture) {
	ctx, client := f.Context(), f.client.NetworkingV1().ServiceCIDRs()
	found, err := client.Get(ctx, "kubernetes", metav1.GetOptions{})
	if err != nil || strings.Join(found.Spec.CIDRs, ",") != range4+","+range6 {
		f.Fatalf("found %+v, error %v", found, err)
	}
	f.awaitReady("kubernetes")
	status, err := f.dynamic.Resource(networkingv1.SchemeGroupVersion.WithResource("servicecidrs")).Get(ctx, "kubernetes", metav1.GetOptions{},
		"status")
	if err != nil || status.GetUID() != found.UID || status.GroupVersionKind() != networkingv1.SchemeGroupVersion.WithKind("ServiceCIDR") {
		f.Errorf("the status is of %+v, error %v", status, err)
	}
	list, err := client.List(ctx, metav1.ListOptions{FieldSelector: "metadata.name=kubernetes"})
	if err != nil || len(list.Items) != 1 {
		f.Errorf("listed %+v, error %v", list, err)
	}
	in := f.watching(client.Watch(ctx, metav1.ListOptions{FieldSelector: "metadata.name=kubernetes"}))
	f.next(in, watch.Added)
}

// rangeLifecycle creates, reads, changes and deletes a ServiceCIDR.
func rangeLifecycle(f *fixture) {
	ctx, client := f.Context(), f.client.NetworkingV1().ServiceCIDRs()
	mine := metav1.ListOptions{LabelSelector: f.label()}
	in := f.watching(client.Watch(ctx, mine))
	made := f.createRange(f.namespace, "172.20.0.0/28")
	if seen := f.next(in, watch.Added).(*networkingv1.ServiceCIDR); seen.UID != made.UID {
		f.Errorf("watched %+v", seen)
	}
	f.awaitReady(f.namespace)
	patched, err := client.Patch(ctx, f.namespace, types.MergePatchType, []byte(`{"metadata":{"annotations":{"patched":"true"}}}`),
		metav1.PatchOptions{})
	if err != nil || patched.Annotations["patched"] != "true" || !f.older(made, patched) {
		f.Errorf("patched to %+v, error %v", patched, err)
	}
	_, err = client.Patch(ctx, f.namespace, types.MergePatchType, []byte(`{"spec":{"cidrs":["172.21.0.0/28"]}}`), metav1.PatchOptions{})
	if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "spec.cidrs") {
		f.Errorf("another range: %v", err)
	}
	f.createRange(f.namespace+"-2", "172.22.0.0/28")
	f.ok("delete", client.Delete(ctx, f.namespace, metav1.DeleteOptions{}))
	f.ok("delete all", client.DeleteCollection(ctx, metav1.DeleteOptions{}, mine))
	f.awaitNoRanges()
}

// rangeStatus can be written by controllers.
func rangeStatus(f *fixture) {
	ctx, client := f.Context(), f.client.NetworkingV1().ServiceCIDRs()
	f.createRange(f.namespace, "172.24.0.0/28")
	f.awaitReady(f.namespace)
	patch := `{"metadata":{"annotations":{"patched":"true"}},"status":{"conditions":[{"type":"Example","status":"True","reason":"E2E","message":"from a test","lastTransitionTime":"2026-01-02T03:04:05Z"}]}}`
	patched, err := client.Patch(ctx, f.namespace, types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{}, "status")
	f.ok("patch the status", err)
	for _, condition := range patched.Status.Conditions {
		if condition.Type == "Example" && condition.Message == "from a test" {
			f.ok("delete", client.Delete(ctx, f.namespace, metav1.DeleteOptions{}))
			f.awaitNoRanges()
			return
		}
	}
	f.Errorf("patched to %+v", patched.Status)
}

// serviceInAnotherRange: "should create Services and serve on different Service
// CIDRs" (the API's part). A range that is in use is not deleted.
func serviceInAnotherRange(f *fixture) {
	ctx, client := f.Context(), f.client.NetworkingV1().ServiceCIDRs()
	const cidr, address = "172.23.0.0/28", "172.23.0.5"
	named := newService("web", func(svc *corev1.Service) { svc.Spec.ClusterIP = address })
	_, err := f.services().Create(ctx, named, metav1.CreateOptions{})
	if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "the provided network does not match the current range") {
		f.Errorf("an address of no range: %v", err)
	}
	f.createRange(f.namespace, cidr)
	f.awaitReady(f.namespace)
	f.eventually("a Service in the new range", func(ctx context.Context) (bool, error) {
		_, err := f.services().Create(ctx, named, metav1.CreateOptions{})
		if apierrors.IsInvalid(err) {
			return false, nil
		}
		return err == nil, err
	})
	held, err := f.client.NetworkingV1().IPAddresses().Get(ctx, address, metav1.GetOptions{})
	if err != nil || held.Spec.ParentRef.Name != "web" || held.Spec.ParentRef.Namespace != f.namespace ||
		held.Spec.ParentRef.Resource != "services" {
		f.Errorf("the address is %+v, error %v", held, err)
	}
	f.ok("delete the Service", f.services().Delete(ctx, "web", metav1.DeleteOptions{}))
	f.eventually("the address is free", func(ctx context.Context) (bool, error) {
		list, err := f.client.NetworkingV1().IPAddresses().List(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + address})
		return err == nil && len(list.Items) == 0, err
	})
	f.ok("delete", client.Delete(ctx, f.namespace, metav1.DeleteOptions{}))
	f.awaitNoRanges()
}

// rangeRules: names and networks must be valid and canonical.
func rangeRules(f *fixture) {
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
		cidr := &networkingv1.ServiceCIDR{ObjectMeta: metav1.ObjectMeta{Name: f.namespace}, Spec: networkingv1.ServiceCIDRSpec{CIDRs: cidrs}}
		_, err := f.client.NetworkingV1().ServiceCIDRs().Create(f.Context(), cidr, metav1.CreateOptions{})
		if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), want) {
			f.Errorf("%q: got %v, want %s", cidrs, err, want)
		}
	}
}

// addressRules: the name is the address, in its canonical form.
func addressRules(f *fixture) {
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
		_, err := f.client.NetworkingV1().IPAddresses().Create(f.Context(), address, metav1.CreateOptions{})
		if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), test.want) {
			f.Errorf("%s of %+v: got %v, want %s", test.name, test.parent, err, test.want)
		}
	}
	made, err := f.client.NetworkingV1().IPAddresses().Create(f.Context(), &networkingv1.IPAddress{
		ObjectMeta: metav1.ObjectMeta{Name: addressOf(f.namespace, 0)}, Spec: networkingv1.IPAddressSpec{ParentRef: parent},
	}, metav1.CreateOptions{})
	f.ok("create", err)
	made.Spec.ParentRef.Name = "b"
	_, err = f.client.NetworkingV1().IPAddresses().Update(f.Context(), made, metav1.UpdateOptions{})
	if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "spec.parentRef: Invalid value") ||
		!strings.Contains(err.Error(), "field is immutable") {
		f.Errorf("another parent: %v", err)
	}
	f.ok("delete", f.client.NetworkingV1().IPAddresses().Delete(f.Context(), made.Name, metav1.DeleteOptions{}))
}

// addressOfAService is an IPAddress as long as the Service exists.
func addressOfAService(f *fixture) {
	ctx, client := f.Context(), f.client.NetworkingV1().IPAddresses()
	made := f.createService(newService("web",
		func(svc *corev1.Service) { svc.Spec.IPFamilyPolicy = ptr.To(corev1.IPFamilyPolicyRequireDualStack) }))
	for i, family := range []string{"IPv4", "IPv6"} {
		held, err := client.Get(ctx, made.Spec.ClusterIPs[i], metav1.GetOptions{})
		f.ok("get", err)
		if held.Labels[networkingv1.LabelIPAddressFamily] != family || held.Labels[networkingv1.LabelManagedBy] != "ipallocator.k8s.io" ||
			held.Spec.ParentRef.Name != "web" {
			f.Errorf("%s is held as %+v", family, held)
		}
	}
	f.ok("delete", f.services().Delete(ctx, "web", metav1.DeleteOptions{}))
	for _, address := range made.Spec.ClusterIPs {
		f.eventually(address+" is free", func(ctx context.Context) (bool, error) {
			list, err := client.List(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + address})
			return err == nil && len(list.Items) == 0, err
		})
	}
}

// addressTaken: no Service gets the address of an IPAddress.
func addressTaken(f *fixture) {
	made := f.createService(newService("web"))
	second := newService("second", func(svc *corev1.Service) { svc.Spec.ClusterIP = made.Spec.ClusterIP })
	_, err := f.services().Create(f.Context(), second, metav1.CreateOptions{})
	if want := fmt.Sprintf("failed to allocate IP %s: provided IP is already allocated", made.Spec.ClusterIP); !apierrors.IsInvalid(err) ||
		!strings.Contains(err.Error(), want) {
		f.Errorf("got %v, want %s", err, want)
	}
	changed := made.DeepCopy()
	changed.Spec.ClusterIP, changed.Spec.ClusterIPs = "10.96.1.1", []string{"10.96.1.1"}
	_, err = f.services().Update(f.Context(), changed, metav1.UpdateOptions{})
	if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "may not change once set") {
		f.Errorf("another address: %v", err)
	}
}
