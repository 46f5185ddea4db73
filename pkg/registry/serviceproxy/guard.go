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

// maxPodLookups bounds how often the cluster is asked for one request. Where
// Endpoints are in order the first Pod vouches; upstream has no bound.
const maxPodLookups = 10

// PodGetter asks the cluster for a Pod.
type PodGetter func(ctx context.Context, namespace, name string) (*corev1.Pod, error)

// Guard says which addresses may be reached. Whoever may write Endpoints could
// otherwise have the server reach anything for him that the server can reach.
//
// An address is reached if a Pod has it that is in the Service's namespace and
// that the address names as its target, which is upstream's rule; or if it is
// in one of the listed networks. Addresses of the server's own machine and of
// the link are reached only by a listed network that holds nothing else.
type Guard struct {
	// Allowed are the networks whose addresses need no Pod.
	Allowed []netip.Prefix
	// Own are the server's own addresses at the moment.
	Own func() ([]netip.Addr, error)
	// Pods is nil where there is no cluster.
	Pods PodGetter
}

// advice is for whoever asked for a Service none of whose addresses may be
// reached. It doesn't say which those are, as he may not be one to know.
func (g *Guard) advice() string {
	const flag = "--service-proxy-allow-cidrs, where loopback, link-local and the server's own need a CIDR to themselves"
	if g.Pods == nil {
		return "the server has no cluster to ask for Pods, and none of the addresses is in its " + flag
	}
	return "none of the addresses is that of a Pod in the namespace, or in the server's " + flag
}

// Loopback are the listed networks of loopback. Without a cluster endpoints may
// have their addresses, as nothing else could lead to what listens there. With
// one they may not, as upstream: each node would take them for its own.
func (g *Guard) Loopback() []netip.Prefix {
	if g.Pods != nil {
		return nil
	}
	var listed []netip.Prefix
	for _, prefix := range g.Allowed {
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

// trust is what it takes for an address to be reached.
type trust int

const (
	// refused addresses are not reached, whatever Pod has them.
	refused trust = iota
	// ofPod addresses are reached if a Pod has them.
	ofPod
	// listed addresses are reached.
	listed
)

// trustIn is what it takes to reach an address, which is not an IPv4 address
// in the form of an IPv6 one.
func trustIn(address netip.Addr, allowed []netip.Prefix, own []netip.Addr) trust {
	if !address.IsValid() || address.Zone() != "" || address.IsUnspecified() || address.IsMulticast() {
		return refused
	}
	network, isSpecial := specialNetwork(address, own)
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

// specialNetwork is the network that a listed one must lie in to mean a special
// address: for one of the server's own, the address itself.
func specialNetwork(address netip.Addr, own []netip.Addr) (netip.Prefix, bool) {
	for _, network := range special {
		if network.Contains(address) {
			return network, true
		}
	}
	for _, mine := range own {
		if mine.Unmap().WithZone("") == address {
			return netip.PrefixFrom(address, address.BitLen()), true
		}
	}
	return netip.Prefix{}, false
}

func within(inner, outer netip.Prefix) bool {
	return inner.Bits() >= outer.Bits() && outer.Contains(inner.Addr())
}

// choose returns the first of the candidates that may be reached. It is not
// valid where there is none; some says whether there were candidates.
func (g *Guard) choose(ctx context.Context, namespace string, candidates iter.Seq2[*corev1.EndpointAddress, uint16]) (chosen netip.AddrPort,
	some bool, err error) {
	own, err := g.Own()
	if err != nil {
		return netip.AddrPort{}, false, fmt.Errorf("the server's own addresses: %w", err)
	}
	pods := bounded(g.Pods)
	for candidate, port := range candidates {
		some = true
		// What is no address is not valid and so refused, lest it be taken for
		// the name of a host.
		address, _ := netip.ParseAddr(candidate.IP)
		address = address.Unmap()
		var refusal error
		switch trustIn(address, g.Allowed, own) {
		case refused:
			refusal = errors.New("only a listed network of its kind counts for it")
		case ofPod:
			refusal = vouch(ctx, pods, namespace, candidate.TargetRef, address)
		}
		if refusal == nil {
			return netip.AddrPortFrom(address, port), some, nil
		}
		klog.FromContext(ctx).V(2).Info("Address is not proxied to", "namespace", namespace, "address", candidate.IP, "why", refusal)
	}
	return netip.AddrPort{}, some, nil
}

// bounded asks at most maxPodLookups times, and never where there is no
// cluster.
func bounded(pods PodGetter) PodGetter {
	if pods == nil {
		return func(context.Context, string, string) (*corev1.Pod, error) {
			return nil, errors.New("there is no cluster to ask for its Pod")
		}
	}
	left := maxPodLookups
	return func(ctx context.Context, namespace, name string) (*corev1.Pod, error) {
		if left == 0 {
			return nil, errors.New("too many Pods were asked for already")
		}
		left--
		return pods(ctx, namespace, name)
	}
}

// vouch returns nil if the target is a Pod of the namespace that has the
// address.
func vouch(ctx context.Context, pods PodGetter, namespace string, target *corev1.ObjectReference, address netip.Addr) error {
	if target == nil || target.Kind != "Pod" {
		return errors.New("its target is no Pod")
	}
	if target.Namespace != namespace {
		return errors.New("its Pod is in another namespace")
	}
	pod, err := pods(ctx, namespace, target.Name)
	if err != nil {
		return err
	}
	// The address of a Pod that has ended may be another's by now.
	if pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
		return errors.New("its Pod has ended")
	}
	for _, ip := range pod.Status.PodIPs {
		if has, err := netip.ParseAddr(ip.IP); err == nil && has.Unmap() == address {
			return nil
		}
	}
	return errors.New("its Pod has another address")
}
