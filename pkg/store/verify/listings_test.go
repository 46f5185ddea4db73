package verify

import (
	"slices"
	"testing"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

func TestCheckListings(t *testing.T) {
	reserved := func(name, service string) v1.IPAddress {
		address := v1.IPAddress{Spec: v1.IPAddressSpec{ParentRef: &v1.ParentReference{Resource: "services", Namespace: "default", Name: service}}}
		address.Name = name
		return address
	}
	for name, test := range map[string]struct {
		listings map[string][]string
		want     []string
	}{
		"not read": {nil, []string{}},
		"as it is": {map[string][]string{"default/web": {"ipaddresses/10.0.0.5"}}, []string{}},
		"not listed": {map[string][]string{}, []string{
			"ipaddresses/10.0.0.5 is reserved for services/default/web and not listed in reservedfor",
		}},
		"of another, and gone": {map[string][]string{
			"default/web": {"ipaddresses/10.0.0.5", "nodeports/80"}, "default/api": {"ipaddresses/10.0.0.5"},
		}, []string{
			"reservedfor/default/api lists ipaddresses/10.0.0.5, which is not reserved for that Service",
			"reservedfor/default/web lists nodeports/80, which is not reserved for that Service",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			report := Check(Contents{IPAddresses: []v1.IPAddress{reserved("10.0.0.5", "web")}, Listings: test.listings})
			if !slices.Equal(report.Warnings, test.want) || len(report.Violations) > 0 {
				t.Errorf("got %q, violations %q", report.Warnings, report.Violations)
			}
		})
	}
}
