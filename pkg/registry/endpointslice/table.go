package endpointslice

import (
	"fmt"
	"strconv"
	"strings"

	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/registry/generic"
)

var docs = discoveryv1.EndpointSlice{}.SwaggerDoc()

// TableConvertor has the columns of upstream's EndpointSlice table
// (pkg/printers/internalversion).
var TableConvertor = generic.NewTable(v1.Resource("endpointslices"), []metav1.TableColumnDefinition{
	generic.NameColumn(),
	{Name: "AddressType", Type: "string", Description: docs["addressType"]},
	{Name: "Ports", Type: "string", Description: docs["ports"]},
	{Name: "Endpoints", Type: "string", Description: docs["endpoints"]},
	generic.AgeColumn(),
}, func(slice *v1.EndpointSlice) []any {
	return []any{slice.Name, string(slice.AddressType), ports(slice.Ports), endpoints(slice.Endpoints), generic.Age(slice.CreationTimestamp)}
})

const (
	maxShown = 3
	// unset is what upstream's table of EndpointSlices shows for an empty list. Its
	// other tables show <none>.
	unset = "<unset>"
	// anyPort is shown for a port that has no number and, as defaults were not
	// applied, no name.
	anyPort = "*"
)

func ports(ports []discoveryv1.EndpointPort) string {
	var shown []string
	for _, port := range ports[:min(len(ports), maxShown)] {
		if port.Port != nil {
			shown = append(shown, strconv.Itoa(int(*port.Port)))
		} else {
			shown = append(shown, ptr.Deref(port.Name, anyPort))
		}
	}
	return list(shown, len(ports))
}

func endpoints(endpoints []discoveryv1.Endpoint) string {
	var shown []string
	total := 0
	for i := range endpoints {
		addresses := endpoints[i].Addresses
		total += len(addresses)
		shown = append(shown, addresses[:min(len(addresses), maxShown-len(shown))]...)
	}
	return list(shown, total)
}

func list(shown []string, total int) string {
	joined := strings.Join(shown, ",")
	if total > maxShown {
		return fmt.Sprintf("%s + %d more...", joined, total-maxShown)
	}
	if joined == "" {
		return unset
	}
	return joined
}
