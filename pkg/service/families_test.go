package service_test

import (
	"reflect"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/diff"
	"k8s.io/apimachinery/pkg/util/validation/field"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/service"
)

// settle applies the rules twice, as admission and the strategy do, and checks that the
// second time changes nothing.
func settle(t *testing.T, after, before *v1.Service, cluster []corev1.IPFamily) field.ErrorList {
	t.Helper()
	var stored *v1.Service
	if before != nil {
		stored = before.DeepCopy()
	}
	a, b := service.After{Service: after}, service.Before{Service: before}
	service.Inherit(a, b)
	errs := service.DefaultIPFamilies(a, b, cluster)
	if len(errs) == 0 {
		once := after.DeepCopy()
		service.Inherit(a, b)
		if again := service.DefaultIPFamilies(a, b, cluster); len(again) > 0 {
			t.Errorf("second run: %v", again)
		}
		if !apiequality.Semantic.DeepEqual(once, after) {
			t.Errorf("second run changed it: %s", diff.Diff(once, after))
		}
	}
	if !reflect.DeepEqual(stored, before) {
		t.Errorf("stored Service changed: %s", diff.Diff(stored, before))
	}
	return errs
}

type settled struct {
	name          string
	before, after *v1.Service
	cluster       []corev1.IPFamily
	policy        corev1.IPFamilyPolicy
	families      []corev1.IPFamily
	ips           []string
	open          []service.OpenClusterIP
}

func (tc *settled) run(t *testing.T) {
	if errs := settle(t, tc.after, tc.before, tc.cluster); len(errs) > 0 {
		t.Fatalf("unexpected errors: %v", errs)
	}
	spec := tc.after.Spec
	if spec.IPFamilyPolicy == nil || *spec.IPFamilyPolicy != tc.policy {
		t.Errorf("policy %v, want %v", spec.IPFamilyPolicy, tc.policy)
	}
	if !slices.Equal(spec.IPFamilies, tc.families) {
		t.Errorf("families %v, want %v", spec.IPFamilies, tc.families)
	}
	if !slices.Equal(spec.ClusterIPs, tc.ips) {
		t.Errorf("cluster IPs %v, want %v", spec.ClusterIPs, tc.ips)
	}
	if open := service.OpenClusterIPs(tc.after); !slices.Equal(open, tc.open) {
		t.Errorf("open %v, want %v", open, tc.open)
	}
}

func TestDefaultIPFamiliesOnCreate(t *testing.T) {
	open := func(families ...corev1.IPFamily) (out []service.OpenClusterIP) {
		for i, family := range families {
			out = append(out, service.OpenClusterIP{Index: i, Family: family})
		}
		return out
	}
	none := []string{"None"}
	for _, tc := range []settled{
		{name: "nothing set", after: newService(), cluster: dual, policy: single, families: onlyIPv4, open: open(ip4)},
		{name: "primary IPv6", after: newService(), cluster: dual6, policy: single, families: onlyIPv6, open: open(ip6)},
		{name: "dual", after: newService(clusterIP("None"), noSelector), cluster: dual, policy: require, families: dual, ips: none},
		{name: "single", after: newService(clusterIP("None"), noSelector), cluster: onlyIPv6, policy: require, families: dual6, ips: none},
		{name: "no ServiceCIDR", after: newService(clusterIP("None"), noSelector), policy: require, families: dual, ips: none},
		{name: "headless", after: newService(clusterIP("None")), cluster: dual, policy: single, families: onlyIPv4, ips: none},
		{name: "prefer", after: newService(clusterIP("None"), policy(prefer)), cluster: dual, policy: prefer, families: dual, ips: none},
		{name: "headless, other family", after: newService(clusterIP("None"), noSelector, families(ip6)), cluster: onlyIPv4, policy: require,
			families: dual6, ips: none},
		{name: "SingleStack", after: newService(clusterIP("None"), noSelector, families(ip6), policy(single)), cluster: onlyIPv4, policy: single,
			families: onlyIPv6, ips: none},
		{name: "dual", after: newService(policy(prefer)), cluster: dual, policy: prefer, families: dual, open: open(ip4, ip6)},
		{name: "single", after: newService(policy(prefer)), cluster: onlyIPv4, policy: prefer, families: onlyIPv4, open: open(ip4)},
		{name: "RequireDualStack", after: newService(policy(require)), cluster: dual, policy: require, families: dual, open: open(ip4, ip6)},
		{name: "IPv6 first", after: newService(policy(require), families(ip6)), cluster: dual, policy: require, families: dual6,
			open: open(ip6, ip4)},
		{name: "IPv6", after: newService(families(ip6)), cluster: dual, policy: single, families: onlyIPv6, open: open(ip6)},
		{name: "IPv6 by address", after: newService(clusterIP("fd00::1")), cluster: dual, policy: single, families: onlyIPv6,
			ips: []string{"fd00::1"}},
		{name: "two", after: newService(ips("fd00::1", "10.0.0.1"), policy(require)), cluster: dual, policy: require, families: dual6,
			ips: []string{"fd00::1", "10.0.0.1"}},
		{name: "one of two", after: newService(ips("fd00::1"), policy(prefer)), cluster: dual, policy: prefer, families: dual6,
			ips:  []string{"fd00::1"},
			open: []service.OpenClusterIP{{Index: 1, Family: ip4}}},
	} {
		t.Run(tc.name, tc.run)
	}
	t.Run("ExternalName gets none", func(t *testing.T) {
		s := newService(ofType(corev1.ServiceTypeExternalName))
		if errs := settle(t, s, nil, dual); len(errs) > 0 || s.Spec.IPFamilies != nil || s.Spec.IPFamilyPolicy != nil ||
			service.OpenClusterIPs(s) != nil {
			t.Errorf("got %v, %+v", errs, s.Spec)
		}
	})
}

func TestDefaultIPFamiliesOnUpdate(t *testing.T) {
	v4, both := []string{"10.0.0.1"}, []string{"10.0.0.1", "fd00::1"}
	one := newService(ips(v4...), families(ip4), policy(single))
	two := newService(ips(both...), families(dual...), policy(prefer))
	onePreferred := newService(ips(v4...), families(ip4), policy(prefer))
	headless := newService(ips("None"), families(ip4), policy(single))
	with := func(s *v1.Service, tweaks ...tweak) *v1.Service {
		s = s.DeepCopy()
		for _, t := range tweaks {
			t(s)
		}
		return s
	}
	second := []service.OpenClusterIP{{Index: 1, Family: ip6}}
	for _, tc := range []settled{
		{name: "no change", before: one, after: with(one), cluster: dual, policy: single, families: onlyIPv4, ips: v4},
		{name: "all left out", before: two, after: newService(), cluster: dual, policy: prefer, families: dual, ips: both},
		{name: "prefer", before: one, after: with(one, policy(prefer)), cluster: dual, policy: prefer, families: dual, ips: v4, open: second},
		{name: "require", before: one, after: with(one, policy(require)), cluster: dual, policy: require, families: dual, ips: v4, open: second},
		{name: "second given", before: one, after: with(one, policy(require), ips(both...)), cluster: dual, policy: require, families: dual,
			ips: both},
		{name: "lists untouched", before: two, after: with(two, policy(single)), cluster: dual, policy: single, families: onlyIPv4, ips: v4},
		{name: "lists left out", before: two, after: newService(policy(single)), cluster: dual, policy: single, families: onlyIPv4, ips: v4},
		{name: "lists of one", before: two, after: with(two, policy(single), ips(v4...), families(ip4)), cluster: dual, policy: single,
			families: onlyIPv4, ips: v4},
		{name: "families of one", before: two, after: with(two, policy(single), families(ip4)), cluster: dual, policy: single, families: onlyIPv4,
			ips: v4},
		{name: "headless", before: headless, after: with(headless, families(ip6)), cluster: dual, policy: single, families: onlyIPv6,
			ips: []string{"None"}},
		{name: "RequireDualStack from PreferDualStack", before: two, after: with(two, policy(require)), cluster: dual, policy: require,
			families: dual, ips: both},
		{
			name: "cluster is dual now", before: onePreferred, after: with(onePreferred), cluster: dual, policy: prefer, families: onlyIPv4, ips: v4,
		},
		{name: "cluster is single now", before: two, after: with(two), cluster: onlyIPv4, policy: prefer, families: dual, ips: both},
		{name: "policy left out", before: onePreferred, after: newService(ips(v4...), families(ip4)), cluster: dual, policy: prefer,
			families: onlyIPv4, ips: v4},
		{name: "from ExternalName", before: newService(ofType(corev1.ServiceTypeExternalName)), after: newService(), cluster: dual,
			policy: single, families: onlyIPv4,
			open: []service.OpenClusterIP{{Index: 0, Family: ip4}}},
		{name: "ExternalName to headless", before: newService(ofType(corev1.ServiceTypeExternalName)), after: newService(clusterIP("None")),
			cluster: dual, policy: single, families: onlyIPv4, ips: []string{"None"}},
	} {
		t.Run(tc.name, tc.run)
	}
}

func TestDefaultIPFamiliesErrors(t *testing.T) {
	two := newService(ips("10.0.0.1", "fd00::1"), families(dual...), policy(prefer))
	one := newService(ips("10.0.0.1"), families(ip4), policy(single))
	const several = "must be 'RequireDualStack' or 'PreferDualStack' when multiple "
	for name, tc := range map[string]struct {
		before, after *v1.Service
		cluster       []corev1.IPFamily
		want          []string
	}{
		"headless, other family": {nil, newService(clusterIP("None"), families(ip6)), onlyIPv4,
			[]string{`spec.ipFamilies[0]: Invalid value: "IPv6": not configured on this cluster`}},
		"RequireDualStack": {nil, newService(policy(require)), onlyIPv4,
			[]string{`spec.ipFamilyPolicy: Invalid value: "RequireDualStack": this cluster is not configured for dual-stack services`}},
		"two families": {nil, newService(families(dual...)), dual,
			[]string{`spec.ipFamilyPolicy: Invalid value: "SingleStack": ` + several + `IP families are specified`}},
		"two addresses": {nil, newService(ips("10.0.0.1", "fd00::1")), dual,
			[]string{`spec.ipFamilyPolicy: Invalid value: "SingleStack": ` + several + `cluster IPs are specified`}},
		"no family": {nil, newService(families("IPv5")), dual,
			[]string{`spec.ipFamilies[0]: Unsupported value: "IPv5": supported values: "IPv4", "IPv6"`}},
		"address of another family": {nil, newService(clusterIP("10.0.0.1"), families(ip6)), dual,
			[]string{"spec.clusterIPs[0]: Invalid value: \"10.0.0.1\": expected an IPv6 value as indicated by `ipFamilies[0]`"}},
		"unset": {nil, newService(clusterIP("fd00::1")), onlyIPv4,
			[]string{`spec.clusterIPs[0]: Invalid value: ["fd00::1"]: IPv6 is not configured on this cluster`}},
		"listed": {nil, newService(clusterIP("fd00::1"), families(ip6)), onlyIPv4,
			[]string{`spec.ipFamilies[0]: Invalid value: "IPv6": not configured on this cluster`}},
		"no ServiceCIDR": {nil, newService(), nil,
			[]string{`spec.ipFamilies[0]: Invalid value: "IPv4": not configured on this cluster`}},
		"one address dropped": {two, newService(ips("10.0.0.1"), families(ip4)), dual, []string{
			`spec.ipFamilyPolicy: Invalid value: "PreferDualStack": must be 'SingleStack' to release the secondary cluster IP`,
			`spec.ipFamilyPolicy: Invalid value: "PreferDualStack": must be 'SingleStack' to release the secondary IP family`}},
		"one family added": {one, newService(families(dual...)), dual,
			[]string{`spec.ipFamilyPolicy: Invalid value: "SingleStack": ` + several + `IP families are specified`}},
		"families swapped": {two, newService(families(dual6...)), dual, []string{
			"spec.clusterIPs[0]: Invalid value: \"10.0.0.1\": expected an IPv6 value as indicated by `ipFamilies[0]`",
			"spec.clusterIPs[1]: Invalid value: \"fd00::1\": expected an IPv4 value as indicated by `ipFamilies[1]`"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, err := range settle(t, tc.after, tc.before, tc.cluster) {
				got = append(got, err.Error())
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("got %q\nwant %q", got, tc.want)
			}
		})
	}
}
