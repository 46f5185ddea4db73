package verify

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	netutils "k8s.io/utils/net"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/service"
)

// holding is a value that a Service holds.
type holding struct {
	isPort    bool
	address   netip.Addr
	port      int32
	protocols []corev1.Protocol
	// text names the value in a sentence.
	text string
}

func (h holding) rangeKind() string {
	if h.isPort {
		return "NodePortRange"
	}
	return "ServiceCIDR"
}

// holdingsOf returns what a Service holds, by the key of the claim. It uses the
// server's rules: Check compares records, it doesn't judge what a Service should
// hold.
func holdingsOf(svc *v1.Service) map[string]holding {
	held := map[string]holding{}
	for _, address := range service.ClusterIPs(svc) {
		text := address.String()
		held[keyOf(ipAddresses, "", text)] = holding{address: address, text: text}
	}
	for port, protocols := range service.NodePorts(svc) {
		text := strconv.Itoa(int(port))
		held[keyOf(nodePorts, "", text)] = holding{isPort: true, port: port, protocols: protocols, text: "node port " + text}
	}
	return held
}

func keyOf(resource, namespace, name string) string {
	if namespace == "" {
		return resource + "/" + name
	}
	return resource + "/" + namespace + "/" + name
}

func (c claim) isReservation() bool { return c.parent == nil || c.parent.UID == "" }

// namesService reports whether the parent is a Service, of portolan.dev or core v1.
// A Service holds the same values whichever API group it was written in.
func (c claim) namesService() bool {
	return c.parent.Resource == services && (c.parent.Group == v1.GroupName || c.parent.Group == corev1.GroupName)
}

func (c claim) holderKey() string {
	resource := c.parent.Resource
	if !c.namesService() && c.parent.Group != "" {
		resource += "." + c.parent.Group
	}
	return keyOf(resource, c.parent.Namespace, c.parent.Name)
}

func (c claim) holder() string {
	return fmt.Sprintf("%s (uid %s)", c.holderKey(), c.parent.UID)
}

// nameProblem returns what is wrong with the name of a claim, or "". Only one
// spelling of a value is a valid name: under a second one, the value could be
// claimed twice.
func nameProblem(c claim) string {
	_, name, _ := strings.Cut(c.key, "/")
	canonical, kind := "", "an address"
	if c.isPort {
		kind = "a port"
		if port, err := strconv.Atoi(name); err == nil && port >= 1 && port <= 65535 {
			canonical = strconv.Itoa(port)
		}
	} else if address, ok := netip.AddrFromSlice(netutils.ParseIPSloppy(name)); ok {
		canonical = address.Unmap().String()
	}
	switch canonical {
	case name:
		return ""
	case "":
		return "is a claim, but its name is not " + kind
	}
	return "is not the canonical name of the claim on " + canonical
}

func sameProtocols(a, b []corev1.Protocol) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

func protocolText(protocols []corev1.Protocol) string {
	if len(protocols) == 0 {
		return "no protocol"
	}
	var names []string
	for _, protocol := range slices.Sorted(slices.Values(protocols)) {
		names = append(names, string(protocol))
	}
	return strings.Join(names, ", ")
}

// ranges holds the ranges of a store. If a range can't be read, all values of its
// kind are assumed to lie in it.
type ranges struct {
	prefixes            []netip.Prefix
	ports               [][2]int32
	anyAddress, anyPort bool
}

func (c *checker) newRanges(contents Contents) ranges {
	var r ranges
	for i := range contents.ServiceCIDRs {
		cidr := &contents.ServiceCIDRs[i]
		for _, text := range cidr.Spec.CIDRs {
			prefix, err := netip.ParsePrefix(text)
			if err != nil {
				c.warning("servicecidrs/%s: nothing can be allocated from %q, which is not a CIDR", cidr.Name, text)
				continue
			}
			r.prefixes = append(r.prefixes, prefix.Masked())
		}
	}
	for i := range contents.NodePortRanges {
		ports := &contents.NodePortRanges[i]
		for _, text := range ports.Spec.Ports {
			first, last, err := v1.ParsePortRange(text)
			if err != nil {
				c.warning("nodeportranges/%s: nothing can be allocated from %q: %v", ports.Name, text, err)
				continue
			}
			r.ports = append(r.ports, [2]int32{first, last})
		}
	}
	for key := range c.unreadable {
		r.anyAddress = r.anyAddress || strings.HasPrefix(key, "servicecidrs/")
		r.anyPort = r.anyPort || strings.HasPrefix(key, "nodeportranges/")
	}
	return r
}

func (r ranges) contain(h holding) bool {
	if h.isPort {
		return r.anyPort || slices.ContainsFunc(r.ports, func(span [2]int32) bool { return span[0] <= h.port && h.port <= span[1] })
	}
	return r.anyAddress || slices.ContainsFunc(r.prefixes, func(prefix netip.Prefix) bool { return prefix.Contains(h.address) })
}
