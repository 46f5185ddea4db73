package occupancy

import (
	"cmp"
	"math"
	"slices"
	"strings"
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
	// Class is IPv4, IPv6, Port, LoadBalancerIPv4 or LoadBalancerIPv6.
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
func Usages(objs Objects, now time.Time) []Usage {
	usages := []Usage{}
	held := byClass(objs.Claims)
	for _, obj := range objs.Ranges {
		for _, class := range allocation.Classes() {
			if r, ok := claims.RangesOf(obj)[class]; ok {
				usage := Usage{Kind: kindName(obj), Class: class.String(), Conditions: trueConditions(obj)}
				usage.add(r, held[class], now)
				usages = append(usages, usage)
			}
		}
	}
	return usages
}

// Outside returns the values that are claimed and lie in no range, such as those of a range
// that was deleted by force. Each has its holder, if a Service holds it.
func Outside(objs Objects) []string {
	blocks := map[allocation.Class][]allocation.Block{}
	for _, obj := range objs.Ranges {
		for class, r := range claims.RangesOf(obj) {
			blocks[class] = append(blocks[class], r.Blocks...)
		}
	}
	var outside []string
	all := byClass(objs.Claims)
	for _, class := range allocation.Classes() {
		for _, c := range all[class] {
			contains := func(block allocation.Block) bool { return block.Span.Contains(c.number) }
			switch {
			case slices.ContainsFunc(blocks[class], contains):
			case c.held():
				outside = append(outside, c.text+" of "+c.services())
			default:
				outside = append(outside, c.text)
			}
		}
	}
	return outside
}

// claim is a claim of one class.
type claim struct {
	number space.Number
	text   string
	// holders are several for a shared address.
	holders []v1.ParentReference
	created time.Time
}

func (c claim) held() bool { return len(c.holders) > 0 && c.holders[0].UID != "" }

// services names the holders.
func (c claim) services() string {
	var names []string
	for _, holder := range c.holders {
		names = append(names, holder.Namespace+"/"+holder.Name)
	}
	return strings.Join(names, ", ")
}

// namespaces returns the namespaces of the holders, each once.
func (c claim) namespaces() []string {
	var names []string
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
		if ok && err == nil {
			all[value.Class] = append(all[value.Class],
				claim{value.Number, value.String(), claims.HoldersOf(obj), object.GetCreationTimestamp().Time})
		}
	}
	for _, of := range all {
		slices.SortFunc(of, func(a, b claim) int { return a.number.Compare(b.number) })
	}
	return all
}

// within returns the claims in a span, of sorted ones.
func within(sorted []claim, span space.Span) []claim {
	first, _ := slices.BinarySearchFunc(sorted, span.First, func(c claim, n space.Number) int { return c.number.Compare(n) })
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
		u.Blocks = append(u.Blocks, block.Text)
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

// kindName returns the kind of a range. Lists of a client don't have it.
func kindName(obj runtime.Object) string {
	switch obj.(type) {
	case *v1.ServiceCIDR:
		return Kinds()[0].Name
	case *v1.NodePortRange:
		return Kinds()[1].Name
	}
	return Kinds()[2].Name
}

func trueConditions(obj runtime.Object) []string {
	var conditions []metav1.Condition
	switch r := obj.(type) {
	case *v1.ServiceCIDR:
		conditions = r.Status.Conditions
	case *v1.NodePortRange:
		conditions = r.Status.Conditions
	case *v1.LoadBalancerPool:
		conditions = r.Status.Conditions
	}
	names := []string{}
	for _, c := range conditions {
		if c.Status == metav1.ConditionTrue && c.Type != v1.ServiceCIDRConditionReady {
			names = append(names, c.Type)
		}
	}
	return names
}
