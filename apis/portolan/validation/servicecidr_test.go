package validation

import (
	"fmt"
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

func serviceCIDR(cidrs ...string) *v1.ServiceCIDR {
	return &v1.ServiceCIDR{ObjectMeta: metav1.ObjectMeta{Name: "extra", ResourceVersion: "1"}, Spec: v1.ServiceCIDRSpec{CIDRs: cidrs}}
}

const twoOfAFamily = `may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64`

// specialErrors returns the errors of one CIDR with addresses that no Service can have.
func specialErrors(index int, cidr string, ranges ...string) (want []string) {
	for _, text := range ranges {
		want = append(want, fmt.Sprintf("spec.cidrs[%d]: Invalid value: %q: must not overlap %s", index, cidr, text))
	}
	return want
}

func TestServiceCIDRCreate(t *testing.T) {
	for _, cidr := range []string{"128.0.0.0/2", "10.0.0.0/8", "10.0.0.0/31", "10.0.0.1/32", "2000::/3", "fd00::/8", "fd00::/48", "fd00::/112",
		"fd00::/127", "fd00::1/128"} {
		t.Run(cidr, func(t *testing.T) { checkErrors(t, ValidateServiceCIDRCreate(serviceCIDR(cidr)), nil) })
	}
	for name, test := range map[string]struct {
		cidrs, want []string
	}{
		"dual":     {cidrs: []string{"10.0.0.0/24", "fd00::/112"}},
		"v6 first": {cidrs: []string{"fd00::/112", "10.0.0.0/24"}},
		"none":     {nil, []string{`spec.cidrs: Required value: at least one CIDR required`}},
		"three":    {[]string{"a", "b", "c"}, []string{`spec.cidrs: Invalid value: {"CIDRs":["a","b","c"]}: may only hold up to 2 values`}},
		"one family": {
			[]string{"10.0.0.0/24", "10.1.0.0/24"}, []string{`spec.cidrs: Invalid value: ["10.0.0.0/24","10.1.0.0/24"]: ` + twoOfAFamily},
		},
		"no CIDR": {[]string{"10.0.0.0"},
			[]string{`spec.cidrs[0]: Invalid value: "10.0.0.0": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)`}},
		"two no CIDRs": {[]string{"a", "b"},
			[]string{`spec.cidrs[0]: Invalid value: "a": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)`,
				`spec.cidrs[1]: Invalid value: "b": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)`}},
		"host bits": {
			[]string{"10.0.0.1/24"}, []string{`spec.cidrs[0]: Invalid value: "10.0.0.1/24": must not have bits set beyond the prefix length`},
		},
		"leading zeros": {
			[]string{"010.0.0.0/24"}, []string{`spec.cidrs[0]: Invalid value: "010.0.0.0/24": must not have leading 0s in IP or prefix length`},
		},
		"mapped": {[]string{"::ffff:10.0.0.0/120"},
			[]string{`spec.cidrs[0]: Invalid value: "::ffff:10.0.0.0/120": must not have an IPv4-mapped IPv6 address`}},
		"everything": {[]string{"0.0.0.0/0", "::/0"}, slices.Concat(
			specialErrors(0, "0.0.0.0/0", "the unspecified address (0.0.0.0)", "the loopback range (127.0.0.0/8)",
				"the multicast range (224.0.0.0/4)"),
			specialErrors(1, "::/0", "the unspecified address (::)", "the loopback address (::1)", "the multicast range (ff00::/8)"))},
		"part of the loopback range": {[]string{"127.0.0.1/32", "::1/128"}, slices.Concat(
			specialErrors(0, "127.0.0.1/32", "the loopback range (127.0.0.0/8)"), specialErrors(1, "::1/128", "the loopback address (::1)"))},
		"not canonical": {
			[]string{"FD00::/112"}, []string{`spec.cidrs[0]: Invalid value: "FD00::/112": must be in canonical form ("fd00::/112")`},
		},
	} {
		t.Run(name, func(t *testing.T) { checkErrors(t, ValidateServiceCIDRCreate(serviceCIDR(test.cidrs...)), test.want) })
	}
	misnamed := serviceCIDR("10.0.0.0/24")
	misnamed.Name = "A_b"
	if errs := ValidateServiceCIDRCreate(misnamed); len(errs) != 1 || errs[0].Field != "metadata.name" {
		t.Errorf("bad name: %v", errs)
	}
}

func TestServiceCIDRUpdate(t *testing.T) {
	const immutable = "field is immutable"
	for name, test := range map[string]struct {
		cidrs, old, want []string
	}{
		"same":           {cidrs: []string{"10.0.0.0/24"}, old: []string{"10.0.0.0/24"}},
		"stored special": {cidrs: []string{"0.0.0.0/0", "fd00::/112"}, old: []string{"0.0.0.0/0"}},
		"special appended": {
			[]string{"10.0.0.0/24", "ff00::/64"}, []string{"10.0.0.0/24"}, specialErrors(1, "ff00::/64", "the multicast range (ff00::/8)"),
		},
		"stored invalid":  {cidrs: []string{"10.0.0.1/24"}, old: []string{"10.0.0.1/24"}},
		"second appended": {cidrs: []string{"10.0.0.0/24", "fd00::/112"}, old: []string{"10.0.0.0/24"}},
		"same family": {[]string{"10.0.0.0/24", "10.1.0.0/24"}, []string{"10.0.0.0/24"},
			[]string{`spec.cidrs: Invalid value: ["10.0.0.0/24","10.1.0.0/24"]: ` + twoOfAFamily}},
		"changed": {
			[]string{"10.1.0.0/24"}, []string{"10.0.0.0/24"}, []string{`spec.cidrs[0]: Invalid value: "10.1.0.0/24": ` + immutable},
		},
		"put in front": {
			[]string{"fd00::/112", "10.0.0.0/24"}, []string{"10.0.0.0/24"}, []string{`spec.cidrs[0]: Invalid value: "fd00::/112": ` + immutable},
		},
		"put in front, not canonical": {[]string{"fd00:0::/112", "10.0.0.0/24"}, []string{"10.0.0.0/24"},
			[]string{`spec.cidrs[0]: Invalid value: "fd00:0::/112": ` + immutable,
				`spec.cidrs[0]: Invalid value: "fd00:0::/112": must be in canonical form ("fd00::/112")`}},
		"swapped": {[]string{"fd00::/112", "10.0.0.0/24"}, []string{"10.0.0.0/24", "fd00::/112"},
			[]string{`spec.cidrs[0]: Invalid value: "fd00::/112": ` + immutable, `spec.cidrs[1]: Invalid value: "10.0.0.0/24": ` + immutable}},
		"second taken off": {
			[]string{"10.0.0.0/24"}, []string{"10.0.0.0/24", "fd00::/112"}, []string{`spec.cidrs: Invalid value: ["10.0.0.0/24"]: ` + immutable},
		},
		"emptied": {nil, []string{"10.0.0.0/24"}, []string{`spec.cidrs: Invalid value: null: ` + immutable}},
	} {
		t.Run(name, func(t *testing.T) {
			checkErrors(t, ValidateServiceCIDRUpdate(serviceCIDR(test.cidrs...), serviceCIDR(test.old...)), test.want)
		})
	}
}

func TestServiceCIDRStatusUpdate(t *testing.T) {
	odd := serviceCIDR("10.0.0.0/24")
	odd.Status.Conditions = []metav1.Condition{{Type: "a b", Status: "Foo"}}
	if errs := ValidateServiceCIDRStatusUpdate(odd, serviceCIDR("10.0.0.0/24")); len(errs) == 0 ||
		errs[0].Field != "status.conditions[0].type" {
		t.Errorf("a condition of no type: %v", errs)
	}
	checkErrors(t, ValidateServiceCIDRStatusUpdate(odd, odd), nil)
}
