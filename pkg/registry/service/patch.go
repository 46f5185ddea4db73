package service

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

// droppedProtocols warns of protocols that a strategic merge patch removed from a port.
// Such a patch identifies ports by number alone, so a protocol that it adds replaces the
// existing one, most likely by mistake.
func droppedProtocols(after, before *v1.Service) []string {
	had, has := protocolsByPort(before.Spec.Ports), protocolsByPort(after.Spec.Ports)
	var warnings []string
	for i, port := range after.Spec.Ports {
		dropped := slices.DeleteFunc(slices.Clone(had[port.Port]), func(protocol string) bool {
			return slices.Contains(has[port.Port], protocol)
		})
		if len(dropped) == 0 {
			continue
		}
		had[port.Port] = nil
		warnings = append(warnings, fmt.Sprintf("spec.ports[%d]: port %d is no longer served over %s: a strategic merge patch tells ports apart by number alone; "+
			"use server-side apply to serve several protocols", i, port.Port, strings.Join(dropped, ", ")))
	}
	return warnings
}

func protocolsByPort(ports []corev1.ServicePort) map[int32][]string {
	protocols := map[int32][]string{}
	for _, port := range ports {
		protocols[port.Port] = append(protocols[port.Port], string(port.Protocol))
	}
	return protocols
}
