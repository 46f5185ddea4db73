package rules

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/utils/net"
	"k8s.io/utils/ptr"
)

// Mirrored is the content of the EndpointSlices that mirror an Endpoints object.
type Mirrored struct {
	// Groups has one group for each IP family and set of ports, in canonical order.
	Groups []Group
	// Invalid counts addresses that are invalid in slices. Skipped counts addresses
	// beyond the maximum of a subset.
	Invalid, Skipped int
}

// Group is the content of one slice: endpoints of one IP family with the same ports.
type Group struct {
	AddressType discoveryv1.AddressType
	Ports       []discoveryv1.EndpointPort
	Endpoints   []discoveryv1.Endpoint
}

// Mirror returns the content of the slices that mirror the subsets of an Endpoints
// object. It takes at most limit addresses of each subset, so that a group fits into one
// slice. It leaves out values that the API rejects in slices, because laxer releases
// accepted them in Endpoints. Addresses in the given loopback networks are valid.
func Mirror(subsets []corev1.EndpointSubset, limit int, loopback []netip.Prefix) Mirrored {
	var m Mirrored
	for _, subset := range Repack(subsets) {
		c := collector{room: limit, ports: slicePorts(subset.Ports), loopback: loopback, byIdentity: map[identity]discoveryv1.Endpoint{}}
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

// identity identifies an endpoint within a group.
type identity struct {
	ip, hostname, namespace, name string
}

// collector collects the addresses of one subset.
type collector struct {
	// room is the number of addresses that can still be added.
	room, invalid, skipped int
	// ports has one list for each slice that the subset needs.
	ports      [][]discoveryv1.EndpointPort
	loopback   []netip.Prefix
	byIdentity map[identity]discoveryv1.Endpoint
}

// add adds an address if there is room. A duplicate replaces the first occurrence and
// counts toward the maximum too.
func (c *collector) add(address *corev1.EndpointAddress, ready bool) {
	if c.room == 0 {
		c.skipped++
		return
	}
	if len(validateAddress(address.IP, c.loopback, nil)) > 0 {
		c.invalid++
		return
	}
	c.room--
	endpoint := discoveryv1.Endpoint{
		// Slices accept addresses in canonical form only.
		Addresses:  []string{net.ParseIPSloppy(address.IP).String()},
		Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(ready)},
		TargetRef:  address.TargetRef,
	}
	if node := ptr.Deref(address.NodeName, ""); len(utilvalidation.IsDNS1123Subdomain(node)) == 0 {
		endpoint.NodeName = address.NodeName
	}
	if len(utilvalidation.IsDNS1123Label(address.Hostname)) == 0 {
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

// groups returns the collected endpoints, by IP family and ports.
func (c *collector) groups() []Group {
	var ipv4, ipv6 []discoveryv1.Endpoint
	for _, id := range slices.SortedFunc(maps.Keys(c.byIdentity), compareIdentities) {
		into := &ipv4
		if net.IsIPv6String(id.ip) {
			into = &ipv6
		}
		*into = append(*into, c.byIdentity[id])
	}
	var groups []Group
	for _, ports := range c.ports {
		groups = append(groups,
			Group{AddressType: discoveryv1.AddressTypeIPv4, Ports: ports, Endpoints: ipv4},
			Group{AddressType: discoveryv1.AddressTypeIPv6, Ports: ports, Endpoints: ipv6})
	}
	return slices.DeleteFunc(groups, func(g Group) bool { return len(g.Endpoints) == 0 })
}

func compareIdentities(a, b identity) int {
	return cmp.Or(
		cmp.Compare(a.ip, b.ip),
		cmp.Compare(a.hostname, b.hostname),
		cmp.Compare(a.namespace, b.namespace),
		cmp.Compare(a.name, b.name),
	)
}

// slicePorts splits ports into lists in which every name is unique. A slice requires
// unique names; a subset of Endpoints does not.
func slicePorts(ports []corev1.EndpointPort) [][]discoveryv1.EndpointPort {
	lists := [][]discoveryv1.EndpointPort{{}}
	seen := map[string]int{}
	for i := range ports {
		at := seen[ports[i].Name]
		seen[ports[i].Name]++
		if at == len(lists) {
			lists = append(lists, nil)
		}
		lists[at] = append(lists[at], discoveryv1.EndpointPort{
			Name:        ptr.To(ports[i].Name),
			Port:        ptr.To(ports[i].Port),
			Protocol:    ptr.To(ports[i].Protocol),
			AppProtocol: ports[i].AppProtocol,
		})
	}
	return lists
}
