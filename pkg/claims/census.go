package claims

import (
	"context"
	"iter"
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/endpoints/request"

	"github.com/portolan-dev/portolan/pkg/allocation"
	"github.com/portolan-dev/portolan/pkg/allocation/space"
	"github.com/portolan-dev/portolan/pkg/storage/source"
)

// census has who held which values at one time, and the ranges with selectors.
type census struct {
	// held is sorted by number.
	held  map[allocation.Class][]heldNumber
	owned map[allocation.Class][]offer
}

// heldNumber is a number of a class that a Service holds.
type heldNumber struct {
	number space.Number
	who    Requester
}

// takeCensus reads all Services and ranges. The lists have everything that was written
// before they began, as they name no resource version.
func takeCensus(ctx context.Context, ledger *Ledger, of func(resource string) source.Source) (*census, error) {
	s := &census{held: map[allocation.Class][]heldNumber{}, owned: map[allocation.Class][]offer{}}
	ctx = request.WithNamespace(ctx, "")
	list := func(resource string, each func(runtime.Object) error) error {
		objs, err := of(resource).List(ctx, &metainternalversion.ListOptions{})
		if err != nil {
			return err
		}
		return meta.EachListItem(objs, each)
	}
	byNamespace := false
	for _, k := range kinds() {
		err := list(k.names().ranges, func(obj runtime.Object) error {
			for _, o := range ownedOf(k, obj) {
				s.owned[o.class] = append(s.owned[o.class], o)
				byNamespace = byNamespace || o.Namespaces != nil
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	namespaceLabels := func(context.Context, string) (labels.Set, error) { return nil, nil }
	if byNamespace {
		namespaceLabels = remembered(ledger.namespaceLabels)
	}
	held := holdings{}
	err := list("services", func(obj runtime.Object) error {
		svc, err := serviceOf(obj)
		if err != nil {
			return err
		}
		clear(held)
		for _, k := range kinds() {
			k.addHoldings(svc, held)
		}
		if len(held) == 0 {
			return nil
		}
		who := Requester{svc: svc}
		if who.namespace, err = namespaceLabels(ctx, svc.Namespace); err != nil {
			return err
		}
		for value := range held {
			s.held[value.Class] = append(s.held[value.Class], heldNumber{value.Number, who})
		}
		return nil
	})
	for _, held := range s.held {
		slices.SortFunc(held, func(a, b heldNumber) int { return a.number.Compare(b.number) })
	}
	return s, err
}

// remembered looks every namespace up once.
func remembered(lookUp NamespaceLabels) NamespaceLabels {
	known := map[string]labels.Set{}
	return func(ctx context.Context, namespace string) (labels.Set, error) {
		if set, ok := known[namespace]; ok {
			return set, nil
		}
		set, err := lookUp(ctx, namespace)
		if err == nil {
			known[namespace] = set
		}
		return set, err
	}
}

// holdersIn returns who holds the values of a range, once for each value.
func (s *census) holdersIn(o offer) iter.Seq[Requester] {
	return func(yield func(Requester) bool) {
		held := s.held[o.class]
		for _, block := range o.Blocks {
			first, _ := slices.BinarySearchFunc(held, block.Span.First, func(h heldNumber, n space.Number) int { return h.number.Compare(n) })
			for _, h := range held[first:] {
				if !block.Span.Contains(h.number) {
					break
				}
				if !yield(h.who) {
					return
				}
			}
		}
	}
}
