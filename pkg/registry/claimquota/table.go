package claimquota

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/registry/generic"
)

// TableConvertor has the columns of the ClaimQuota table.
var TableConvertor = generic.NewTable(v1.Resource("claimquotas"), []metav1.TableColumnDefinition{
	generic.NameColumn(),
	{Name: "Used", Type: "string", Description: "What the Services of the namespace hold of what the quota limits, and the limit."},
	generic.AgeColumn(),
}, func(quota *v1.ClaimQuota) []any {
	return []any{quota.Name, usedCell(quota), generic.Age(quota.CreationTimestamp)}
})

// usedCell is like the cells of ResourceQuotas, for example "nodeports: 3/10".
func usedCell(quota *v1.ClaimQuota) string {
	var cells []string
	for _, key := range slices.Sorted(maps.Keys(quota.Spec.Hard)) {
		used := generic.Unknown
		if n, known := quota.Status.Used[key]; known {
			used = fmt.Sprint(n)
		}
		cells = append(cells, fmt.Sprintf("%s: %s/%d", key, used, quota.Spec.Hard[key]))
	}
	return strings.Join(cells, ", ")
}
