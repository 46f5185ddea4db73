package validation

import (
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

func TestClaimQuota(t *testing.T) {
	t.Parallel()
	many := map[string]int64{}
	for i := range maxLimits + 1 {
		many[fmt.Sprintf("nodeports/range-%d", i)] = 1
	}
	for name, test := range map[string]struct {
		hard map[string]int64
		want []string
	}{
		"all totals":       {map[string]int64{"clusterips.ipv4": 1, "clusterips.ipv6": 0, "nodeports": 9, "loadbalancerips": 2}, nil},
		"ranges":           {map[string]int64{"nodeports/public": 1, "clusterips.ipv4/team.a": 3}, nil},
		"none":             {nil, []string{"spec.hard: Required"}},
		"negative":         {map[string]int64{"nodeports": -1}, []string{"spec.hard[nodeports]: Invalid value: -1"}},
		"unknown":          {map[string]int64{"pods": 1}, []string{`spec.hard[pods]: Unsupported value: "pods"`}},
		"no range":         {map[string]int64{"nodeports/": 1}, []string{"spec.hard[nodeports/]: Invalid value"}},
		"no name":          {map[string]int64{"nodeports/A/b": 1}, []string{"spec.hard[nodeports/A/b]: Invalid value"}},
		"several mistakes": {map[string]int64{"": -2}, []string{`spec.hard[]: Unsupported value: ""`, "spec.hard[]: Invalid value: -2"}},
		"too many":         {many, []string{"spec.hard: Too many: 17: must have at most 16 items"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			quota := &v1.ClaimQuota{ObjectMeta: metav1.ObjectMeta{Name: "team", Namespace: "shop"}, Spec: v1.ClaimQuotaSpec{Hard: test.hard}}
			errs := ValidateClaimQuotaCreate(quota)
			for i, want := range test.want {
				if len(errs) != len(test.want) || !strings.HasPrefix(errs[i].Error(), want) {
					t.Fatalf("got %v, want %q", errs, test.want)
				}
			}
			if len(errs) != len(test.want) {
				t.Errorf("got %v", errs)
			}
			old := quota.DeepCopy()
			quota.ResourceVersion, old.ResourceVersion = "1", "1"
			if again := ValidateClaimQuotaUpdate(quota, old); len(again) != len(errs) {
				t.Errorf("an update: got %v", again)
			}
		})
	}
}
