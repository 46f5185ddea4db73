package service

import (
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

// ReservedPort is a node port that is reserved for a Service. The fields have the meaning
// that they have in v1.NodePortSpec.
type ReservedPort struct {
	NodePort     int32
	Protocols    []corev1.Protocol
	ServicePorts []v1.ServicePortReference
	HealthCheck  bool
}

// isForAny reports whether the reservation does not say which port it is for.
func (r ReservedPort) isForAny() bool { return len(r.ServicePorts) == 0 && !r.HealthCheck }

// AssignedPort is a reserved node port that a Service has got.
type AssignedPort struct {
	// Index of the port in spec.ports, or HealthCheckIndex.
	Index    int
	NodePort int32
}

// HealthCheckIndex is the Index of the health check node port.
const HealthCheckIndex = -1

// AssignReservedPorts gives the ports of a Service that need a node port those that are
// reserved for it, and returns them. Of several reservations for a port, the first counts.
// Like Inherit, it finds ports by name before it finds any by number. Reservations that
// don't say which port they are for come last, by number. A node port that the Service
// names itself is left where it is.
func AssignReservedPorts(service *v1.Service, reserved []ReservedPort) []AssignedPort {
	if len(reserved) == 0 {
		return nil
	}
	named := nodePortUsers(service.Spec.Ports)
	reserved = slices.DeleteFunc(slices.Clone(reserved), func(r ReservedPort) bool {
		return len(named[r.NodePort]) > 0 || r.NodePort == service.Spec.HealthCheckNodePort
	})
	a := &assignment{service: service}
	if NeedsNodePort(service) {
		a.assignReferenced(reserved, func(ref v1.ServicePortReference) any { return portName{ref.Name, ref.Protocol} },
			func(port *corev1.ServicePort) any { return portName{port.Name, port.Protocol} })
		a.assignReferenced(reserved, func(ref v1.ServicePortReference) any { return portAndProtocol{ref.Port, ref.Protocol} },
			func(port *corev1.ServicePort) any { return numberOf(port) })
		AdoptNodePorts(service)
		slices.SortStableFunc(reserved, func(a, b ReservedPort) int { return cmp.Compare(anyOrder(a), anyOrder(b)) })
		reserved = a.assignAny(reserved)
	}
	if NeedsHealthCheckNodePort(service) && service.Spec.HealthCheckNodePort == 0 {
		a.assignHealthCheck(reserved)
	}
	return a.assigned
}

// anyOrder sorts reservations that don't say which port they are for by number, and leaves
// the order of the others.
func anyOrder(r ReservedPort) int32 {
	if r.isForAny() {
		return r.NodePort
	}
	return 0
}

type portName struct {
	name     string
	protocol corev1.Protocol
}

type assignment struct {
	service  *v1.Service
	assigned []AssignedPort
}

func (a *assignment) assign(index int, nodePort int32) {
	if index == HealthCheckIndex {
		a.service.Spec.HealthCheckNodePort = nodePort
	} else {
		a.service.Spec.Ports[index].NodePort = nodePort
	}
	a.assigned = append(a.assigned, AssignedPort{index, nodePort})
}

// assignReferenced assigns node ports to the ports that reservations refer to, by one of
// the keys of a reference.
func (a *assignment) assignReferenced(
	reserved []ReservedPort, keyOf func(v1.ServicePortReference) any, keyOfPort func(*corev1.ServicePort) any,
) {
	nodePorts := map[any]int32{}
	for _, r := range reserved {
		for _, ref := range r.ServicePorts {
			if _, known := nodePorts[keyOf(ref)]; !known {
				nodePorts[keyOf(ref)] = r.NodePort
			}
		}
	}
	used := map[portAndProtocol]bool{}
	for _, port := range a.service.Spec.Ports {
		used[portAndProtocol{port.NodePort, port.Protocol}] = true
	}
	for i := range a.service.Spec.Ports {
		port := &a.service.Spec.Ports[i]
		nodePort, found := nodePorts[keyOfPort(port)]
		if key := (portAndProtocol{nodePort, port.Protocol}); found && port.NodePort == 0 && !used[key] {
			used[key] = true
			a.assign(i, nodePort)
		}
	}
}

// assignAny assigns reservations that don't say which port they are for. It returns the
// reservations without those.
func (a *assignment) assignAny(reserved []ReservedPort) []ReservedPort {
	for _, group := range OpenNodePorts(a.service) {
		at := slices.IndexFunc(reserved, func(r ReservedPort) bool {
			return r.isForAny() && (len(r.Protocols) == 0 || slices.ContainsFunc(group, func(i int) bool {
				return slices.Contains(r.Protocols, a.service.Spec.Ports[i].Protocol)
			}))
		})
		if at < 0 {
			continue
		}
		for _, i := range group {
			a.assign(i, reserved[at].NodePort)
		}
		reserved = slices.Delete(reserved, at, at+1)
	}
	return reserved
}

func (a *assignment) assignHealthCheck(reserved []ReservedPort) {
	at := slices.IndexFunc(reserved, func(r ReservedPort) bool { return r.HealthCheck })
	if at < 0 {
		at = slices.IndexFunc(reserved, func(r ReservedPort) bool { return r.isForAny() && len(r.Protocols) == 0 })
	}
	if at >= 0 {
		a.assign(HealthCheckIndex, reserved[at].NodePort)
	}
}

// PortsOn returns the ports of a Service that have a node port. healthCheck is true if
// there are none, and the node port is the Service's health check node port.
func PortsOn(service *v1.Service, nodePort int32) (ports []v1.ServicePortReference, healthCheck bool) {
	for _, port := range service.Spec.Ports {
		if port.NodePort == nodePort {
			ports = append(ports, v1.ServicePortReference{Name: port.Name, Port: port.Port, Protocol: port.Protocol})
		}
	}
	return ports, len(ports) == 0 && service.Spec.HealthCheckNodePort == nodePort
}
