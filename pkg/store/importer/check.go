package importer

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/allocation/space"
	"github.com/portolan-dev/portolan/pkg/service"
)

// checkServices checks that each Service has a UID of its own and the address that it needs.
func (p *planner) checkServices() {
	for _, svc := range p.services {
		key := "services/" + nameOf(svc)
		switch other := p.uids[svc.UID]; {
		case svc.UID == "":
			p.problem("delete it in the cluster and create it again", "", "%s has no uid, so no claim can belong to it", key)
		case other != nil:
			p.problem("delete one of them in the cluster and create it again", "", "%s has the uid of services/%s: %s", key, nameOf(other), svc.UID)
		default:
			p.uids[svc.UID] = svc
		}
		if service.NeedsClusterIP(svc) && len(service.ClusterIPs(svc)) == 0 {
			p.problem("delete it in the cluster and create it again", "imports it as it is; its next update gives it an address",
				"%s needs a cluster IP and has none", key)
		}
	}
}

// checkAddresses compares the addresses that Services hold with the IPAddresses.
func (p *planner) checkAddresses() {
	for _, address := range slices.SortedFunc(maps.Keys(p.addresses), netip.Addr.Compare) {
		holders := p.addresses[address]
		holder := holders[0]
		if !contains(p.spans[address.Is6()], space.FromAddr(address)) {
			p.problem("create a ServiceCIDR that contains it",
				"imports the Service as it is, with a claim; portolan verify warns until a ServiceCIDR contains the address",
				"services/%s holds %s, which lies in no ServiceCIDR", nameOf(holder), address)
		}
		if len(holders) > 1 {
			p.duplicate(address.String(), holders)
		}
		claim, claimed := p.claims[address]
		switch {
		case !claimed && p.hasClaims():
			p.problem("wait until kube-apiserver has created it, at most a minute, or create the Service again",
				"creates the claim", "services/%s holds %s, but ipaddresses/%[2]s does not exist", nameOf(holder), address)
		case !claimed:
		case names(claim, holder):
			p.kept[address] = claim
		default:
			p.problem(fmt.Sprintf("kubectl delete ipaddress %s, unless the Service is the wrong one", address),
				"gives the claim to services/"+nameOf(holder),
				"services/%s holds %s, but ipaddresses/%[2]s belongs to %s", nameOf(holder), address, parentOf(claim))
		}
	}
	for _, address := range slices.SortedFunc(maps.Keys(p.claims), netip.Addr.Compare) {
		if claim := p.claims[address]; len(p.addresses[address]) == 0 && isAllocated(claim) {
			p.orphan(claim)
		}
	}
}

// duplicate reports a value that several Services hold.
func (p *planner) duplicate(value string, holders []*v1.Service) {
	var all, younger []string
	for i, svc := range holders {
		all = append(all, fmt.Sprintf("services/%s (created %s)", nameOf(svc), svc.CreationTimestamp.UTC().Format("2006-01-02T15:04:05Z")))
		if i > 0 {
			younger = append(younger, "services/"+nameOf(svc))
		}
	}
	p.Problems = append(p.Problems, Problem{
		Text:      fmt.Sprintf("%s is held by %s", value, strings.Join(all, " and ")),
		Advice:    "delete all but one of them in the cluster and create them again",
		Repair:    fmt.Sprintf("services/%s keeps it, and another value goes to %s", nameOf(holders[0]), strings.Join(younger, " and ")),
		duplicate: true,
	})
}

// orphan reports the claim of a Service that does not hold it.
func (p *planner) orphan(claim *networkingv1.IPAddress) {
	why := "names no Service"
	if parent := claim.Spec.ParentRef; parent != nil {
		why = "names " + parentOf(claim) + ", which does not exist"
		if p.byName[parent.Namespace+"/"+parent.Name] != nil {
			why = "names " + parentOf(claim) + ", which does not hold it"
		}
	}
	p.problem("kubectl delete ipaddress "+claim.Name, "leaves it out, so the address is free",
		"ipaddresses/%s has no Service: it %s", claim.Name, why)
}

// isAllocated reports whether kube-apiserver made a claim. Others are reservations, made by
// hand or for another kind of objects.
func isAllocated(claim *networkingv1.IPAddress) bool {
	return claim.Labels[v1.LabelManagedBy] == v1.ManagedByAllocator
}

func names(claim *networkingv1.IPAddress, svc *v1.Service) bool {
	parent := claim.Spec.ParentRef
	return parent != nil && parent.Group == "" && parent.Resource == "services" &&
		parent.Namespace == svc.Namespace && parent.Name == svc.Name
}

func parentOf(claim *networkingv1.IPAddress) string {
	parent := claim.Spec.ParentRef
	if parent == nil {
		return "nothing"
	}
	return (&v1.ParentReference{Group: parent.Group, Resource: parent.Resource, Namespace: parent.Namespace, Name: parent.Name}).Holder()
}

// checkPorts compares the node ports that Services hold with the bitmap, if the source shows
// it.
func (p *planner) checkPorts() error {
	var set map[int32]bool
	if p.contents.Ports != nil {
		var err error
		if set, err = p.contents.Ports.ports(); err != nil {
			return err
		}
	}
	for _, port := range slices.Sorted(maps.Keys(p.ports)) {
		holders := p.ports[port]
		name := nameOf(holders[0])
		inside := contains(p.portSpans, space.FromPort(port))
		if !inside {
			p.problem("give the Service a port of the range, or widen kube-apiserver's --service-node-port-range",
				"imports the Service as it is, with a claim; portolan verify warns until a NodePortRange contains the port",
				"services/%s holds node port %d, which lies outside the range %s", name, port, p.portRange)
		}
		if len(holders) > 1 {
			p.duplicate("node port "+strconv.Itoa(int(port)), holders)
		}
		if set != nil && inside && !set[port] {
			p.problem("wait three minutes, in which kube-apiserver sets it, or create the Service again", "creates the claim",
				"services/%s holds node port %d, but kube-apiserver's bitmap does not have it", name, port)
		}
	}
	for _, port := range slices.Sorted(maps.Keys(set)) {
		if len(p.ports[port]) == 0 {
			p.problem("wait ten minutes, in which kube-apiserver frees it, or import with --repair", "leaves it out, so the port is free",
				"node port %d has no Service: kube-apiserver's bitmap has it", port)
		}
	}
	return nil
}
