package occupancy

import (
	"cmp"
	"math"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/allocation"
	"github.com/portolan-dev/portolan/pkg/allocation/space"
	"github.com/portolan-dev/portolan/pkg/claims"
)

// recent is the time of which Usage.New counts claims.
const recent = time.Hour

// Usage is how full a range is with values of one class. Figures of 2^63 and above are
// 2^63-1.
type Usage struct {
	// Kind and Name are those of the range.
	Kind string `json:"kind"`
	Name string `json:"name"`
	// Class is IPv4, IPv6 or Port.
	Class string `json:"class"`
	// Blocks are the CIDRs or ports of the range.
	Blocks []string `json:"blocks"`
	// Allocation says which Services get new values.
	Allocation v1.RangeAllocation `json:"allocation"`
	Capacity   int64              `json:"capacity"`
	// Allocated counts claims, Reserved those of them that no Service holds.
	Allocated int64 `json:"allocated"`
	Reserved  int64 `json:"reserved"`
	Free      int64 `json:"free"`
	// StaticCapacity and StaticAllocated are the same of the static band.
	StaticCapacity  int64 `json:"staticCapacity"`
	StaticAllocated int64 `json:"staticAllocated"`
	// New counts the claims that were created in the last hour and still exist. Nothing
	// records claims that were released.
	New int64 `json:"newInLastHour"`
	// Namespaces are those of the Services that hold values, the largest first.
	Namespaces []NamespaceUsage `json:"namespaces"`
	// Conditions are the conditions that are true, other than Ready.
	Conditions []string `json:"conditions"`
}

// NamespaceUsage is how many values the Services of a namespace hold.
type NamespaceUsage struct {
	Namespace string `json:"namespace"`
	Allocated int64  `json:"allocated"`
}

// Usages returns the usage of each range and class, in the order of the kinds.
func Usages(objs Objects, now time.Time) []Usage { return New(objs).Usages(now) }

// Outside returns the values that are claimed and lie in no range, such as those of a range
// that was deleted by force. Each has its holders, if Services hold it.
func Outside(objs Objects) []string {
	var outside []string
	for _, c := range New(objs).Outside() {
		text := c.Value
		if c.Held {
			text += " of " + c.holderNames()
		}
		outside = append(outside, text)
	}
	return outside
}

// claim is a claim of one class. Several Services can hold one.
type claim struct {
	number  space.Number
	text    string
	holders []v1.ParentReference
	created time.Time
	// expires is when a reservation ends. It is zero for one that never ends.
	expires time.Time
}

// held reports whether a Service holds the claim. A reservation names for whom it is.
func (c claim) held() bool {
	return slices.ContainsFunc(c.holders, func(holder v1.ParentReference) bool { return holder.UID != "" })
}

// namespaces returns those of the holders, each once.
func (c claim) namespaces() (names []string) {
	for _, holder := range c.holders {
		if !slices.Contains(names, holder.Namespace) {
			names = append(names, holder.Namespace)
		}
	}
	return names
}

// byClass returns claims by class, sorted by number.
func byClass(objs []runtime.Object) map[allocation.Class][]claim {
	all := map[allocation.Class][]claim{}
	for _, obj := range objs {
		value, _, ok := claims.ClaimedBy(obj)
		object, err := meta.Accessor(obj)
		if !ok || err != nil {
			continue
		}
		all[value.Class] = append(all[value.Class], claim{
			value.Number, value.String(), claims.HoldersOf(obj), object.GetCreationTimestamp().Time, claims.ExpiryOf(obj),
		})
	}
	for _, of := range all {
		slices.SortFunc(of, func(a, b claim) int { return a.number.Compare(b.number) })
	}
	return all
}

func compareToNumber(c claim, number space.Number) int { return c.number.Compare(number) }

// within returns the claims in a span, of sorted ones.
func within(sorted []claim, span space.Span) []claim {
	first, _ := slices.BinarySearchFunc(sorted, span.First, compareToNumber)
	rest := sorted[first:]
	end := slices.IndexFunc(rest, func(c claim) bool { return !span.Contains(c.number) })
	if end < 0 {
		return rest
	}
	return rest[:end]
}

func (u *Usage) add(r allocation.Range, sorted []claim, now time.Time) {
	u.Name, u.Allocation = r.Name, mode(r.Mode)
	var capacity, static uint64
	namespaces := map[string]int64{}
	for _, block := range r.Blocks {
		// The blocks of a pool have its text in common.
		if !slices.Contains(u.Blocks, block.Text) {
			u.Blocks = append(u.Blocks, block.Text)
		}
		capacity, static = plus(capacity, block.Span.Size()), plus(static, block.Span.StaticSize())
		for _, c := range within(sorted, block.Span) {
			u.Allocated++
			if block.Span.IsStatic(c.number) {
				u.StaticAllocated++
			}
			if now.Sub(c.created) < recent {
				u.New++
			}
			if !c.held() {
				u.Reserved++
				continue
			}
			for _, namespace := range c.namespaces() {
				namespaces[namespace]++
			}
		}
	}
	u.Capacity, u.StaticCapacity = capped(capacity), capped(static)
	u.Free = max(u.Capacity-u.Allocated, 0)
	u.Namespaces = []NamespaceUsage{}
	for namespace, count := range namespaces {
		u.Namespaces = append(u.Namespaces, NamespaceUsage{namespace, count})
	}
	slices.SortFunc(u.Namespaces, func(a, b NamespaceUsage) int {
		return cmp.Or(cmp.Compare(b.Allocated, a.Allocated), cmp.Compare(a.Namespace, b.Namespace))
	})
}

func plus(a, b uint64) uint64 {
	if sum := a + b; sum >= a {
		return sum
	}
	return math.MaxUint64
}

func capped(n uint64) int64 { return int64(min(n, math.MaxInt64)) }

func mode(m allocation.Mode) v1.RangeAllocation {
	switch m {
	case allocation.Automatic:
		return v1.AllocationAutomatic
	case allocation.OnRequest:
		return v1.AllocationOnRequest
	default:
		return v1.AllocationDisabled
	}
}

// trueConditions returns the conditions of a range that are true, other than Ready.
func trueConditions(conditions []metav1.Condition) []string {
	names := []string{}
	for _, c := range conditions {
		if c.Status == metav1.ConditionTrue && c.Type != v1.ServiceCIDRConditionReady {
			names = append(names, c.Type)
		}
	}
	return names
}
