package importer

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/utils/ptr"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/allocation/space"
	"github.com/portolan-dev/portolan/pkg/service"
)

// Options say what a plan does about problems, and add what the source lacks.
type Options struct {
	// Repair makes the claims and Services agree, as each problem's Repair says.
	Repair bool
	// Renumber gives another value to the younger ones of several Services that hold one
	// value. Repair must be set too.
	Renumber bool
	// Standalone means that the store is a standalone server's: owners stay as they are, and
	// namespaces are imported.
	Standalone bool
	// PortRange and CIDRs are the cluster's ranges. They apply if the source has none.
	PortRange string
	CIDRs     []string
}

// Problem is something in the source that prevents an import.
type Problem struct {
	// Text is a sentence that begins with the object.
	Text string
	// Advice says what to do in the cluster.
	Advice string
	// Repair says what a repair does. It is empty if a repair does nothing.
	Repair string
	// duplicate means that the repair also needs Options.Renumber.
	duplicate bool
}

// Plan says what to write.
type Plan struct {
	Options
	Problems []Problem
	// Notes are sentences about oddities that are no problem.
	Notes []string

	units []unit
}

// Open returns the problems that the options leave. If there are any, nothing may be
// written.
func (p *Plan) Open() []Problem {
	return slices.DeleteFunc(slices.Clone(p.Problems), func(problem Problem) bool {
		return p.isRepaired(problem)
	})
}

// isRepaired reports whether the options make the plan repair a problem.
func (p *Plan) isRepaired(problem Problem) bool {
	return problem.Repair != "" && p.Repair && (!problem.duplicate || p.Renumber)
}

// Objects returns how many objects the plan writes.
func (p *Plan) Objects() int {
	n := 0
	for _, unit := range p.units {
		n += len(unit)
	}
	return n
}

// planner compares the Services of a cluster with its claims.
type planner struct {
	*Plan
	contents *Contents
	services []*v1.Service
	byName   map[string]*v1.Service
	uids     map[types.UID]*v1.Service
	// holders are the Services that hold a value, the oldest first.
	addresses map[netip.Addr][]*v1.Service
	ports     map[int32][]*v1.Service
	// claims are the IPAddresses of the source.
	claims map[netip.Addr]*networkingv1.IPAddress
	// kept are the claims of the source that their Services keep.
	kept  map[netip.Addr]*networkingv1.IPAddress
	cidrs []v1.ServiceCIDR
	spans map[bool][]space.Span
	taken map[bool]*space.Space
	// random is seeded alike in every run, so that a dry run shows the values of the next
	// run.
	random    *rand.Rand
	portRange string
	portSpans []space.Span
}

// NewPlan plans the import of a cluster's contents. It fails if the ranges are not known.
func NewPlan(contents *Contents, options Options) (*Plan, error) {
	p := &planner{
		Plan: &Plan{Options: options}, contents: contents, byName: map[string]*v1.Service{}, uids: map[types.UID]*v1.Service{},
		addresses: map[netip.Addr][]*v1.Service{}, ports: map[int32][]*v1.Service{},
		claims: map[netip.Addr]*networkingv1.IPAddress{}, kept: map[netip.Addr]*networkingv1.IPAddress{},
		spans: map[bool][]space.Span{}, taken: map[bool]*space.Space{false: space.NewSpace(), true: space.NewSpace()},
		random: rand.New(rand.NewPCG(1, 1)), //nolint:gosec // It spreads values and keeps no secret.
	}
	p.checkReadable()
	if err := errors.Join(p.planRanges(), p.planPortRange()); err != nil {
		return nil, err
	}
	p.indexServices()
	if err := p.indexClaims(); err != nil {
		return nil, err
	}
	p.checkServices()
	p.checkAddresses()
	if err := p.checkPorts(); err != nil {
		return nil, err
	}
	p.renumber()
	p.planObjects()
	return p.Plan, nil
}

func (p *planner) problem(advice, repair, format string, args ...any) {
	p.Problems = append(p.Problems, Problem{Text: fmt.Sprintf(format, args...), Advice: advice, Repair: repair})
}

func (p *planner) checkReadable() {
	for _, value := range p.contents.Unreadable {
		advice := "repair or delete it in the cluster, then import again"
		if value.Encrypted {
			advice = "import from the running cluster with --kubeconfig, or let kube-apiserver store this kind in plain text, " +
				"and take a snapshot again"
		}
		p.problem(advice, "", "%s %s", value.Key, value.Reason)
	}
}

// planRanges plans the ServiceCIDRs. A cluster without any has bitmaps, or shows its ranges
// in flags only.
func (p *planner) planRanges() error {
	for i := range p.contents.ServiceCIDRs {
		p.cidrs = append(p.cidrs, p.importedCIDR(&p.contents.ServiceCIDRs[i]))
	}
	if len(p.cidrs) == 0 {
		ranges := p.CIDRs
		if len(p.contents.Addresses) > 0 {
			ranges = nil
			for _, bitmap := range p.contents.Addresses {
				ranges = append(ranges, bitmap.Range)
			}
		}
		if len(ranges) == 0 {
			return errors.New("the source has no ServiceCIDR: name the cluster's ranges with --service-cluster-ip-range")
		}
		p.cidrs = []v1.ServiceCIDR{{ObjectMeta: newMeta(v1.DefaultRangeName), Spec: v1.ServiceCIDRSpec{CIDRs: ranges}}}
	}
	for i := range p.cidrs {
		for _, text := range p.cidrs[i].Spec.CIDRs {
			prefix, err := netip.ParsePrefix(text)
			if err != nil {
				return fmt.Errorf("ServiceCIDR %s: %w", p.cidrs[i].Name, err)
			}
			p.spans[prefix.Addr().Is6()] = append(p.spans[prefix.Addr().Is6()], space.PrefixSpan(prefix))
		}
	}
	return nil
}

// importedCIDR returns a ServiceCIDR without the finalizer of kube-controller-manager:
// Portolan decides on a deletion when it is requested.
func (p *planner) importedCIDR(cidr *networkingv1.ServiceCIDR) v1.ServiceCIDR {
	imported := v1.ServiceCIDR{ObjectMeta: *cidr.ObjectMeta.DeepCopy(), Spec: v1.ServiceCIDRSpec{CIDRs: cidr.Spec.CIDRs},
		Status: v1.ServiceCIDRStatus{Conditions: cidr.Status.Conditions}}
	imported.Finalizers = slices.DeleteFunc(imported.Finalizers, func(name string) bool {
		return name == "networking.k8s.io/service-cidr-finalizer"
	})
	if cidr.DeletionTimestamp != nil {
		imported.DeletionTimestamp, imported.DeletionGracePeriodSeconds = nil, nil
		p.problem("wait until it is gone, or delete the Services with addresses in it",
			"imports it as not ready, without the deletion; delete it again when it is empty", "servicecidrs/%s is being deleted", cidr.Name)
	}
	return imported
}

func (p *planner) planPortRange() error {
	p.portRange = p.PortRange
	if p.contents.Ports != nil && p.contents.Ports.Range != "" {
		p.portRange = p.contents.Ports.Range
	} else {
		p.Notes = append(p.Notes, fmt.Sprintf("the source does not show the range of node ports, so --service-node-port-range applies: %s",
			p.portRange))
	}
	if p.contents.Ports == nil {
		p.Notes = append(p.Notes, "the source does not show which node ports are allocated, so leaked ones are not reported; "+
			"they are free afterwards")
	}
	spans, err := portSpans(p.portRange)
	if err != nil {
		return fmt.Errorf("the range of node ports: %w", err)
	}
	p.portSpans = spans
	return nil
}

// indexServices converts the Services, the oldest first.
func (p *planner) indexServices() {
	for i := range p.contents.Services {
		from := &p.contents.Services[i]
		p.services = append(p.services, &v1.Service{ObjectMeta: from.ObjectMeta, Spec: from.Spec, Status: from.Status})
	}
	slices.SortFunc(p.services, func(a, b *v1.Service) int {
		if c := a.CreationTimestamp.Compare(b.CreationTimestamp.Time); c != 0 {
			return c
		}
		return strings.Compare(nameOf(a), nameOf(b))
	})
	for _, svc := range p.services {
		p.byName[nameOf(svc)] = svc
		for _, address := range service.ClusterIPs(svc) {
			p.addresses[address] = append(p.addresses[address], svc)
			p.taken[address.Is6()].Take(space.FromAddr(address))
		}
		for port := range service.NodePorts(svc) {
			p.ports[port] = append(p.ports[port], svc)
		}
	}
}

// indexClaims collects the IPAddresses. Bitmaps of cluster IPs count as IPAddresses that
// name the Service which holds the address.
func (p *planner) indexClaims() error {
	for i := range p.contents.IPAddresses {
		claim := &p.contents.IPAddresses[i]
		address, err := netip.ParseAddr(claim.Name)
		if err != nil || address.String() != claim.Name {
			p.problem("delete it in the cluster", "leaves it out", "ipaddresses/%s has a name that is not a canonical address", claim.Name)
			continue
		}
		p.claims[address] = claim
		p.taken[address.Is6()].Take(space.FromAddr(address))
	}
	if len(p.contents.ServiceCIDRs) > 0 {
		return nil
	}
	for _, bitmap := range p.contents.Addresses {
		addresses, err := bitmap.addresses()
		if err != nil {
			return err
		}
		for _, address := range addresses {
			claim := &networkingv1.IPAddress{ObjectMeta: metav1.ObjectMeta{
				Name: address.String(), Labels: v1.HeldAddressLabels(address.String()),
			}}
			if holders := p.addresses[address]; len(holders) > 0 {
				claim.Spec.ParentRef = &networkingv1.ParentReference{
					Resource: "services", Namespace: holders[0].Namespace, Name: holders[0].Name,
				}
			}
			p.claims[address] = claim
		}
	}
	return nil
}

// hasClaims reports whether the source shows who claims addresses.
func (p *planner) hasClaims() bool {
	return len(p.contents.IPAddresses)+len(p.contents.ServiceCIDRs)+len(p.contents.Addresses) > 0
}

// newMeta returns the metadata of an object that the source does not have.
func newMeta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, UID: uuid.NewUUID(), CreationTimestamp: metav1.Now()}
}

// newPortRange returns the NodePortRange of the cluster's node ports.
func (p *planner) newPortRange() *v1.NodePortRange {
	return &v1.NodePortRange{
		ObjectMeta: newMeta(v1.DefaultRangeName),
		Spec:       v1.NodePortRangeSpec{Ports: []string{p.portRange}, AutoAssign: ptr.To(true)},
	}
}

// namespacesWithObjects returns the names of the namespaces that have imported objects.
func (p *planner) namespacesWithObjects() map[string]bool {
	names := map[string]bool{}
	for name := range maps.Keys(p.byName) {
		namespace, _, _ := strings.Cut(name, "/")
		names[namespace] = true
	}
	for i := range p.contents.Endpoints {
		names[p.contents.Endpoints[i].Namespace] = true
	}
	for i := range p.contents.EndpointSlices {
		names[p.contents.EndpointSlices[i].Namespace] = true
	}
	return names
}
