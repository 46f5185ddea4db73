package loadbalancer

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/warning"
	"k8s.io/utils/ptr"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/allocation"
	"github.com/portolan-dev/portolan/pkg/claims"
	"github.com/portolan-dev/portolan/pkg/requeststate"
	"github.com/portolan-dev/portolan/pkg/service"
	"github.com/portolan-dev/portolan/pkg/service/loadbalancer"
)

// serving is the decision about one Service.
type serving struct {
	ledger *claims.Ledger
	svc    *v1.Service
	// stored is nil on create.
	stored *v1.Service
	who    claims.Requester
	picks  *requeststate.Picks
	// request is what the Service asks for, and before what it has asked for.
	request, before loadbalancer.Request
	// current has an address of each family that the Service keeps if it can: one that it
	// holds or, if it holds none, one that another controller has given it.
	current map[allocation.Class]netip.Addr
	// holds is true if the Service holds the current addresses.
	holds bool
}

// waiting says why a Service waits for an address.
type waiting struct{ reason, message string }

// decide returns the status of the Service, or why the Service is rejected.
func (s *serving) decide(ctx context.Context) (*corev1.ServiceStatus, *field.Error) {
	var status corev1.ServiceStatus
	if s.stored != nil {
		status = s.stored.Status
	}
	if cause := s.checkRequest(); cause != nil {
		return nil, cause
	}
	if !s.findCurrent(ctx, &status) {
		service.LeaveLoadBalancer(&status)
		return &status, nil
	}
	var addresses []netip.Addr
	var wait *waiting
	for _, family := range s.svc.Spec.IPFamilies {
		address, waits, cause := s.address(ctx, family)
		switch {
		case cause != nil:
			return nil, cause
		case address.IsValid():
			addresses = append(addresses, address)
		case waits != nil && wait == nil:
			wait = waits
		}
	}
	s.set(&status, addresses, wait)
	return &status, nil
}

// set sets the addresses in the status, or makes the Service wait. A Service that requires
// both families gets both or, at first, none.
func (s *serving) set(status *corev1.ServiceStatus, addresses []netip.Addr, wait *waiting) {
	incomplete := ptr.Deref(s.svc.Spec.IPFamilyPolicy, "") == corev1.IPFamilyPolicyRequireDualStack &&
		len(addresses) > 0 && len(addresses) < len(s.svc.Spec.IPFamilies)
	if incomplete && !s.holds {
		addresses = nil
		if wait == nil {
			wait = &waiting{v1.ReasonAddressUnavailable,
				"The Service requires addresses of both IP families, and no LoadBalancerPool that serves it has those of the other family"}
		}
	}
	switch {
	case len(addresses) > 0:
		lack := ""
		if wait != nil {
			lack = wait.message
		}
		service.SetLoadBalancerAddresses(status, addresses, lack, metav1.Now())
	case wait != nil:
		service.WaitForLoadBalancer(status, wait.reason, wait.message, metav1.Now())
	default:
		if s.holds {
			status.LoadBalancer = corev1.LoadBalancerStatus{}
		}
		service.LeaveLoadBalancer(status)
	}
}

// isSelected reports whether a pool selects the Service, or the Service holds addresses.
func (s *serving) isSelected() bool {
	for _, family := range s.svc.Spec.IPFamilies {
		class := claims.LoadBalancerClass(family)
		if s.ledger.Index.Selects(class, s.who.Of(class)) {
			return true
		}
	}
	return s.stored != nil && len(service.LoadBalancerAddresses(s.stored)) > 0
}

// checkRequest rejects a pool that does not exist or does not select the Service, and an
// address of a family that the Service does not have, unless the Service has asked for them
// before.
func (s *serving) checkRequest() *field.Error {
	if cause := s.ledger.CheckNamedRange(s.who, s.stored, allocation.LoadBalancerIPv4); cause != nil {
		return cause
	}
	for _, named := range s.request.Addresses {
		if !s.isSelected() || !s.namesAnew(named.IP) {
			continue
		}
		if family := familyOf(named.IP); !s.hasFamily(family) {
			return field.Invalid(named.Path, named.IP.String(), fmt.Sprintf("the Service has no %s addresses (spec.ipFamilies)", family))
		}
	}
	return nil
}

// findCurrent finds the current addresses. It reports false if another controller has given
// the Service what it can't keep: that controller goes on serving it.
func (s *serving) findCurrent(ctx context.Context, status *corev1.ServiceStatus) bool {
	s.current = map[allocation.Class]netip.Addr{}
	if s.stored == nil || s.stored.Spec.Type != corev1.ServiceTypeLoadBalancer {
		return true
	}
	for _, address := range service.LoadBalancerAddresses(s.stored) {
		s.holds = true
		s.current[allocation.LoadBalancerAddress(address).Class] = address
	}
	if s.holds || len(status.LoadBalancer.Ingress) == 0 {
		return true
	}
	for _, ingress := range status.LoadBalancer.Ingress {
		address, err := netip.ParseAddr(ingress.IP)
		if err != nil {
			return false
		}
		address = address.Unmap()
		value := allocation.LoadBalancerAddress(address)
		if other, ok := s.current[value.Class]; ok && other != address {
			return false
		}
		if !s.hasFamily(familyOf(address)) || s.ledger.Check(ctx, s.who, value) != nil {
			return false
		}
		s.current[value.Class] = address
	}
	return true
}

// address returns the address of a family that the Service gets. It is not valid if the
// Service waits, or if no pool serves the Service such an address.
func (s *serving) address(ctx context.Context, family corev1.IPFamily) (netip.Addr, *waiting, *field.Error) {
	class := claims.LoadBalancerClass(family)
	for _, named := range s.request.Addresses {
		if allocation.LoadBalancerAddress(named.IP).Class == class {
			address, wait := s.named(ctx, named.IP)
			return address, wait, s.lost(class, wait)
		}
	}
	if current, ok := s.current[class]; ok && s.keeps(current) {
		return current, nil, nil
	}
	who := s.who.Of(class)
	if s.request.Pool != "" && len(s.ledger.Index.BlocksOf(class, s.request.Pool)) == 0 {
		return netip.Addr{}, nil, nil
	}
	slot := "loadBalancer/" + string(family)
	if reserved := s.ledger.Reserved(s.who, class, s.picks); len(reserved) > 0 {
		s.picks.UseReserved(slot, reserved[0].Value)
		s.warnOfMove(ctx, class)
		return reserved[0].Value.Number.Addr(), nil, nil
	}
	value, err := s.picks.Pick(slot, class, who)
	if err == nil {
		s.warnOfMove(ctx, class)
		return value.Number.Addr(), nil, nil
	}
	full, ok := errors.AsType[*allocation.ExhaustedError](err)
	switch {
	case !ok:
		return netip.Addr{}, nil, claims.FieldError(s.svc, allocation.Value{Class: class}, err)
	case len(full.Ranges) == 0 && s.request.Pool == "":
		return netip.Addr{}, nil, nil
	}
	wait := &waiting{v1.ReasonPoolFull, full.Error()}
	return netip.Addr{}, wait, s.lost(class, wait)
}

// warnOfMove tells the client that the Service gives up an address that it holds.
func (s *serving) warnOfMove(ctx context.Context, class allocation.Class) {
	if held, ok := s.current[class]; ok && s.holds {
		warning.AddWarning(ctx, "", fmt.Sprintf("the Service gets another load-balancer address than %s", held))
	}
}

// named decides about an address that the Service names. The transaction rejects the
// Service if it can't have the address, unless the Service has named it before: then it
// waits. An address that has nothing to do with the pools is none of theirs.
func (s *serving) named(ctx context.Context, address netip.Addr) (netip.Addr, *waiting) {
	value := allocation.LoadBalancerAddress(address)
	who := s.who.Of(value.Class)
	if _, err := s.ledger.Index.Covering(value, who); errors.Is(err, allocation.ErrOutside) && !s.ledger.Index.Selects(value.Class, who) {
		return netip.Addr{}, nil
	}
	if s.namesAnew(address) || s.holds && s.current[value.Class] == address {
		return address, nil
	}
	if cause := s.ledger.Check(ctx, s.who, value); cause != nil {
		return netip.Addr{}, &waiting{v1.ReasonAddressUnavailable, cause.Field + ": " + cause.Detail}
	}
	return address, nil
}

// namesAnew reports whether the Service begins to name an address.
func (s *serving) namesAnew(address netip.Addr) bool {
	if s.stored == nil || s.stored.Spec.Type != corev1.ServiceTypeLoadBalancer {
		return true
	}
	return !slices.ContainsFunc(s.before.Addresses, func(named loadbalancer.Address) bool { return named.IP == address })
}

// keeps reports whether the Service keeps a current address. It does not if it begins to
// name another pool, or if the other holders of the address object to its ports or its key.
func (s *serving) keeps(current netip.Addr) bool {
	value := allocation.LoadBalancerAddress(current)
	who := s.who.Of(value.Class)
	if s.request.Pool != "" && s.request.Pool != s.before.Pool {
		if _, err := s.ledger.Index.Covering(value, who); err != nil {
			return false
		}
	}
	claim, claimed := s.ledger.Index.Lookup(value)
	return !claimed || claim.Without(s.svc.UID).Objection(who.Share, true) == nil
}

// lost returns an error if the Service would lose the address of a class that it holds,
// because it waits for another.
func (s *serving) lost(class allocation.Class, wait *waiting) *field.Error {
	held, ok := s.current[class]
	if !s.holds || !ok || wait == nil {
		return nil
	}
	return claims.FieldError(s.svc, allocation.Value{Class: class},
		fmt.Errorf("the Service can't keep %s, and there is no other: %s", held, wait.message))
}

func (s *serving) hasFamily(family corev1.IPFamily) bool {
	return slices.Contains(s.svc.Spec.IPFamilies, family)
}

func familyOf(address netip.Addr) corev1.IPFamily {
	if address.Is4() {
		return corev1.IPv4Protocol
	}
	return corev1.IPv6Protocol
}
