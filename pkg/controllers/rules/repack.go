package rules

import (
	"cmp"
	"encoding/binary"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

// Repack returns the canonical form of subsets: one subset for each distinct set of
// addresses, with all ports that these addresses offer, everything sorted. Two addresses
// are equal if their IPs and the UIDs of their targets are; the first one is kept. An
// address that is both ready and not ready for a port is not ready. Addresses without
// ports are grouped in the same way, into a subset without ports.
//
// Repack does not modify its argument. The result shares the values that the argument's
// addresses and ports point to.
func Repack(subsets []corev1.EndpointSubset) []corev1.EndpointSubset {
	r := repacker{byAddress: map[addressKey]int{}, byPort: map[portKey]*offer{}}
	for i := range subsets {
		if len(subsets[i].Ports) == 0 {
			r.add(&subsets[i], nil)
		}
		for j := range subsets[i].Ports {
			r.add(&subsets[i], &subsets[i].Ports[j])
		}
	}
	return r.subsets()
}

type addressKey struct {
	ip  string
	uid types.UID
}

// portKey identifies a port by value. The zero portKey means that there is no port.
type portKey struct {
	isPort         bool
	name, protocol string
	number         int32
	hasApp         bool
	app            string
}

// offer is a port with the readiness of each address that offers it.
type offer struct {
	port *corev1.EndpointPort
	// ready is keyed by the index of the address.
	ready map[int]bool
}

type repacker struct {
	addresses []corev1.EndpointAddress
	byAddress map[addressKey]int
	byPort    map[portKey]*offer
}

// add records that all addresses of a subset offer a port, or no port if port is nil.
func (r *repacker) add(subset *corev1.EndpointSubset, port *corev1.EndpointPort) {
	key := portKey{}
	if port != nil {
		key = portKey{
			isPort: true, name: port.Name, protocol: string(port.Protocol), number: port.Port,
			hasApp: port.AppProtocol != nil, app: ptr.Deref(port.AppProtocol, ""),
		}
	}
	offered := r.byPort[key]
	if offered == nil {
		offered = &offer{port: port, ready: map[int]bool{}}
		r.byPort[key] = offered
	}
	for i := range subset.Addresses {
		index := r.intern(&subset.Addresses[i])
		if _, known := offered.ready[index]; !known {
			offered.ready[index] = true
		}
	}
	for i := range subset.NotReadyAddresses {
		offered.ready[r.intern(&subset.NotReadyAddresses[i])] = false
	}
}

func (r *repacker) intern(address *corev1.EndpointAddress) int {
	key := addressKey{ip: address.IP}
	if address.TargetRef != nil {
		key.uid = address.TargetRef.UID
	}
	index, known := r.byAddress[key]
	if !known {
		index = len(r.addresses)
		r.byAddress[key] = index
		r.addresses = append(r.addresses, *address)
	}
	return index
}

// subsets groups the ports by the addresses that offer them and their readiness.
func (r *repacker) subsets() []corev1.EndpointSubset {
	type group struct {
		ready map[int]bool
		ports []corev1.EndpointPort
	}
	groups := map[string]*group{}
	for _, offered := range r.byPort {
		id := offered.id()
		g := groups[id]
		if g == nil {
			g = &group{ready: offered.ready}
			groups[id] = g
		}
		if offered.port != nil {
			g.ports = append(g.ports, *offered.port)
		}
	}
	packed := make([]corev1.EndpointSubset, 0, len(groups))
	for _, g := range groups {
		if len(g.ready) == 0 {
			continue
		}
		subset := corev1.EndpointSubset{Ports: g.ports}
		for index, ready := range g.ready {
			if ready {
				subset.Addresses = append(subset.Addresses, r.addresses[index])
			} else {
				subset.NotReadyAddresses = append(subset.NotReadyAddresses, r.addresses[index])
			}
		}
		slices.SortFunc(subset.Addresses, compareAddresses)
		slices.SortFunc(subset.NotReadyAddresses, compareAddresses)
		slices.SortFunc(subset.Ports, comparePorts)
		packed = append(packed, subset)
	}
	// The order is total: no two subsets share a port, and at most one has none.
	slices.SortFunc(packed, func(a, b corev1.EndpointSubset) int {
		return slices.CompareFunc(a.Ports, b.Ports, comparePorts)
	})
	return packed
}

// id returns a key that is equal for offers of the same addresses and readiness.
func (o *offer) id() string {
	states := make([]uint64, 0, len(o.ready))
	for index, ready := range o.ready {
		state := uint64(index) << 1
		if ready {
			state |= 1
		}
		states = append(states, state)
	}
	slices.Sort(states)
	id := make([]byte, 0, 2*len(states))
	for _, state := range states {
		id = binary.AppendUvarint(id, state)
	}
	return string(id)
}

func compareAddresses(a, b corev1.EndpointAddress) int {
	return cmp.Or(cmp.Compare(a.IP, b.IP), cmp.Compare(targetUID(a), targetUID(b)))
}

func targetUID(a corev1.EndpointAddress) types.UID {
	if a.TargetRef == nil {
		return ""
	}
	return a.TargetRef.UID
}

func comparePorts(a, b corev1.EndpointPort) int {
	return cmp.Or(
		cmp.Compare(a.Name, b.Name),
		cmp.Compare(a.Port, b.Port),
		cmp.Compare(a.Protocol, b.Protocol),
		compareOptional(a.AppProtocol, b.AppProtocol),
	)
}

// compareOptional orders nil before the empty string.
func compareOptional(a, b *string) int {
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil:
		return -1
	case b == nil:
		return 1
	default:
		return cmp.Compare(*a, *b)
	}
}
