package claims

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/sets"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/storage/source"
)

// RangeConditions computes conditions of ranges with selectors: whether the range shares
// values with ranges of other selectors, and how many Services hold its values that it does
// not select. Nothing stores them. They follow from a census that begins after the read of
// the range, so that they are exact with any number of replicas, and are the same on each.
// The labels of namespaces are those that the server selects by.
//
// Only a read of a range with a selector takes a census. Requests for Services never do.
type RangeConditions struct {
	ledger *Ledger
	// censuses are shared: a census costs time in proportion to the number of Services.
	censuses coalesced[*census]
}

// NewRangeConditions makes the conditions of a server's ranges.
func NewRangeConditions(ledger *Ledger) *RangeConditions {
	return &RangeConditions{ledger: ledger, censuses: coalesced[*census]{age: time.Second}}
}

// Filler returns a function that sets the conditions of a range, or of each one in a list.
// It replaces slices instead of modifying them. An event of a watch can have the conditions
// of a second ago.
func (c *RangeConditions) Filler(of func(resource string) source.Source) func(ctx context.Context, obj runtime.Object, watched bool) {
	take := func(ctx context.Context) (*census, error) { return takeCensus(ctx, c.ledger, of) }
	return func(ctx context.Context, obj runtime.Object, watched bool) {
		var taken *census
		var failed error
		eachRange(obj, func(k kind, obj runtime.Object) {
			mine := ownedOf(k, obj)
			conditions := k.conditions(obj)
			if len(mine) == 0 {
				return
			}
			if taken == nil && failed == nil {
				taken, failed = c.censuses.get(ctx, watched, take)
			}
			computed := unknownConditions(failed)
			if failed == nil {
				computed = taken.conditions(mine)
			}
			for i := range computed {
				computed[i].LastTransitionTime = changed(obj)
			}
			*conditions = append(slices.Clip(v1.StoredRangeConditions(*conditions)), computed...)
		})
	}
}

// eachRange calls do with a range, or with each one in a list.
func eachRange(obj runtime.Object, do func(kind, runtime.Object)) {
	visit := func(obj runtime.Object) error {
		for _, k := range kinds() {
			if k.conditions(obj) != nil {
				do(k, obj)
			}
		}
		return nil
	}
	if meta.IsListType(obj) {
		// The error is that of visit.
		_ = meta.EachListItem(obj, visit)
		return
	}
	_ = visit(obj)
}

// ownedOf returns what a range has of each class, if it has a selector.
func ownedOf(k kind, obj runtime.Object) []offer {
	return slices.DeleteFunc(k.offers(obj, 0), func(o offer) bool { return !o.IsOwned() || len(o.Blocks) == 0 })
}

// changed returns when a client last changed a range other than its status, as far as its
// managed fields tell. Nothing records since when a computed condition is true, and every
// replica must return the same time.
func changed(obj runtime.Object) metav1.Time {
	object, err := meta.Accessor(obj)
	if err != nil {
		return metav1.Time{}
	}
	last := object.GetCreationTimestamp()
	for _, entry := range object.GetManagedFields() {
		if entry.Time != nil && entry.Subresource == "" && last.Before(entry.Time) {
			last = *entry.Time
		}
	}
	return last
}

// conditions returns the conditions of a range.
func (s *census) conditions(mine []offer) []metav1.Condition {
	rivals, unselected := sets.New[string](), sets.New[*v1.Service]()
	for _, o := range mine {
		for _, other := range s.owned[o.class] {
			if other.Name != o.Name && other.Overlaps(o.Range) && !other.SelectsLike(o.Policy) {
				rivals.Insert(other.Name)
			}
		}
		for who := range s.holdersIn(o) {
			if !o.Selects(who.Of(o.class)) {
				unselected.Insert(who.svc)
			}
		}
	}
	overlapping := metav1.Condition{
		Type: v1.RangeConditionOverlapping, Status: metav1.ConditionFalse, Reason: "NoOtherRange",
		Message: "No range that selects other Services has values of this range",
	}
	if len(rivals) > 0 {
		overlapping.Status, overlapping.Reason = metav1.ConditionTrue, "OtherSelector"
		overlapping.Message = "Ranges that select other Services have values of this range too: " + strings.Join(sets.List(rivals), ", ")
	}
	holders := metav1.Condition{
		Type: v1.RangeConditionUnselectedHolders, Status: metav1.ConditionFalse, Reason: "AllSelected",
		Message: "The range selects all Services that hold its values",
	}
	switch count := len(unselected); {
	case count == 1:
		holders.Status, holders.Reason, holders.Message = metav1.ConditionTrue, "NotSelected",
			"1 Service that the range does not select holds values of it"
	case count > 1:
		holders.Status, holders.Reason, holders.Message = metav1.ConditionTrue, "NotSelected",
			fmt.Sprintf("%d Services that the range does not select hold values of it", count)
	}
	return []metav1.Condition{overlapping, holders}
}

func unknownConditions(err error) []metav1.Condition {
	var unknown []metav1.Condition
	for _, name := range v1.ComputedRangeConditions() {
		unknown = append(unknown, metav1.Condition{
			Type: name, Status: metav1.ConditionUnknown, Reason: "Unavailable",
			Message: fmt.Sprintf("The objects from which this follows can't be read: %v", err),
		})
	}
	return unknown
}
