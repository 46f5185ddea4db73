package validation

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	"github.com/portolan-dev/portolan/apis/portolan/addressrange"
	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

const (
	// maxPoolEntries is the most CIDRs and ranges, and the most exclusions, of a pool. A
	// claim is compared with each of them.
	maxPoolEntries = 256
	// maxBuggyAddresses is the most IPv4 addresses of a pool that leaves out .0 and .255,
	// because that splits it every 256 addresses.
	maxBuggyAddresses = 1 << 16
)

var (
	poolCIDRsPath   = specPath.Child("cidrs")
	poolRangesPath  = specPath.Child("ranges")
	poolExcludePath = specPath.Child("exclude")
	poolBuggyPath   = specPath.Child("avoidBuggyIPs")
)

// ValidateLoadBalancerPoolCreate validates a LoadBalancerPool that a client creates.
// Upstream has no such kind.
func ValidateLoadBalancerPoolCreate(pool *v1.LoadBalancerPool) field.ErrorList {
	errs := ValidateObjectMeta(&pool.ObjectMeta, false, apivalidation.NameIsDNSSubdomain, metadataPath)
	return Bounded(append(errs, validateLoadBalancerPoolSpec(&pool.Spec)...))
}

// ValidateLoadBalancerPoolUpdate validates an update of a LoadBalancerPool. Everything in
// the spec can change. The transaction of the write rejects the removal of claimed
// addresses, because it sees the claims.
func ValidateLoadBalancerPoolUpdate(pool, old *v1.LoadBalancerPool) field.ErrorList {
	errs := ValidateObjectMetaUpdate(&pool.ObjectMeta, &old.ObjectMeta, metadataPath)
	return Bounded(append(errs, validateLoadBalancerPoolSpec(&pool.Spec)...))
}

// ValidateLoadBalancerPoolStatusUpdate validates an update of the status.
func ValidateLoadBalancerPoolStatusUpdate(pool, old *v1.LoadBalancerPool) field.ErrorList {
	errs := ValidateObjectMetaUpdate(&pool.ObjectMeta, &old.ObjectMeta, metadataPath)
	return Bounded(append(errs, validateConditionsUpdate(pool.Status.Conditions, old.Status.Conditions, statusPath.Child("conditions"))...))
}

func poolPolicy(spec *v1.LoadBalancerPoolSpec) rangePolicy {
	return rangePolicy{spec.NamespaceSelector, spec.ServiceSelector, spec.Allocation, spec.WhenFull}
}

func validateLoadBalancerPoolSpec(spec *v1.LoadBalancerPoolSpec) field.ErrorList {
	errs := validatePoolAddresses(spec)
	errs = append(errs, validateRangePolicy(poolPolicy(spec))...)
	if spec.LoadBalancerClass != nil {
		errs = append(errs, validateQualifiedName(*spec.LoadBalancerClass, specPath.Child("loadBalancerClass"))...)
	}
	return append(errs, validateEnum(spec.Sharing, specPath.Child("sharing"), v1.SharingSameNamespace, v1.SharingAcrossNamespaces)...)
}

// addressEntry is an entry of a pool and its place.
type addressEntry struct {
	path *field.Path
	text string
	addressrange.Range
}

func validatePoolAddresses(spec *v1.LoadBalancerPoolSpec) field.ErrorList {
	if len(spec.CIDRs)+len(spec.Ranges) == 0 {
		return field.ErrorList{field.Required(poolCIDRsPath, "at least one CIDR, or one entry in ranges, is required")}
	}
	errs := tooManyEntries(spec)
	if len(errs) > 0 {
		return errs
	}
	entries, malformed := parseEntries(poolCIDRsPath, spec.CIDRs, "/")
	errs = append(errs, malformed...)
	ranges, malformed := parseEntries(poolRangesPath, spec.Ranges, "-")
	errs = append(errs, malformed...)
	entries = append(entries, ranges...)
	for _, entry := range entries {
		errs = append(errs, validateOrdinary(entry)...)
	}
	excluded, malformed := parseEntries(poolExcludePath, spec.Exclude, "")
	errs = append(errs, malformed...)
	errs = append(errs, validateEntriesDiffer(entries)...)
	errs = append(errs, validateEntriesDiffer(excluded)...)
	if len(errs) > 0 {
		return errs
	}
	if errs := validateAvoidBuggyIPs(spec, entries); len(errs) > 0 {
		return errs
	}
	return validateExclude(spec, entries, excluded)
}

func tooManyEntries(spec *v1.LoadBalancerPoolSpec) field.ErrorList {
	var errs field.ErrorList
	if n := len(spec.CIDRs) + len(spec.Ranges); n > maxPoolEntries {
		path := poolCIDRsPath
		if len(spec.Ranges) > len(spec.CIDRs) {
			path = poolRangesPath
		}
		errs = append(errs, field.TooMany(path, n, maxPoolEntries))
	}
	if n := len(spec.Exclude); n > maxPoolEntries {
		errs = append(errs, field.TooMany(poolExcludePath, n, maxPoolEntries))
	}
	return errs
}

// parseEntries parses the entries of a field. Each must have the mark that tells a CIDR or
// a range from other entries.
func parseEntries(path *field.Path, texts []string, mark string) ([]addressEntry, field.ErrorList) {
	var entries []addressEntry
	var errs field.ErrorList
	for i, text := range texts {
		parsed, err := addressrange.Parse(text)
		switch {
		case mark == "/" && !strings.Contains(text, mark):
			errs = append(errs, field.Invalid(path.Index(i), text, `must be a CIDR in canonical form, such as "192.0.2.0/24" or "2001:db8::/64"`))
		case mark == "-" && !strings.Contains(text, mark):
			errs = append(errs, field.Invalid(path.Index(i), text, `must be two addresses, such as "192.0.2.10-192.0.2.99"`))
		case err != nil:
			errs = append(errs, field.Invalid(path.Index(i), text, err.Error()))
		default:
			entries = append(entries, addressEntry{path.Index(i), text, parsed})
		}
	}
	return entries, errs
}

// validateOrdinary rejects addresses that have a different meaning on each node, stand for
// many nodes, or are IPv4 addresses in the form of IPv6.
func validateOrdinary(entry addressEntry) field.ErrorList {
	var errs field.ErrorList
	reject := func(prefix netip.Prefix, text string) {
		if entry.Overlaps(addressrange.OfPrefix(prefix)) {
			errs = append(errs, field.Invalid(entry.path, entry.text, "must not overlap "+text))
		}
	}
	for _, s := range special {
		reject(s.prefix, s.text)
	}
	reject(netip.MustParsePrefix("::ffff:0:0/96"), "the block of IPv4-mapped addresses (::ffff:0:0/96)")
	return errs
}

// validateEntriesDiffer compares neighbors in sorted order.
func validateEntriesDiffer(entries []addressEntry) field.ErrorList {
	sorted := slices.Clone(entries)
	slices.SortStableFunc(sorted, func(a, b addressEntry) int { return a.First.Compare(b.First) })
	var errs field.ErrorList
	for i := 1; i < len(sorted); i++ {
		reach, entry := sorted[i-1], sorted[i]
		switch {
		case !reach.Overlaps(entry.Range):
		case reach.Range == entry.Range:
			errs = append(errs, field.Duplicate(entry.path, entry.text))
		default:
			errs = append(errs, field.Invalid(entry.path, entry.text, fmt.Sprintf("must not overlap %q", reach.text)))
		}
		if entry.Overlaps(reach.Range) && entry.Last.Less(reach.Last) {
			sorted[i] = reach
		}
	}
	return errs
}

// validateExclude rejects an exclusion of addresses that the pool does not have, and
// exclusions that leave none.
func validateExclude(spec *v1.LoadBalancerPoolSpec, entries, excluded []addressEntry) field.ErrorList {
	var errs field.ErrorList
	for _, out := range excluded {
		if !slices.ContainsFunc(entries, func(entry addressEntry) bool { return entry.Overlaps(out.Range) }) {
			errs = append(errs, field.Invalid(out.path, out.text, "excludes no address of the pool"))
		}
	}
	if len(errs) > 0 || len(addressrange.OfPool(spec)) > 0 {
		return errs
	}
	if len(excluded) == 0 {
		return field.ErrorList{field.Invalid(poolBuggyPath, true, "leaves no address in the pool")}
	}
	return field.ErrorList{field.Invalid(poolExcludePath, spec.Exclude, "leaves no address in the pool")}
}

// validateAvoidBuggyIPs limits the number of IPv4 addresses.
func validateAvoidBuggyIPs(spec *v1.LoadBalancerPoolSpec, entries []addressEntry) field.ErrorList {
	if !ptr.Deref(spec.AvoidBuggyIPs, false) {
		return nil
	}
	var count uint64
	for _, entry := range entries {
		if entry.First.Is4() {
			first, last := entry.First.As4(), entry.Last.As4()
			count += uint64(binary.BigEndian.Uint32(last[:])) - uint64(binary.BigEndian.Uint32(first[:])) + 1
		}
	}
	if count <= maxBuggyAddresses {
		return nil
	}
	return field.ErrorList{field.Invalid(poolBuggyPath, true,
		fmt.Sprintf("may only be used for at most %d IPv4 addresses; the pool has %d", maxBuggyAddresses, count))}
}
