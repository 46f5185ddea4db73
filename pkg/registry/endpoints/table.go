package endpoints

import (
	"fmt"
	"net"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/registry/generic"
)

// TableConvertor has the columns of upstream's Endpoints table
// (pkg/printers/internalversion).
var TableConvertor = generic.NewTable(v1.Resource("endpoints"), []metav1.TableColumnDefinition{
	generic.NameColumn(),
	{Name: "Endpoints", Type: "string", Description: corev1.Endpoints{}.SwaggerDoc()["subsets"]},
	generic.AgeColumn(),
}, func(endpoints *v1.Endpoints) []any {
	return []any{endpoints.Name, ready(endpoints.Subsets), generic.Age(endpoints.CreationTimestamp)}
})

const maxShown = 3

// ready lists the ready addresses, each with every port of its subset. After the first
// three it shows the number of the rest.
func ready(subsets []corev1.EndpointSubset) string {
	if len(subsets) == 0 {
		return generic.None
	}
	var shown []string
	total := 0
	show := func(addresses []corev1.EndpointAddress, format func(ip string) string) {
		total += len(addresses)
		for i := 0; i < len(addresses) && len(shown) < maxShown; i++ {
			shown = append(shown, format(addresses[i].IP))
		}
	}
	for _, subset := range subsets {
		if len(subset.Ports) == 0 {
			show(subset.Addresses, func(ip string) string { return ip })
		}
		for _, port := range subset.Ports {
			show(subset.Addresses, func(ip string) string { return net.JoinHostPort(ip, strconv.Itoa(int(port.Port))) })
		}
	}
	list := strings.Join(shown, ",")
	if total > maxShown {
		return fmt.Sprintf("%s + %d more...", list, total-maxShown)
	}
	return list
}
