package validation

import (
	"strconv"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

func portRange(ports ...string) *v1.NodePortRange {
	return &v1.NodePortRange{ObjectMeta: metav1.ObjectMeta{Name: "low", ResourceVersion: "1"}, Spec: v1.NodePortRangeSpec{Ports: ports}}
}

func TestNodePortRange(t *testing.T) {
	for name, test := range map[string]struct {
		ports, want []string
	}{
		"one":      {ports: []string{"443"}},
		"mixed":    {ports: []string{"30000-32767", "80", "443"}},
		"adjacent": {ports: []string{"80-89", "90-99"}},
		"none":     {nil, []string{`spec.ports: Required value: at least one port or range of ports is required`}},
		"malformed": {[]string{"80", "http"},
			[]string{`spec.ports[1]: Invalid value: "http": must be a port, such as "443", or a range of ports, such as "30000-32767"`}},
		"out of bounds": {[]string{"0-70000"}, []string{`spec.ports[0]: Invalid value: "0-70000": must be between 1 and 65535, inclusive`}},
		"upside down":   {[]string{"90-80"}, []string{`spec.ports[0]: Invalid value: "90-80": the first port must not be above the last`}},
		"twice":         {[]string{"80", "443", "80"}, []string{`spec.ports[2]: Duplicate value: "80"`}},
		"twice, spelt":  {[]string{"80-80", "80"}, []string{`spec.ports[1]: Duplicate value: "80"`}},
		"overlap":       {[]string{"80-90", "90-99"}, []string{`spec.ports[1]: Invalid value: "90-99": must not overlap "80-90"`}},
		"overlap below": {[]string{"90-99", "80-90"}, []string{`spec.ports[1]: Invalid value: "80-90": must not overlap "90-99"`}},
		"within": {[]string{"1-100", "5", "50-60"},
			[]string{`spec.ports[1]: Invalid value: "5": must not overlap "1-100"`,
				`spec.ports[2]: Invalid value: "50-60": must not overlap "1-100"`}},
	} {
		t.Run(name, func(t *testing.T) {
			checkErrors(t, ValidateNodePortRangeCreate(portRange(test.ports...)), test.want)
			checkErrors(t, ValidateNodePortRangeUpdate(portRange(test.ports...), portRange("1000")), test.want)
		})
	}
}

func TestNodePortRangeStaticBand(t *testing.T) {
	band := portRange("443")
	band.Spec.StaticBand = ptr.To[int32](0)
	checkErrors(t, ValidateNodePortRangeCreate(band), nil)
	band.Spec.StaticBand = ptr.To[int32](-1)
	checkErrors(t, ValidateNodePortRangeCreate(band), []string{`spec.staticBand: Invalid value: -1: must be greater than or equal to 0`})
}

func TestNodePortRangeOfEveryPort(t *testing.T) {
	var ports []string
	for port := 65535; port > 0; port-- {
		ports = append(ports, strconv.Itoa(port))
	}
	checkErrors(t, ValidateNodePortRangeCreate(portRange(ports...)), nil)
}

func TestNodePortRangeStatusUpdate(t *testing.T) {
	odd := portRange("443")
	odd.Status.Conditions = []metav1.Condition{{Type: "a b", Status: "Foo"}}
	checkErrors(t, ValidateNodePortRangeStatusUpdate(odd, odd.DeepCopy()), nil)
	if errs := ValidateNodePortRangeStatusUpdate(odd, portRange("443")); len(errs) == 0 {
		t.Error("an odd condition was accepted")
	}
}
