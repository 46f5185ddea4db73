package validation

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

func requirement(key string, operator metav1.LabelSelectorOperator, values ...string) metav1.LabelSelectorRequirement {
	return metav1.LabelSelectorRequirement{Key: key, Operator: operator, Values: values}
}

// checkRanges checks a policy in both kinds of ranges, on create and on update.
func checkRanges(t *testing.T, set func(*v1.ServiceCIDRSpec, *v1.NodePortRangeSpec), want []string) {
	t.Helper()
	cidr, ports := serviceCIDR("10.0.0.0/24"), portRange("80")
	old, oldPorts := cidr.DeepCopy(), ports.DeepCopy()
	set(&cidr.Spec, &ports.Spec)
	checkErrors(t, ValidateServiceCIDRCreate(cidr), want)
	checkErrors(t, ValidateServiceCIDRUpdate(cidr, old), want)
	checkErrors(t, ValidateNodePortRangeCreate(ports), want)
	checkErrors(t, ValidateNodePortRangeUpdate(ports, oldPorts), want)
}

func TestRangeSelectors(t *testing.T) {
	contradictory := func(path, selector, key string) []string {
		return []string{path + `: Invalid value: "` + selector + `": selects nothing: its requirements on ` + key + ` contradict each other`}
	}
	for name, test := range map[string]struct {
		selector metav1.LabelSelector
		want     func(path string) []string
	}{
		"empty":  {selector: metav1.LabelSelector{}},
		"labels": {selector: metav1.LabelSelector{MatchLabels: map[string]string{"team": "a"}}},
		"several values": {selector: metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
			requirement("team", metav1.LabelSelectorOpIn, "a", "b"), requirement("team", metav1.LabelSelectorOpNotIn, "a"),
		}}},
		"malformed": {
			selector: metav1.LabelSelector{MatchLabels: map[string]string{"team": "a b"}},
			want: func(path string) []string {
				return []string{path + `.matchLabels: Invalid value: "a b": a valid label must be an empty string or consist of alphanumeric ` +
					`characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or ` +
					`'12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')`}
			},
		},
		"without values": {
			selector: metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{requirement("team", metav1.LabelSelectorOpIn)}},
			want: func(path string) []string {
				return []string{path + ".matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'"}
			},
		},
		"no value is left": {
			selector: metav1.LabelSelector{MatchLabels: map[string]string{"team": "a"}, MatchExpressions: []metav1.LabelSelectorRequirement{
				requirement("team", metav1.LabelSelectorOpIn, "b", "c"),
			}},
			want: func(path string) []string { return contradictory(path, "team=a,team in (b,c)", "team") },
		},
		"all values are excluded": {
			selector: metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
				requirement("team", metav1.LabelSelectorOpIn, "a"), requirement("team", metav1.LabelSelectorOpNotIn, "b"),
				requirement("team", metav1.LabelSelectorOpNotIn, "a"),
			}},
			want: func(path string) []string {
				return contradictory(path, "team in (a),team notin (b),team notin (a)", "team")
			},
		},
		"present and absent": {
			selector: metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
				requirement("a", metav1.LabelSelectorOpExists), requirement("b", metav1.LabelSelectorOpExists),
				requirement("b", metav1.LabelSelectorOpDoesNotExist),
			}},
			want: func(path string) []string { return contradictory(path, "a,b,!b", "b") },
		},
	} {
		t.Run(name, func(t *testing.T) {
			want := func(path string) []string {
				if test.want == nil {
					return nil
				}
				return test.want(path)
			}
			checkRanges(t, func(cidr *v1.ServiceCIDRSpec, ports *v1.NodePortRangeSpec) {
				cidr.NamespaceSelector, ports.NamespaceSelector = &test.selector, &test.selector
			}, want("spec.namespaceSelector"))
			checkRanges(t, func(cidr *v1.ServiceCIDRSpec, ports *v1.NodePortRangeSpec) {
				cidr.ServiceSelector, ports.ServiceSelector = &test.selector, &test.selector
			}, want("spec.serviceSelector"))
		})
	}
}

func TestRangeEnums(t *testing.T) {
	for _, allocation := range []v1.RangeAllocation{v1.AllocationAutomatic, v1.AllocationOnRequest, v1.AllocationDisabled} {
		checkRanges(t, func(cidr *v1.ServiceCIDRSpec, ports *v1.NodePortRangeSpec) {
			cidr.Allocation, ports.Allocation = &allocation, &allocation
			cidr.Priority, ports.Priority = ptr.To[int32](-1), ptr.To[int32](-1)
			cidr.WhenFull, ports.WhenFull = ptr.To(v1.WhenFullFail), ptr.To(v1.WhenFullFallBack)
		}, nil)
	}
	checkRanges(t, func(cidr *v1.ServiceCIDRSpec, ports *v1.NodePortRangeSpec) {
		cidr.Allocation, ports.Allocation = ptr.To[v1.RangeAllocation](""), ptr.To[v1.RangeAllocation]("")
		cidr.WhenFull, ports.WhenFull = ptr.To[v1.RangeWhenFull]("fail"), ptr.To[v1.RangeWhenFull]("fail")
	}, []string{
		`spec.allocation: Unsupported value: "": supported values: "Automatic", "OnRequest", "Disabled"`,
		`spec.whenFull: Unsupported value: "fail": supported values: "Fail", "FallBack"`,
	})
}

func TestAutoAssign(t *testing.T) {
	for _, test := range []struct {
		autoAssign bool
		allocation *v1.RangeAllocation
		want       []string
	}{
		{false, nil, nil},
		{false, ptr.To(v1.AllocationOnRequest), nil},
		{false, ptr.To(v1.AllocationDisabled), nil},
		// True may be the default.
		{true, ptr.To(v1.AllocationOnRequest), nil},
		{true, ptr.To(v1.AllocationAutomatic), nil},
		{false, ptr.To(v1.AllocationAutomatic),
			[]string{`spec.allocation: Invalid value: "Automatic": may not be Automatic if autoAssign is false`}},
	} {
		ports := portRange("80")
		ports.Spec.AutoAssign, ports.Spec.Allocation = &test.autoAssign, test.allocation
		checkErrors(t, ValidateNodePortRangeCreate(ports), test.want)
	}
}
