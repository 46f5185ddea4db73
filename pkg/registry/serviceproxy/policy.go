package serviceproxy

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"
)

// maxPodLookups limits the Pods that one request reads from the cluster. With correct
// Endpoints the first one suffices. Upstream has no limit.
const maxPodLookups = 10

// PodGetter reads a Pod from the cluster.
type PodGetter func(ctx context.Context, namespace, name string) (*corev1.Pod, error)

// AddressPolicy decides which addresses the proxy connects to. Without it, a user who
// can write Endpoints could reach, through the server, any address that only the server
// can reach (SSRF).
//
// The proxy connects to an address in one of two cases. Either the address names a Pod
// in the Service's namespace as its target, and the Pod has that address; this is
// upstream's rule. Or the address is in an allowed network. Loopback addresses,
// link-local addresses and the server's own need an allowed network that contains no
// other addresses.
type AddressPolicy struct {
	// Allowed lists the networks whose addresses need no Pod.
	Allowed []netip.Prefix
	// LocalAddresses returns the server's current addresses.
	LocalAddresses func() ([]netip.Addr, error)
	// Pods is nil without a cluster.
	Pods PodGetter
}

// advice explains to a client why the proxy connects to none of a Service's addresses.
// It does not name the addresses, because the client might not be allowed to read them.
func (p *AddressPolicy) advice() string {
	const flag = "--service-proxy-allow-cidrs, where loopback, link-local and the server's own need a CIDR to themselves"
	if p.Pods == nil {
		return "the server has no cluster to ask for Pods, and none of the addresses is in its " + flag
	}
	return "none of the addresses is that of a Pod in the namespace, or in the server's " + flag
}

// Loopback returns the allowed networks that are loopback networks. Endpoints of a
// standalone server can have such addresses, because a process that listens there is
// reachable in no other way. In a cluster they cannot, as upstream: on every node the
// address means the node itself.
func (p *AddressPolicy) Loopback() []netip.Prefix {
	if p.Pods != nil {
		return nil
	}
	var listed []netip.Prefix
	for _, prefix := range p.Allowed {
		if slices.ContainsFunc(loopback, func(network netip.Prefix) bool { return within(prefix, network) }) {
			listed = append(listed, prefix)
		}
	}
	return listed
}

var (
	loopback  = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	linkLocal = []netip.Prefix{netip.MustParsePrefix("169.254.0.0/16"), netip.MustParsePrefix("fe80::/10")}
	special   = slices.Concat(loopback, linkLocal)
)

// trust is the condition under which the proxy connects to an address.
type trust int

const (
	// refused: never.
	refused trust = iota
	// ofPod: if a Pod has the address.
	ofPod
	// listed: always.
	listed
)

// trustIn returns the trust in an address, which must not be an IPv4-mapped IPv6
// address.
func trustIn(address netip.Addr, allowed []netip.Prefix, local []netip.Addr) trust {
	if !address.IsValid() || address.Zone() != "" || address.IsUnspecified() || address.IsMulticast() {
		return refused
	}
	network, isSpecial := specialNetwork(address, local)
	for _, prefix := range allowed {
		if prefix.Contains(address) && (!isSpecial || within(prefix, network)) {
			return listed
		}
	}
	if isSpecial {
		return refused
	}
	return ofPod
}

// specialNetwork reports whether an address is special, and returns the network that an
// allowed network must lie in to include it. For one of the server's own addresses that
// is the address itself.
func specialNetwork(address netip.Addr, local []netip.Addr) (netip.Prefix, bool) {
	for _, network := range special {
		if network.Contains(address) {
			return network, true
		}
	}
	for _, mine := range local {
		if mine.Unmap().WithZone("") == address {
			return netip.PrefixFrom(address, address.BitLen()), true
		}
	}
	return netip.Prefix{}, false
}

func within(inner, outer netip.Prefix) bool {
	return inner.Bits() >= outer.Bits() && outer.Contains(inner.Addr())
}

// choose returns the first candidate to which the proxy may connect, or an invalid
// address if there is none. It reports in some whether there were any candidates.
func (p *AddressPolicy) choose(ctx context.Context, namespace string,
	candidates iter.Seq2[*corev1.EndpointAddress, uint16]) (chosen netip.AddrPort, some bool, err error) {
	local, err := p.LocalAddresses()
	if err != nil {
		return netip.AddrPort{}, false, fmt.Errorf("reading the server's own addresses: %w", err)
	}
	pods := bounded(p.Pods)
	for candidate, port := range candidates {
		some = true
		// A malformed address becomes the invalid one, which is refused. Dialing it
		// would resolve it as a host name.
		address, _ := netip.ParseAddr(candidate.IP)
		address = address.Unmap()
		var reason error
		switch trustIn(address, p.Allowed, local) {
		case refused:
			reason = errors.New("the address is special and in no allowed network of its own")
		case ofPod:
			reason = checkPod(ctx, pods, namespace, candidate.TargetRef, address)
		}
		if reason == nil {
			return netip.AddrPortFrom(address, port), some, nil
		}
		klog.FromContext(ctx).V(2).Info("Skipped an endpoint address", "namespace", namespace, "address", candidate.IP, "reason", reason)
	}
	return netip.AddrPort{}, some, nil
}

// bounded returns a getter that reads at most maxPodLookups Pods. Without a cluster the
// getter always fails.
func bounded(pods PodGetter) PodGetter {
	if pods == nil {
		return func(context.Context, string, string) (*corev1.Pod, error) {
			return nil, errors.New("there is no cluster to read the Pod from")
		}
	}
	left := maxPodLookups
	return func(ctx context.Context, namespace, name string) (*corev1.Pod, error) {
		if left == 0 {
			return nil, fmt.Errorf("%d Pods have been read for this request", maxPodLookups)
		}
		left--
		return pods(ctx, namespace, name)
	}
}

// checkPod returns an error unless the target is a Pod in the namespace and has the
// address.
func checkPod(ctx context.Context, pods PodGetter, namespace string, target *corev1.ObjectReference, address netip.Addr) error {
	if target == nil || target.Kind != "Pod" {
		return errors.New("the target is not a Pod")
	}
	if target.Namespace != namespace {
		return errors.New("the Pod is in another namespace")
	}
	pod, err := pods(ctx, namespace, target.Name)
	if err != nil {
		return err
	}
	// The address of a terminated Pod can belong to another Pod by now.
	if pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
		return errors.New("the Pod has terminated")
	}
	for _, ip := range pod.Status.PodIPs {
		if has, err := netip.ParseAddr(ip.IP); err == nil && has.Unmap() == address {
			return nil
		}
	}
	return errors.New("the Pod has another address")
}
