package importer

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"

	netutils "k8s.io/utils/net"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/allocation/space"
)

// renumber gives free values to the younger ones of several Services that hold one value, if
// the options say so.
func (p *planner) renumber() {
	if !p.Repair || !p.Renumber {
		return
	}
	for _, address := range slices.SortedFunc(maps.Keys(p.addresses), netip.Addr.Compare) {
		for _, svc := range p.addresses[address][1:] {
			taken := p.taken[address.Is6()]
			p.give(svc, address.String(), taken, p.spans[address.Is6()], func(free space.Number) string {
				setAddress(svc, address, free.Addr())
				return free.Addr().String()
			})
		}
		p.addresses[address] = p.addresses[address][:1]
	}
	ports := space.NewSpace()
	for port := range p.ports {
		ports.Take(space.FromPort(port))
	}
	for _, port := range slices.Sorted(maps.Keys(p.ports)) {
		for _, svc := range p.ports[port][1:] {
			p.give(svc, "node port "+strconv.Itoa(int(port)), ports, p.portSpans, func(free space.Number) string {
				setPort(svc, port, free.Port())
				return "node port " + strconv.Itoa(int(free.Port()))
			})
		}
		p.ports[port] = p.ports[port][:1]
	}
}

// give sets a free value in a Service, in place of one that an older Service keeps.
func (p *planner) give(svc *v1.Service, old string, taken *space.Space, spans []space.Span, set func(space.Number) string) {
	free, ok := taken.Pick(spans, p.random)
	if !ok {
		p.problem("delete the Service in the cluster", "", "services/%s can't get another value for %s: the ranges are full", nameOf(svc), old)
		return
	}
	taken.Take(free)
	p.Notes = append(p.Notes, fmt.Sprintf("services/%s gets %s instead of %s", nameOf(svc), set(free), old))
}

func setAddress(svc *v1.Service, old, replacement netip.Addr) {
	svc.Spec.ClusterIPs = slices.Clone(svc.Spec.ClusterIPs)
	if len(svc.Spec.ClusterIPs) == 0 {
		svc.Spec.ClusterIPs = []string{svc.Spec.ClusterIP}
	}
	for i, text := range svc.Spec.ClusterIPs {
		if address, ok := netip.AddrFromSlice(netutils.ParseIPSloppy(text)); ok && address.Unmap() == old {
			svc.Spec.ClusterIPs[i] = replacement.String()
		}
	}
	svc.Spec.ClusterIP = svc.Spec.ClusterIPs[0]
}

func setPort(svc *v1.Service, old, replacement int32) {
	svc.Spec.Ports = slices.Clone(svc.Spec.Ports)
	for i := range svc.Spec.Ports {
		if svc.Spec.Ports[i].NodePort == old {
			svc.Spec.Ports[i].NodePort = replacement
		}
	}
	if svc.Spec.HealthCheckNodePort == old {
		svc.Spec.HealthCheckNodePort = replacement
	}
}
