package service

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

// AdoptNodePorts gives a port that has no node port the one of a port with the
// same number and another protocol, so that a client can, say, use one port for
// DNS over UDP and TCP. Upstream does so on create only.
func AdoptNodePorts(service *v1.Service) {
	if !NeedsNodePort(service) {
		return
	}
	ports := service.Spec.Ports
	twins := map[int32][]int{}
	served := map[portAndProtocol]bool{}
	for i := range ports {
		if ports[i].NodePort != 0 {
			if found := twins[ports[i].Port]; len(found) < maxTwins {
				twins[ports[i].Port] = append(found, i)
			}
			served[portAndProtocol{ports[i].NodePort, ports[i].Protocol}] = true
		}
	}
	for i := range ports {
		if ports[i].NodePort != 0 {
			continue
		}
		for _, twin := range twins[ports[i].Port] {
			adopted := portAndProtocol{ports[twin].NodePort, ports[i].Protocol}
			if mayShareNodePort(&ports[twin], &ports[i]) && !served[adopted] {
				ports[i].NodePort = adopted.port
				served[adopted] = true
				break
			}
		}
	}
}

// maxTwins is how many ports of one number a valid Service can have: one for
// each protocol. Whether it is valid is only seen later.
const maxTwins = 3

// OpenNodePorts returns the indexes of the ports that must be given a node
// port, grouped: the ports of a group share one. A port whose number is shared
// with one that has a node port is for AdoptNodePorts, which must come first.
func OpenNodePorts(service *v1.Service) [][]int {
	if !NeedsNodePort(service) {
		return nil
	}
	ports := service.Spec.Ports
	type member struct {
		group    int
		protocol corev1.Protocol
	}
	var groups [][]int
	groupOf, members := map[int32]int{}, map[member]bool{}
	for i := range ports {
		if ports[i].NodePort != 0 {
			continue
		}
		group, found := groupOf[ports[i].Port]
		if !found || members[member{group, ports[i].Protocol}] {
			group = len(groups)
			groupOf[ports[i].Port] = group
			groups = append(groups, nil)
		}
		groups[group] = append(groups[group], i)
		members[member{group, ports[i].Protocol}] = true
	}
	return groups
}

// NodePorts returns the node ports that the Service claims, each with the
// protocols that it serves there. The health check port is among them, with no
// protocol, as no port of the Service maps to it. A type that can't hold node
// ports claims none, whatever its ports say; upstream frees such ports, which
// belong to another Service.
func NodePorts(service *v1.Service) map[int32][]corev1.Protocol {
	if !MayHaveNodePort(service) {
		return nil
	}
	claims := map[int32][]corev1.Protocol{}
	for _, port := range service.Spec.Ports {
		if port.NodePort == 0 {
			continue
		}
		protocols := claims[port.NodePort]
		if at, found := slices.BinarySearch(protocols, port.Protocol); !found {
			claims[port.NodePort] = slices.Insert(protocols, at, port.Protocol)
		}
	}
	if healthCheck := service.Spec.HealthCheckNodePort; healthCheck != 0 && NeedsHealthCheckNodePort(service) {
		// A stored Service may have it equal to one of its node ports.
		if _, held := claims[healthCheck]; !held {
			claims[healthCheck] = nil
		}
	}
	return claims
}

// mayShareNodePort says whether two ports of a Service can have one node port
// without the client asking for it.
func mayShareNodePort(a, b *corev1.ServicePort) bool {
	return a.Port == b.Port && a.Protocol != b.Protocol
}

// portAndProtocol keys the maps that keep these rules linear: a Service may have
// thousands of ports.
type portAndProtocol struct {
	port     int32
	protocol corev1.Protocol
}

func numberOf(port *corev1.ServicePort) portAndProtocol {
	return portAndProtocol{port.Port, port.Protocol}
}

// nodePortUsers returns the indexes of the ports that have each node port.
func nodePortUsers(ports []corev1.ServicePort) map[int32][]int {
	users := map[int32][]int{}
	for i := range ports {
		if nodePort := ports[i].NodePort; nodePort != 0 {
			users[nodePort] = append(users[nodePort], i)
		}
	}
	return users
}
