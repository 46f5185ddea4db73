package allocation

import (
	"net/netip"
	"strconv"

	"github.com/portolan-dev/portolan/pkg/allocation/space"
)

// Class says which numbers compete with one another.
type Class int

// The classes of values. Addresses of the two families never meet, nor do
// addresses and ports.
const (
	IPv4 Class = iota
	IPv6
	Port
	classes
)

func (c Class) String() string {
	return [classes]string{"IPv4", "IPv6", "Port"}[c]
}

// Value is one address or one port.
type Value struct {
	Class  Class
	Number space.Number
}

// Address makes a Value of an IP address; one that is IPv4-mapped counts as
// IPv4.
func Address(addr netip.Addr) Value {
	addr = addr.Unmap()
	class := IPv6
	if addr.Is4() {
		class = IPv4
	}
	return Value{Class: class, Number: space.FromAddr(addr)}
}

// NodePort makes a Value of a port number.
func NodePort(port int32) Value {
	return Value{Class: Port, Number: space.FromPort(port)}
}

// String is the value as the name of its claim: a canonical address or a
// decimal port.
func (v Value) String() string {
	if v.Class == Port {
		return strconv.Itoa(int(v.Number.Port()))
	}
	return v.Number.Addr().String()
}
