package allocation

import (
	"net/netip"
	"strconv"

	"github.com/portolan-dev/portolan/pkg/allocation/space"
)

// Class is a set of values that compete with each other.
type Class int

// The classes of values. Addresses of the two families never meet, nor do addresses
// and ports, nor cluster IPs and load-balancer addresses. A further class needs a row in
// traits.
const (
	IPv4 Class = iota
	IPv6
	Port
	LoadBalancerIPv4
	LoadBalancerIPv6
	classes
)

// traits is the behavior of each class.
var traits = [classes]struct {
	name string
	// text writes a number as the name of its claim.
	text func(space.Number) string
}{
	IPv4:             {"IPv4", addressText},
	IPv6:             {"IPv6", addressText},
	Port:             {"Port", portText},
	LoadBalancerIPv4: {"LoadBalancerIPv4", addressText},
	LoadBalancerIPv6: {"LoadBalancerIPv6", addressText},
}

// Classes returns all classes.
func Classes() []Class {
	all := make([]Class, classes)
	for class := range all {
		all[class] = Class(class)
	}
	return all
}

// String returns the name of the class.
func (c Class) String() string { return traits[c].name }

// Value is one address or one port.
type Value struct {
	Class  Class
	Number space.Number
}

// Address makes a Value of a cluster IP. An IPv4-mapped address counts as IPv4.
func Address(addr netip.Addr) Value {
	return Value{Class: ofFamily(addr, IPv4, IPv6), Number: space.FromAddr(addr)}
}

// LoadBalancerAddress makes a Value of a load-balancer address. An IPv4-mapped address
// counts as IPv4.
func LoadBalancerAddress(addr netip.Addr) Value {
	return Value{Class: ofFamily(addr, LoadBalancerIPv4, LoadBalancerIPv6), Number: space.FromAddr(addr)}
}

func ofFamily(addr netip.Addr, ipv4, ipv6 Class) Class {
	if addr.Unmap().Is4() {
		return ipv4
	}
	return ipv6
}

// NodePort makes a Value of a port number.
func NodePort(port int32) Value {
	return Value{Class: Port, Number: space.FromPort(port)}
}

// String returns the value as the name of its claim: a canonical address or a decimal
// port.
func (v Value) String() string { return traits[v.Class].text(v.Number) }

func addressText(number space.Number) string { return number.Addr().String() }

func portText(number space.Number) string { return strconv.Itoa(int(number.Port())) }
