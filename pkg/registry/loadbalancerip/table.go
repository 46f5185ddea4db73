package loadbalancerip

import (
	"cmp"
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/registry/claim"
	"github.com/portolan-dev/portolan/pkg/registry/generic"
)

// TableConvertor has the columns of the LoadBalancerIP table.
var TableConvertor = generic.NewTable(v1.Resource("loadbalancerips"), []metav1.TableColumnDefinition{
	generic.NameColumn(),
	{Name: "Holders", Type: "string", Description: "The Services that hold the address, or the object that it is reserved for."},
	{Name: "Ports", Type: "string", Description: "The ports that the holders serve on the address."},
	{Name: "Sharing-Key", Type: "string", Description: "The key that the holders have in common."},
	{Name: "Expires", Type: "string", Description: "The time until the reservation ends."},
	generic.AgeColumn(),
}, func(address *v1.LoadBalancerIP) []any {
	return []any{
		address.Name, holdersCell(&address.Spec), portsCell(address.Spec.Holders), cmp.Or(address.Spec.SharingKey, generic.None),
		expiresCell(&address.Spec), generic.Age(address.CreationTimestamp),
	}
})

func holdersCell(spec *v1.LoadBalancerIPSpec) string {
	var cells []string
	for _, holder := range spec.Holders {
		cells = append(cells, holder.Namespace+"/"+holder.Name)
	}
	if len(cells) == 0 && spec.ParentRef != nil {
		cells = append(cells, spec.ParentRef.Holder())
	}
	return cmp.Or(strings.Join(cells, ","), generic.None)
}

func expiresCell(spec *v1.LoadBalancerIPSpec) any {
	if len(spec.Holders) > 0 {
		return generic.None
	}
	return claim.ExpiresCell(spec.ExpirationTimestamp)
}

// portsCell shows ports as the table of Services does.
func portsCell(holders []v1.LoadBalancerIPHolder) string {
	var cells []string
	for _, holder := range holders {
		for _, port := range holder.Ports {
			cells = append(cells, fmt.Sprintf("%d/%s", port.Port, port.Protocol))
		}
	}
	return cmp.Or(strings.Join(cells, ","), generic.None)
}
