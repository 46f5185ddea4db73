package loadbalancer

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
	netutils "k8s.io/utils/net"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

// Request is what a Service asks of load-balancer pools. Everything can be empty.
type Request struct {
	// Addresses are those that the Service names, at most one of each IP family, in the
	// order in which it names them.
	Addresses []Address
	// Pool is the name of the pool, and PoolPath the annotation that has it.
	Pool     string
	PoolPath *field.Path
	// SharingKey is the key under which the Service shares its addresses, and
	// SharingKeyPath the annotation that has it.
	SharingKey     string
	SharingKeyPath *field.Path

	// SharesWith are the namespaces with whose Services it shares addresses, or
	// v1.SharesWithAll. Without any, it shares with all that the pool allows.
	SharesWith []string
}

// Address is an address that a Service names, and the field or annotation that names it.
type Address struct {
	IP   netip.Addr
	Path *field.Path
}

// Parse returns what a Service asks for. It returns the parts that are valid beside the
// errors.
func Parse(service *v1.Service) (Request, field.ErrorList) {
	var request Request
	var errs field.ErrorList
	request.Addresses, errs = addresses(service)

	pool, more := agreed(service, v1.LoadBalancerPoolAnnotation, "metallb.io/address-pool", "metallb.universe.tf/address-pool")
	errs = append(errs, more...)
	request.Pool, request.PoolPath = pool.value, pool.path

	own, more := agreed(service, slices.Concat(
		[]string{v1.LoadBalancerSharingKeyAnnotation, "metallb.io/allow-shared-ip", "metallb.universe.tf/allow-shared-ip"}, ciliumKeys())...)
	errs = append(errs, more...)
	request.SharingKey, request.SharingKeyPath = own.value, own.path

	namespaces, more := agreed(service, "lbipam.cilium.io/sharing-cross-namespace", "io.cilium/lb-ipam-sharing-cross-namespace")
	errs = append(errs, more...)
	switch {
	case namespaces.value != "":
		request.SharesWith = list(namespaces.value)
	case slices.Contains(ciliumKeys(), own.annotation):
		// Cilium shares within a namespace unless the annotation says more.
		request.SharesWith = []string{service.Namespace}
	}
	return request, errs
}

func ciliumKeys() []string {
	return []string{"lbipam.cilium.io/sharing-key", "io.cilium/lb-ipam-sharing-key"}
}

// said is the value of an annotation.
type said struct {
	annotation, value string
	path              *field.Path
}

// agreed returns the first of the annotations that is not empty. The others must have the
// same value.
func agreed(service *v1.Service, annotations ...string) (said, field.ErrorList) {
	var first said
	var errs field.ErrorList
	for _, annotation := range annotations {
		value := strings.TrimSpace(service.Annotations[annotation])
		if value == "" {
			continue
		}
		switch path := annotationPath(annotation); {
		case first.value == "":
			first = said{annotation, value, path}
		case first.value != value:
			errs = append(errs, field.Invalid(path, value, fmt.Sprintf("must be the same as %s, which is %q", first.path, first.value)))
		}
	}
	return first, errs
}

func annotationPath(annotation string) *field.Path {
	return field.NewPath("metadata", "annotations").Key(annotation)
}

// addresses returns the addresses that a Service names. All fields and annotations that
// name any must name the same.
func addresses(service *v1.Service) ([]Address, field.ErrorList) {
	var named []Address
	var errs field.ErrorList
	if text := service.Spec.LoadBalancerIP; text != "" {
		path := field.NewPath("spec", "loadBalancerIP")
		// The field accepts spellings that newer fields do not.
		ip, ok := netip.AddrFromSlice(netutils.ParseIPSloppy(text))
		if !ok {
			errs = append(errs, field.Invalid(path, text, "must be a valid IP address"))
		} else {
			named = []Address{{ip.Unmap(), path}}
		}
	}
	for _, annotation := range []string{
		v1.LoadBalancerIPsAnnotation, "metallb.io/loadBalancerIPs", "metallb.universe.tf/loadBalancerIPs", "lbipam.cilium.io/ips",
		"io.cilium/lb-ipam-ips",
	} {
		text := service.Annotations[annotation]
		if text == "" {
			continue
		}
		path := annotationPath(annotation)
		these, malformed := parseList(text, path)
		errs = append(errs, malformed...)
		switch {
		case len(these) == 0:
		case len(named) == 0:
			named = these
		case !sameAddresses(named, these):
			errs = append(errs, field.Invalid(path, text, fmt.Sprintf("must name the same addresses as %s", named[0].Path)))
		}
	}
	return named, errs
}

func parseList(text string, path *field.Path) ([]Address, field.ErrorList) {
	var addresses []Address
	for _, entry := range list(text) {
		ip, err := netip.ParseAddr(entry)
		ip = ip.Unmap()
		switch {
		case err != nil || ip.Zone() != "":
			return nil, field.ErrorList{field.Invalid(path, text, fmt.Sprintf("must be IP addresses, separated by commas; %q is not one", entry))}
		case slices.ContainsFunc(addresses, func(a Address) bool { return a.IP.Is4() == ip.Is4() }):
			return nil, field.ErrorList{field.Invalid(path, text, "may name at most one address of each IP family")}
		}
		addresses = append(addresses, Address{ip, path})
	}
	return addresses, nil
}

// list returns the entries of a list that is separated by commas.
func list(text string) []string {
	entries := []string{}
	for entry := range strings.SplitSeq(text, ",") {
		if entry = strings.TrimSpace(entry); entry != "" {
			entries = append(entries, entry)
		}
	}
	return entries
}

// sameAddresses ignores the order.
func sameAddresses(a, b []Address) bool {
	sorted := func(addresses []Address) []Address {
		return slices.SortedFunc(slices.Values(addresses), func(a, b Address) int { return a.IP.Compare(b.IP) })
	}
	return slices.EqualFunc(sorted(a), sorted(b), func(a, b Address) bool { return a.IP == b.IP })
}
