package validation

import (
	"fmt"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

func pool(spec v1.LoadBalancerPoolSpec) *v1.LoadBalancerPool {
	return &v1.LoadBalancerPool{ObjectMeta: metav1.ObjectMeta{Name: "public", ResourceVersion: "1"}, Spec: spec}
}

func many(format string, n int) []string {
	var texts []string
	for i := range n {
		texts = append(texts, fmt.Sprintf(format, i/256, i%256))
	}
	return texts
}

// poolTest is a pool and the errors of its validation.
type poolTest struct {
	spec v1.LoadBalancerPoolSpec
	want []string
}

func checkPools(t *testing.T, tests map[string]poolTest) {
	t.Helper()
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			checkErrors(t, ValidateLoadBalancerPoolCreate(pool(test.spec)), test.want)
			stored := pool(v1.LoadBalancerPoolSpec{CIDRs: []string{"198.51.100.0/24"}})
			checkErrors(t, ValidateLoadBalancerPoolUpdate(pool(test.spec), stored), test.want)
		})
	}
}

func TestLoadBalancerPool(t *testing.T) {
	const (
		aCIDR      = `must be a CIDR in canonical form, such as "192.0.2.0/24" or "2001:db8::/64"`
		aPair      = `must be two addresses, such as "192.0.2.10-192.0.2.99"`
		anyAddress = `must be made of IP addresses in canonical form, such as "192.0.2.10-192.0.2.99" or "2001:db8::10"`
	)
	checkPools(t, map[string]poolTest{
		"CIDR":  {spec: v1.LoadBalancerPoolSpec{CIDRs: []string{"192.0.2.0/24"}}},
		"range": {spec: v1.LoadBalancerPoolSpec{Ranges: []string{"192.0.2.10-192.0.2.99"}}},
		"one":   {spec: v1.LoadBalancerPoolSpec{CIDRs: []string{"192.0.2.7/32"}, Ranges: []string{"192.0.2.8-192.0.2.8"}}},
		"families": {spec: v1.LoadBalancerPoolSpec{CIDRs: []string{"192.0.2.0/24", "2001:db8::/64"},
			Ranges: []string{"2001:db8:1::1-2001:db8:1::f"}}},
		"everything": {spec: v1.LoadBalancerPoolSpec{
			CIDRs: []string{"192.0.2.0/24"}, Exclude: []string{"192.0.2.0/28", "192.0.2.20-192.0.2.29", "192.0.2.99"}, AvoidBuggyIPs: ptr.To(true),
			NamespaceSelector: &metav1.LabelSelector{}, ServiceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"a": "b"}},
			Priority: ptr.To[int32](-1), Allocation: ptr.To(v1.AllocationOnRequest), WhenFull: ptr.To(v1.WhenFullFail),
			LoadBalancerClass: ptr.To("example.com/lb"), Sharing: ptr.To(v1.SharingAcrossNamespaces),
		}},
		"nothing": {v1.LoadBalancerPoolSpec{}, []string{`spec.cidrs: Required value: at least one CIDR, or one entry in ranges, is required`}},
		"malformed": {v1.LoadBalancerPoolSpec{
			CIDRs: []string{"192.0.2.1/24", "192.0.2.1", "2001:DB8::/64", ""}, Ranges: []string{"192.0.2.0/24", "a-b", "192.0.2.9-192.0.2.1",
				"192.0.2.9-::1"},
			Exclude: []string{"x", "192.0.2.1/24"},
		}, []string{
			`spec.cidrs[0]: Invalid value: "192.0.2.1/24": ` + aCIDR, `spec.cidrs[1]: Invalid value: "192.0.2.1": ` + aCIDR,
			`spec.cidrs[2]: Invalid value: "2001:DB8::/64": ` + aCIDR, `spec.cidrs[3]: Invalid value: "": ` + aCIDR,
			`spec.ranges[0]: Invalid value: "192.0.2.0/24": ` + aPair, `spec.ranges[1]: Invalid value: "a-b": ` + anyAddress,
			`spec.ranges[2]: Invalid value: "192.0.2.9-192.0.2.1": the first address must not be above the last`,
			`spec.ranges[3]: Invalid value: "192.0.2.9-::1": both addresses must be of the same IP family`,
			`spec.exclude[0]: Invalid value: "x": ` + anyAddress, `spec.exclude[1]: Invalid value: "192.0.2.1/24": ` + aCIDR,
		}},
		"overlap": {v1.LoadBalancerPoolSpec{
			CIDRs: []string{"192.0.2.0/24", "192.0.2.0/25", "192.0.2.0/24"}, Ranges: []string{"192.0.2.200-192.0.3.1", "2001:db8::1-2001:db8::2"},
		}, []string{
			`spec.cidrs[1]: Invalid value: "192.0.2.0/25": must not overlap "192.0.2.0/24"`, `spec.cidrs[2]: Duplicate value: "192.0.2.0/24"`,
			`spec.ranges[0]: Invalid value: "192.0.2.200-192.0.3.1": must not overlap "192.0.2.0/24"`,
		}},
		"special": {v1.LoadBalancerPoolSpec{CIDRs: []string{"127.0.0.0/24", "ff02::/64"}, Ranges: []string{"223.255.255.250-224.0.0.5",
			"::2-::1:0:0:0"}}, []string{
			`spec.cidrs[0]: Invalid value: "127.0.0.0/24": must not overlap the loopback range (127.0.0.0/8)`,
			`spec.cidrs[1]: Invalid value: "ff02::/64": must not overlap the multicast range (ff00::/8)`,
			`spec.ranges[0]: Invalid value: "223.255.255.250-224.0.0.5": must not overlap the multicast range (224.0.0.0/4)`,
			`spec.ranges[1]: Invalid value: "::2-::1:0:0:0": must not overlap the block of IPv4-mapped addresses (::ffff:0:0/96)`,
		}},
	})
}

func TestLoadBalancerPoolLimits(t *testing.T) {
	checkPools(t, map[string]poolTest{
		"exclusions": {v1.LoadBalancerPoolSpec{CIDRs: []string{"192.0.2.0/30"}, Exclude: []string{"192.0.2.4", "192.0.2.1", "192.0.2.0/31"}},
			[]string{
				`spec.exclude[1]: Invalid value: "192.0.2.1": must not overlap "192.0.2.0/31"`,
			}},
		"exclusion beside": {v1.LoadBalancerPoolSpec{CIDRs: []string{"192.0.2.0/30"}, Exclude: []string{"192.0.2.4"}}, []string{
			`spec.exclude[0]: Invalid value: "192.0.2.4": excludes no address of the pool`,
		}},
		"everything excluded": {v1.LoadBalancerPoolSpec{CIDRs: []string{"192.0.2.0/30"}, Exclude: []string{"192.0.0.0/16"}}, []string{
			`spec.exclude: Invalid value: ["192.0.0.0/16"]: leaves no address in the pool`,
		}},
		"only buggy": {v1.LoadBalancerPoolSpec{CIDRs: []string{"192.0.2.0/32"}, AvoidBuggyIPs: ptr.To(true)}, []string{
			`spec.avoidBuggyIPs: Invalid value: true: leaves no address in the pool`,
		}},
		"largest that avoids": {spec: v1.LoadBalancerPoolSpec{CIDRs: []string{"10.0.0.0/16", "2001:db8::/32"}, AvoidBuggyIPs: ptr.To(true)}},
		"too large to avoid": {v1.LoadBalancerPoolSpec{CIDRs: []string{"0.0.0.0/1", "10.0.0.0/16"}, AvoidBuggyIPs: ptr.To(true)}, []string{
			`spec.cidrs[0]: Invalid value: "0.0.0.0/1": must not overlap the unspecified address (0.0.0.0)`,
			`spec.cidrs[0]: Invalid value: "0.0.0.0/1": must not overlap the loopback range (127.0.0.0/8)`,
			`spec.cidrs[1]: Invalid value: "10.0.0.0/16": must not overlap "0.0.0.0/1"`,
		}},
		"just too large to avoid": {v1.LoadBalancerPoolSpec{CIDRs: []string{"10.0.0.0/16", "10.1.0.0/32"}, AvoidBuggyIPs: ptr.To(true)}, []string{
			`spec.avoidBuggyIPs: Invalid value: true: may only be used for at most 65536 IPv4 addresses; the pool has 65537`,
		}},
		"as many as there may be": {spec: v1.LoadBalancerPoolSpec{CIDRs: many("10.%d.%d.0/24", 256)}},
		"too many": {v1.LoadBalancerPoolSpec{CIDRs: many("10.%d.%d.0/24", 257), Exclude: many("10.%d.0.%d", 257)}, []string{
			`spec.cidrs: Too many: 257: must have at most 256 items`, `spec.exclude: Too many: 257: must have at most 256 items`,
		}},
		"enums": {v1.LoadBalancerPoolSpec{
			CIDRs: []string{"192.0.2.0/24"}, Allocation: ptr.To[v1.RangeAllocation]("x"), WhenFull: ptr.To[v1.RangeWhenFull](""),
			Sharing: ptr.To[v1.PoolSharing]("Always"), LoadBalancerClass: ptr.To("a b"),
			ServiceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"a": "b"}, MatchExpressions: []metav1.LabelSelectorRequirement{
				{Key: "a", Operator: metav1.LabelSelectorOpDoesNotExist}}},
		}, []string{
			`spec.serviceSelector: Invalid value: "a=b,!a": selects nothing: its requirements on a contradict each other`,
			`spec.allocation: Unsupported value: "x": supported values: "Automatic", "OnRequest", "Disabled"`,
			`spec.whenFull: Unsupported value: "": supported values: "Fail", "FallBack"`,
			`spec.loadBalancerClass: Invalid value: "a b": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')`,
			`spec.sharing: Unsupported value: "Always": supported values: "SameNamespace", "AcrossNamespaces"`,
		}},
	})
}

func TestLoadBalancerPoolStatusUpdate(t *testing.T) {
	odd := pool(v1.LoadBalancerPoolSpec{CIDRs: []string{"192.0.2.0/24"}})
	odd.Status.Conditions = []metav1.Condition{{Type: "a b", Status: "Foo"}}
	checkErrors(t, ValidateLoadBalancerPoolStatusUpdate(odd, odd.DeepCopy()), nil)
	if errs := ValidateLoadBalancerPoolStatusUpdate(odd, pool(odd.Spec)); len(errs) == 0 {
		t.Error("an odd condition was accepted")
	}
}
