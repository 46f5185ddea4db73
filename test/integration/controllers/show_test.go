package controllers

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/utils/ptr"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

// showSlices writes what slices hold, whatever slice it is in, sorted.
func showSlices(list []v1.EndpointSlice) string {
	var lines []string
	for _, slice := range list {
		ports := ""
		for _, port := range slice.Ports {
			ports += fmt.Sprintf(":%d", ptr.Deref(port.Port, 0))
		}
		for _, endpoint := range slice.Endpoints {
			line := endpoint.Addresses[0] + ports
			if endpoint.Hostname != nil {
				line = *endpoint.Hostname + "=" + line
			}
			for _, condition := range []struct {
				letter string
				value  *bool
			}{{"r", endpoint.Conditions.Ready}, {"s", endpoint.Conditions.Serving}, {"t", endpoint.Conditions.Terminating}} {
				if ptr.Deref(condition.value, false) {
					line += "/" + condition.letter
				}
			}
			lines = append(lines, line)
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, " ")
}
