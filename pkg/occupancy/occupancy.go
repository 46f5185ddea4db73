package occupancy

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/allocation"
	"github.com/portolan-dev/portolan/pkg/allocation/space"
	"github.com/portolan-dev/portolan/pkg/claims"
)

// Occupancy answers questions about ranges and claims as they were at one time. It does not
// change, so it can be used concurrently.
type Occupancy struct {
	ranges []classRange
	// claims are sorted by number.
	claims map[allocation.Class][]claim
}

// classRange is what a range has of one class.
type classRange struct {
	fields
	class allocation.Class
	allocation.Range
}

// New sorts ranges and claims.
func New(objs Objects) *Occupancy {
	o := &Occupancy{claims: byClass(objs.Claims)}
	for _, obj := range objs.Ranges {
		ranges := claims.RangesOf(obj)
		for _, class := range allocation.Classes() {
			if r, ok := ranges[class]; ok {
				o.ranges = append(o.ranges, classRange{fieldsOf(obj), class, r})
			}
		}
	}
	return o
}

// Usages returns the usage of each range and class.
func (o *Occupancy) Usages(now time.Time) []Usage {
	usages := []Usage{}
	for _, r := range o.ranges {
		usages = append(usages, o.usage(r, now))
	}
	return usages
}

func (o *Occupancy) usage(r classRange, now time.Time) Usage {
	usage := Usage{Kind: r.kind, Class: r.class.String(), Conditions: trueConditions(r.conditions)}
	usage.add(r.Range, o.claims[r.class], now)
	return usage
}

// rangesOf returns what a range has of each class.
func (o *Occupancy) rangesOf(kind, name string) ([]classRange, error) {
	var found []classRange
	for _, r := range o.ranges {
		if r.kind == kind && r.Name == name {
			found = append(found, r)
		}
	}
	if len(found) == 0 {
		return nil, apierrors.NewNotFound(schema.GroupResource{Group: v1.GroupName, Resource: kind}, name)
	}
	return found, nil
}

// Claim is a claim as it is shown.
type Claim struct {
	Value string `json:"value"`
	Class string `json:"class"`
	// Holders are several if Services share the value.
	Holders []Holder `json:"holders"`
	// Held is false for a reservation.
	Held    bool      `json:"held"`
	Created time.Time `json:"created"`
	// Expires is when a reservation ends. It is zero for one that never ends.
	Expires time.Time `json:"expires,omitzero"`
	// Ranges are those that have the value. They are set only in answers that are not about
	// one range.
	Ranges []RangeName `json:"ranges,omitempty"`
}

// Holder is the parent reference of claims, without a UID. Resource has its group, as in
// services.portolan.dev.
type Holder struct {
	Resource  string `json:"resource"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
}

// holderNames returns the namespaces and names of the holders.
func (c Claim) holderNames() string {
	var names []string
	for _, holder := range c.Holders {
		names = append(names, holder.Namespace+"/"+holder.Name)
	}
	return strings.Join(names, ",")
}

// RangeName names a range.
type RangeName struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
}

func holderOf(ref v1.ParentReference) Holder {
	return Holder{schema.GroupResource{Group: ref.Group, Resource: ref.Resource}.String(), ref.Namespace, ref.Name}
}

func (c claim) shown(class allocation.Class) Claim {
	shown := Claim{Value: c.text, Class: class.String(), Holders: []Holder{}, Held: c.held(), Created: c.created}
	if !shown.Held {
		shown.Expires = c.expires
	}
	for _, holder := range c.holders {
		shown.Holders = append(shown.Holders, holderOf(holder))
	}
	return shown
}

// withRanges returns a claim with the ranges that have its value.
func (o *Occupancy) withRanges(c claim, class allocation.Class) Claim {
	shown := c.shown(class)
	shown.Ranges = o.having(class, c.number)
	return shown
}

// having returns the ranges that have a number.
func (o *Occupancy) having(class allocation.Class, number space.Number) []RangeName {
	names := []RangeName{}
	for _, r := range o.ranges {
		if r.class == class && r.Covers(number) {
			names = append(names, RangeName{r.kind, r.Name})
		}
	}
	return names
}

// HeldBy returns the claims with a holder, by class and value.
func (o *Occupancy) HeldBy(holder Holder) []Claim {
	found := []Claim{}
	for _, class := range allocation.Classes() {
		for _, c := range o.claims[class] {
			if slices.ContainsFunc(c.holders, func(ref v1.ParentReference) bool { return holderOf(ref) == holder }) {
				found = append(found, o.withRanges(c, class))
			}
		}
	}
	return found
}

// Outside returns the claims on values that lie in no range.
func (o *Occupancy) Outside() []Claim {
	outside := []Claim{}
	for _, class := range allocation.Classes() {
		for _, c := range o.claims[class] {
			if len(o.having(class, c.number)) == 0 {
				outside = append(outside, c.shown(class))
			}
		}
	}
	return outside
}

// numberOf returns the number of a text that is an address or a port.
func numberOf(text string) (space.Number, bool) {
	if addr, err := netip.ParseAddr(text); err == nil {
		return space.FromAddr(addr), true
	}
	const decimal, bits = 10, 16
	port, err := strconv.ParseUint(text, decimal, bits)
	return space.FromPort(int32(port)), err == nil
}

// blockOf returns the block of a range that has a value, and the value.
func blockOf(ranges []classRange, text string) (classRange, allocation.Block, space.Number, error) {
	number, ok := numberOf(text)
	for _, r := range ranges {
		// A number can be a value of another class too, with another text.
		if !ok || valueText(r.class, number) != text {
			continue
		}
		for _, block := range r.Blocks {
			if block.Span.Contains(number) {
				return r, block, number, nil
			}
		}
	}
	return classRange{}, allocation.Block{}, number, fmt.Errorf("%q is not a value of the range", text)
}

func compareHolders(a, b Holder) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Resource, b.Resource))
}
