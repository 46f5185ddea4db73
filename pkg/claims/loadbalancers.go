package claims

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	"github.com/portolan-dev/portolan/apis/portolan/addressrange"
	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/allocation"
	"github.com/portolan-dev/portolan/pkg/allocation/space"
	"github.com/portolan-dev/portolan/pkg/service"
	"github.com/portolan-dev/portolan/pkg/service/loadbalancer"
)

// loadBalancers are load-balancer addresses. Their claims are LoadBalancerIPs, their ranges
// LoadBalancerPools. They are in the status of a Service, which waits if it gets none.
type loadBalancers struct{}

var _ kind = loadBalancers{}

// LoadBalancerClass returns the class of the load-balancer addresses of a family.
func LoadBalancerClass(family corev1.IPFamily) allocation.Class {
	if family == corev1.IPv6Protocol {
		return allocation.LoadBalancerIPv6
	}
	return allocation.LoadBalancerIPv4
}

func (loadBalancers) names() names {
	return names{noun: "load-balancer address", claims: "loadbalancerips", ranges: "loadbalancerpools", rangeKind: "LoadBalancerPool"}
}

func (loadBalancers) classes() []allocation.Class {
	return []allocation.Class{allocation.LoadBalancerIPv4, allocation.LoadBalancerIPv6}
}

func (loadBalancers) observesBlocks() bool { return false }

func (loadBalancers) parse(name string) (allocation.Value, bool) {
	addr, err := netip.ParseAddr(name)
	if err != nil {
		return allocation.Value{}, false
	}
	return allocation.LoadBalancerAddress(addr), true
}

func (loadBalancers) newClaim() runtime.Object { return &v1.LoadBalancerIP{} }

func (loadBalancers) heldClaim(name string, held holding, _ *v1.Service) runtime.Object {
	return v1.NewHeldLoadBalancerAddress(name, held.share.Key, held.share.LoadBalancerIPHolder)
}

// heldLabels returns nil: the server sets no labels on LoadBalancerIPs.
func (loadBalancers) heldLabels(string) map[string]string { return nil }

// reserve keeps the sharing key, so that any of the Services that have shared the address can
// be the first to come back.
func (loadBalancers) reserve(claim runtime.Object, owner *v1.Service, expires *metav1.Time) {
	spec := &claim.(*v1.LoadBalancerIP).Spec
	spec.ParentRef, spec.Holders, spec.ExpirationTimestamp = v1.HolderOf(owner), nil, expires
}

func (k loadBalancers) claim(obj runtime.Object) (contents, bool) {
	address, ok := obj.(*v1.LoadBalancerIP)
	if !ok {
		return contents{}, false
	}
	return contents{
		kind: k, meta: &address.ObjectMeta, parent: address.Spec.ParentRef, sharing: &address.Spec, spec: &address.Spec,
		terms: allocation.Terms{Expires: timeOf(address.Spec.ExpirationTimestamp), SharingKey: address.Spec.SharingKey},
	}, true
}

func (loadBalancers) newRange() runtime.Object { return &v1.LoadBalancerPool{} }

// offers returns what a pool has of both families. All blocks of a family have one text:
// exclusions can split a pool into hundreds of blocks.
func (k loadBalancers) offers(obj runtime.Object, revision int64) []offer {
	pool := obj.(*v1.LoadBalancerPool)
	blocks := map[allocation.Class][]allocation.Block{}
	for _, span := range k.spans(pool) {
		class := allocation.LoadBalancerAddress(span.First.Addr()).Class
		blocks[class] = append(blocks[class], allocation.Block{Text: entriesText(&pool.Spec, class), Span: span})
	}
	policy := allocation.PoolPolicy(&pool.Spec)
	var offers []offer
	for _, class := range k.classes() {
		offers = append(offers, offer{class, allocation.Range{
			Name: pool.Name, Revision: revision, Blocks: blocks[class], Policy: policy,
			Usable: pool.DeletionTimestamp == nil && len(blocks[class]) > 0,
		}})
	}
	return offers
}

// maxEntriesShown bounds the entries of a pool in a message.
const maxEntriesShown = 3

// entriesText returns the CIDRs and ranges of a pool that are of a class.
func entriesText(spec *v1.LoadBalancerPoolSpec, class allocation.Class) string {
	var entries []string
	for _, entry := range slices.Concat(spec.CIDRs, spec.Ranges) {
		if parsed, err := addressrange.Parse(entry); err == nil && allocation.LoadBalancerAddress(parsed.First).Class == class {
			entries = append(entries, entry)
		}
	}
	if more := len(entries) - maxEntriesShown; more > 0 {
		entries = append(entries[:maxEntriesShown:maxEntriesShown], fmt.Sprintf("%d more", more))
	}
	return strings.Join(entries, ", ")
}

func (loadBalancers) conditions(obj runtime.Object) *[]metav1.Condition {
	if pool, ok := obj.(*v1.LoadBalancerPool); ok {
		return &pool.Status.Conditions
	}
	return nil
}

func (loadBalancers) spans(obj runtime.Object) []space.Span {
	pool, ok := obj.(*v1.LoadBalancerPool)
	if !ok {
		return nil
	}
	var spans []space.Span
	for _, addresses := range addressrange.OfPool(&pool.Spec) {
		spans = append(spans, space.Span{First: space.FromAddr(addresses.First), Last: space.FromAddr(addresses.Last)})
	}
	return spans
}

func (loadBalancers) shrinks(before, after runtime.Object) *field.Path {
	old, changed := &before.(*v1.LoadBalancerPool).Spec, &after.(*v1.LoadBalancerPool).Spec
	spec := field.NewPath("spec")
	switch {
	case !slices.Equal(old.CIDRs, changed.CIDRs):
		return spec.Child("cidrs")
	case !slices.Equal(old.Ranges, changed.Ranges):
		return spec.Child("ranges")
	case !slices.Equal(old.Exclude, changed.Exclude):
		return spec.Child("exclude")
	case ptr.Deref(old.AvoidBuggyIPs, false) != ptr.Deref(changed.AvoidBuggyIPs, false):
		return spec.Child("avoidBuggyIPs")
	}
	return nil
}

func (loadBalancers) asks(svc *v1.Service) allocation.Requester {
	// Admission reports what can't be parsed.
	request, _ := loadbalancer.Parse(svc)
	return allocation.Requester{
		Range: request.Pool, LoadBalancerClass: ptr.Deref(svc.Spec.LoadBalancerClass, ""), Share: shareOf(svc, request),
	}
}

func shareOf(svc *v1.Service, request loadbalancer.Request) *allocation.Share {
	share := &allocation.Share{LoadBalancerIPHolder: service.LoadBalancerHolder(svc), Key: request.SharingKey}
	share.SharesWith = request.SharesWith
	_, share.Retains = v1.Retention(svc)
	return share
}

func (loadBalancers) rangePath(svc *v1.Service) *field.Path {
	request, _ := loadbalancer.Parse(svc)
	return request.PoolPath
}

func (loadBalancers) addHoldings(svc *v1.Service, to holdings) {
	held := service.LoadBalancerAddresses(svc)
	if len(held) == 0 {
		return
	}
	request, _ := loadbalancer.Parse(svc)
	share := shareOf(svc, request)
	for _, addr := range held {
		to[allocation.LoadBalancerAddress(addr)] = holding{share: share}
	}
}

func (loadBalancers) addPositions(svc *v1.Service, to positions) {
	for _, addr := range service.LoadBalancerAddresses(svc) {
		to.add(allocation.LoadBalancerAddress(addr))
	}
}

func (loadBalancers) substitute(svc *v1.Service, old, replacement allocation.Value) {
	for i := range svc.Status.LoadBalancer.Ingress {
		if ingress := &svc.Status.LoadBalancer.Ingress[i]; ingress.IP == old.String() {
			ingress.IP = replacement.String()
		}
	}
}

func (loadBalancers) fixedBy(svc *v1.Service, value allocation.Value) *field.Path {
	request, _ := loadbalancer.Parse(svc)
	for _, named := range request.Addresses {
		if allocation.LoadBalancerAddress(named.IP) == value {
			return named.Path
		}
	}
	return nil
}

// withdraw makes the Service wait, unless it has another address and can do with one.
func (loadBalancers) withdraw(svc *v1.Service, value allocation.Value, cause error) bool {
	full, ok := errors.AsType[*allocation.ExhaustedError](cause)
	if !ok {
		return false
	}
	others := slices.DeleteFunc(service.LoadBalancerAddresses(svc), func(addr netip.Addr) bool {
		return allocation.LoadBalancerAddress(addr) == value
	})
	if len(others) > 0 && ptr.Deref(svc.Spec.IPFamilyPolicy, "") != corev1.IPFamilyPolicyRequireDualStack {
		service.SetLoadBalancerAddresses(&svc.Status, others, full.Error(), metav1.Now())
	} else {
		service.WaitForLoadBalancer(&svc.Status, v1.ReasonPoolFull, full.Error(), metav1.Now())
	}
	return true
}

// fieldError is about the field that names the address or, for an address that the server
// picks, about the type.
func (k loadBalancers) fieldError(svc *v1.Service, value allocation.Value, cause error) *field.Error {
	if path := k.fixedBy(svc, value); path != nil {
		return field.Invalid(path, value.String(), loadBalancerText(cause))
	}
	return field.Invalid(field.NewPath("spec", "type"), svc.Spec.Type, loadBalancerText(cause))
}

func loadBalancerText(cause error) string {
	if _, ok := errors.AsType[*outOfRangeError](cause); ok {
		return "the address lies in no LoadBalancerPool"
	}
	if full, ok := errors.AsType[*allocation.ExhaustedError](cause); ok {
		return "failed to allocate a load-balancer address: " + full.Error()
	}
	if taken, ok := errors.AsType[*takenError](cause); ok {
		return "the address is " + taken.Error()
	}
	return "failed to allocate the load-balancer address: " + cause.Error()
}
