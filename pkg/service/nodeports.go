package service

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

// AdoptNodePorts gives a port without a node port the node port of a port with the same
// number and another protocol, so that DNS over UDP and TCP, for example, has one node
// port. Upstream does so on create only.
func AdoptNodePorts(service *v1.Service) {
	if !NeedsNodePort(service) {
		return
	}
	ports := service.Spec.Ports
	siblings := map[int32][]int{}
	served := map[portAndProtocol]bool{}
	for i := range ports {
		if ports[i].NodePort != 0 {
			if found := siblings[ports[i].Port]; len(found) < maxSiblings {
				siblings[ports[i].Port] = append(found, i)
			}
			served[portAndProtocol{ports[i].NodePort, ports[i].Protocol}] = true
		}
	}
	for i := range ports {
		if ports[i].NodePort != 0 {
			continue
		}
		for _, sibling := range siblings[ports[i].Port] {
			adopted := portAndProtocol{ports[sibling].NodePort, ports[i].Protocol}
			if mayShareNodePort(&ports[sibling], &ports[i]) && !served[adopted] {
				ports[i].NodePort = adopted.port
				served[adopted] = true
				break
			}
		}
	}
}

// maxSiblings is the number of ports with the same number in a valid Service: one for each
// protocol. The Service has not been validated yet.
const maxSiblings = 3

// OpenNodePorts returns the indexes of the ports that need a node port, in groups. The
// ports of a group share one node port. AdoptNodePorts must come first: it handles a port
// that can share the node port of another port.
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

// NodePorts returns the node ports that the Service claims, each with the protocols that
// the Service serves there. They include the health check port, without protocols, as no
// port of the Service maps to it. A type that can't have node ports claims none, whatever
// its ports contain; upstream releases such ports, although they belong to another
// Service.
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
		// A stored Service may use one of its node ports for it as well.
		if _, held := claims[healthCheck]; !held {
			claims[healthCheck] = nil
		}
	}
	return claims
}

// mayShareNodePort reports whether the server may give two ports of a Service the same node
// port although the client did not ask for it.
func mayShareNodePort(a, b *corev1.ServicePort) bool {
	return a.Port == b.Port && a.Protocol != b.Protocol
}

// portAndProtocol is the key of the maps that make these rules linear: a Service may have
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
