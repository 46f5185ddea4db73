package endpoints

import (
	"cmp"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/utils/net"
	"k8s.io/utils/ptr"
)

// Mirrored is what EndpointSlices should hold for Endpoints written by hand.
type Mirrored struct {
	// Groups are one for each IP family and set of ports, in canonical order.
	Groups []Group
	// Invalid is how many addresses are none, Skipped how many are left out of
	// subsets that have too many.
	Invalid, Skipped int
}

// Group is what one slice holds: endpoints of one IP family that all offer the
// same ports.
type Group struct {
	AddressType discoveryv1.AddressType
	Ports       []discoveryv1.EndpointPort
	Endpoints   []discoveryv1.Endpoint
}

// Mirror says what mirrors the subsets of an Endpoints object, with at most max
// addresses of each subset, so that one slice has room for all of a group.
func Mirror(subsets []corev1.EndpointSubset, max int) Mirrored {
	var m Mirrored
	for _, subset := range Repack(subsets) {
		c := collector{room: max, ports: slicePorts(subset.Ports), byIdentity: map[identity]discoveryv1.Endpoint{}}
		for i := range subset.Addresses {
			c.add(&subset.Addresses[i], true)
		}
		for i := range subset.NotReadyAddresses {
			c.add(&subset.NotReadyAddresses[i], false)
		}
		m.Groups = append(m.Groups, c.groups()...)
		m.Invalid += c.invalid
		m.Skipped += c.skipped
	}
	return m
}

// identity tells endpoints of a group apart.
type identity struct {
	ip, hostname, namespace, name string
}

// collector takes the addresses of one subset.
type collector struct {
	room, invalid, skipped int
	ports                  []discoveryv1.EndpointPort
	byIdentity             map[identity]discoveryv1.Endpoint
}

// add takes an address while there is room. An address that is there already is
// replaced, and takes room again.
func (c *collector) add(address *corev1.EndpointAddress, ready bool) {
	if c.room == 0 {
		c.skipped++
		return
	}
	ip := net.ParseIPSloppy(address.IP)
	if ip == nil {
		c.invalid++
		return
	}
	c.room--
	endpoint := discoveryv1.Endpoint{
		// The canonical form is the only one that a slice may have.
		Addresses:  []string{ip.String()},
		Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(ready)},
		TargetRef:  address.TargetRef,
		NodeName:   address.NodeName,
	}
	if address.Hostname != "" {
		endpoint.Hostname = ptr.To(address.Hostname)
	}
	c.byIdentity[identify(&endpoint)] = endpoint
}

func identify(endpoint *discoveryv1.Endpoint) identity {
	id := identity{ip: endpoint.Addresses[0], hostname: ptr.Deref(endpoint.Hostname, "")}
	if endpoint.TargetRef != nil {
		id.namespace, id.name = endpoint.TargetRef.Namespace, endpoint.TargetRef.Name
	}
	return id
}

// groups are what was taken, by family.
func (c *collector) groups() []Group {
	ipv4 := Group{AddressType: discoveryv1.AddressTypeIPv4, Ports: c.ports}
	ipv6 := Group{AddressType: discoveryv1.AddressTypeIPv6, Ports: c.ports}
	for _, id := range slices.SortedFunc(maps.Keys(c.byIdentity), compareIdentities) {
		into := &ipv4
		if net.IsIPv6String(id.ip) {
			into = &ipv6
		}
		into.Endpoints = append(into.Endpoints, c.byIdentity[id])
	}
	return slices.DeleteFunc([]Group{ipv4, ipv6}, func(g Group) bool { return len(g.Endpoints) == 0 })
}

func compareIdentities(a, b identity) int {
	return cmp.Or(
		cmp.Compare(a.ip, b.ip),
		cmp.Compare(a.hostname, b.hostname),
		cmp.Compare(a.namespace, b.namespace),
		cmp.Compare(a.name, b.name),
	)
}

func slicePorts(ports []corev1.EndpointPort) []discoveryv1.EndpointPort {
	converted := make([]discoveryv1.EndpointPort, 0, len(ports))
	for i := range ports {
		converted = append(converted, discoveryv1.EndpointPort{
			Name:        ptr.To(ports[i].Name),
			Port:        ptr.To(ports[i].Port),
			Protocol:    ptr.To(ports[i].Protocol),
			AppProtocol: ports[i].AppProtocol,
		})
	}
	return converted
}
