package verify

import (
	"maps"
	"slices"
	"strings"
	"testing"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

func TestCheckPermits(t *testing.T) {
	t.Parallel()
	const limit = "claimpermits/default/team/clusterips.ipv4/"
	sound := map[string]string{limit + "permits/7": "ipaddresses/10.96.0.5", limit + "values/ipaddresses/10.96.0.5": "7"}
	with := func(changes map[string]string) map[string]string {
		changed := maps.Clone(sound)
		maps.Copy(changed, changes)
		return changed
	}
	limits := map[string]map[string]map[string]int64{"default": {"team": {"clusterips.ipv4": 3}}}
	for name, test := range map[string]struct {
		permits map[string]string
		limits  map[string]map[string]map[string]int64
		want    []string
		// repairs are the keys that are deleted.
		repairs []string
	}{
		"sound":  {sound, limits, nil, nil},
		"none":   {nil, limits, nil, nil},
		"unread": {nil, nil, nil, nil},
		"a value that nobody holds": {
			with(map[string]string{limit + "permits/8": "ipaddresses/10.96.0.6", limit + "values/ipaddresses/10.96.0.6": "8"}), limits,
			[]string{limit + "values/ipaddresses/10.96.0.6 is a permit of a value that no Service of the namespace holds"},
			[]string{limit + "permits/8", limit + "values/ipaddresses/10.96.0.6"},
		},
		"a permit without a value": {
			with(map[string]string{limit + "permits/8": "ipaddresses/10.96.0.5"}), limits,
			[]string{limit + "permits/8 and the key of ipaddresses/10.96.0.5 do not name each other"}, []string{limit + "permits/8"},
		},
		"a limit that is gone": {
			map[string]string{"claimpermits/default/old/nodeports:games/permits/1": "nodeports/30000"}, limits,
			[]string{"claimpermits/default/old/nodeports:games/permits/1 is a permit of a limit that does not exist"},
			[]string{"claimpermits/default/old/nodeports:games/permits/1"},
		},
		"a quota that is not enforced": {
			nil, map[string]map[string]map[string]int64{},
			[]string{"claimquotas/default/team is not enforced: claimlimits/default has other limits"}, nil,
		},
		"limits of no quota": {
			nil, map[string]map[string]map[string]int64{"default": {"team": {"clusterips.ipv4": 3}, "x": {"nodeports": 1}}},
			[]string{"claimlimits/default has limits of x, which is no ClaimQuota"}, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			web := newService("web", "10.96.0.5")
			quota := v1.ClaimQuota{Spec: v1.ClaimQuotaSpec{Hard: map[string]int64{"clusterips.ipv4": 3}}}
			quota.Name, quota.Namespace = "team", "default"
			contents := Contents{
				Services: []v1.Service{web}, IPAddresses: []v1.IPAddress{newAddress("10.96.0.5", heldBy("web"))},
				ServiceCIDRs: []v1.ServiceCIDR{{Spec: v1.ServiceCIDRSpec{CIDRs: []string{"10.96.0.0/16"}}}},
				ClaimQuotas:  []v1.ClaimQuota{quota}, Limits: test.limits, Permits: map[string]Permit{},
			}
			for key, value := range test.permits {
				contents.Permits[key] = Permit{Value: value, Version: "1"}
			}
			report := Check(contents)
			if !slices.Equal(report.Violations, append([]string{}, test.want...)) {
				t.Errorf("got %q", report.Violations)
			}
			plan := MakePlan(contents)
			var deleted []string
			for _, repair := range plan.Repairs {
				deleted = append(deleted, repair.key)
				if repair.claim != nil || !strings.HasPrefix(repair.Text, "delete "+repair.key) {
					t.Errorf("planned %+v", repair)
				}
			}
			if !slices.Equal(deleted, test.repairs) {
				t.Errorf("planned to delete %q", deleted)
			}
		})
	}
}
