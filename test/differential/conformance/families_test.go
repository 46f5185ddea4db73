package conformance

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// families returns a Service with a policy and families.
func families(policy *corev1.IPFamilyPolicy, list ...corev1.IPFamily) func(*corev1.Service) {
	return func(svc *corev1.Service) { svc.Spec.IPFamilyPolicy, svc.Spec.IPFamilies = policy, list }
}

var (
	singleStack = ptr.To(corev1.IPFamilyPolicySingleStack)
	preferDual  = ptr.To(corev1.IPFamilyPolicyPreferDualStack)
	requireDual = ptr.To(corev1.IPFamilyPolicyRequireDualStack)
)

// expectFamilies wants a Service to have the families, with an address of each.
func (f *fixture) expectFamilies(svc *corev1.Service, want ...corev1.IPFamily) {
	f.Helper()
	if len(svc.Spec.IPFamilies) != len(want) || len(svc.Spec.ClusterIPs) != len(want) || svc.Spec.ClusterIP != svc.Spec.ClusterIPs[0] {
		f.Errorf("%s: its families are %v, its addresses %v, want %v", svc.Name, svc.Spec.IPFamilies, svc.Spec.ClusterIPs, want)
		return
	}
	for i, family := range want {
		if six := strings.Contains(svc.Spec.ClusterIPs[i], ":"); svc.Spec.IPFamilies[i] != family || six != (family == corev1.IPv6Protocol) {
			f.Errorf("%s: its families are %v, its addresses %v, want %v", svc.Name, svc.Spec.IPFamilies, svc.Spec.ClusterIPs, want)
		}
	}
}

// oneFamily: "should create a single stack service with cluster ip from primary
// service range", "should create service with ipv4 cluster ip" and "... ipv6".
func oneFamily(f *fixture) {
	f.expectFamilies(f.createService(newService("default")), corev1.IPv4Protocol)
	f.expectFamilies(f.createService(newService("single", families(singleStack))), corev1.IPv4Protocol)
	f.expectFamilies(f.createService(newService("four", families(nil, corev1.IPv4Protocol))), corev1.IPv4Protocol)
	f.expectFamilies(f.createService(newService("six", families(nil, corev1.IPv6Protocol))), corev1.IPv6Protocol)
}

// twoFamilies: "should create service with ipv4,v6 cluster ip" and "... ipv6,v4",
// and from one to two and back.
func twoFamilies(f *fixture) {
	four, six := corev1.IPv4Protocol, corev1.IPv6Protocol
	f.expectFamilies(f.createService(newService("required", families(requireDual, four, six))), four, six)
	f.expectFamilies(f.createService(newService("reversed", families(requireDual, six, four))), six, four)
	f.expectFamilies(f.createService(newService("preferred", families(preferDual))), four, six)
	f.expectFamilies(f.createService(newService("completed", families(requireDual, six))), six, four)
	f.createService(newService("web"))
	f.expectFamilies(f.updateService("web", func(svc *corev1.Service) { svc.Spec.IPFamilyPolicy = preferDual }), four, six)
	f.expectFamilies(f.updateService("web", func(svc *corev1.Service) { svc.Spec.IPFamilyPolicy = singleStack }), four)
	headless := f.createService(newService("headless", families(requireDual),
		func(svc *corev1.Service) { svc.Spec.ClusterIP = corev1.ClusterIPNone }))
	if len(headless.Spec.IPFamilies) != 2 || strings.Join(headless.Spec.ClusterIPs, " ") != corev1.ClusterIPNone {
		f.Errorf("headless it is %+v", headless.Spec)
	}
}

// noFamilies: invalid families are rejected with the reason.
func noFamilies(f *fixture) {
	for want, change := range map[string]func(*corev1.Service){
		"spec.ipFamilyPolicy: Invalid value: \"SingleStack\": must be 'RequireDualStack' or 'PreferDualStack' when multiple IP families are specified": families(singleStack, corev1.IPv4Protocol, corev1.IPv6Protocol),
		"spec.ipFamilies[1]: Duplicate value: \"IPv4\"": families(requireDual, corev1.IPv4Protocol,
			corev1.IPv4Protocol),
		"spec.ipFamilies[0]: Unsupported value: \"IPv5\": supported values: \"IPv4\", \"IPv6\"": families(nil, "IPv5"),
		"spec.clusterIPs[0]: Invalid value: \"fd00:10:96::77\": expected an IPv4 value as indicated by `ipFamilies[0]`": func(svc *corev1.Service) {
			svc.Spec.ClusterIP, svc.Spec.IPFamilies = "fd00:10:96::77", []corev1.IPFamily{corev1.IPv4Protocol}
		},
	} {
		_, err := f.services().Create(f.Context(), newService("web", change), metav1.CreateOptions{})
		if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), want) {
			f.Errorf("got %v, want %s", err, want)
		}
	}
	made := f.createService(newService("made"))
	made.Spec.IPFamilies = []corev1.IPFamily{corev1.IPv6Protocol}
	_, err := f.services().Update(f.Context(), made, metav1.UpdateOptions{})
	if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "expected an IPv6 value as indicated by `ipFamilies[0]`") {
		f.Errorf("another first family: %v", err)
	}
}
