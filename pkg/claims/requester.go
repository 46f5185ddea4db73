package claims

import (
	"context"
	"slices"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation/field"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/allocation"
	"github.com/portolan-dev/portolan/pkg/requeststate"
)

// NamespaceLabels returns the labels of a namespace. It is called on the path of requests.
type NamespaceLabels func(ctx context.Context, namespace string) (labels.Set, error)

// Requester is a Service as the selection of ranges sees it.
type Requester struct {
	svc       *v1.Service
	namespace labels.Set
	// move is that of the request. New values come from its target.
	move *requeststate.Move
}

// Requester returns a Service with the labels of its namespace. They are looked up only if
// a range selects namespaces.
func (l *Ledger) Requester(ctx context.Context, svc *v1.Service) (Requester, error) {
	who := Requester{svc: svc, move: requeststate.From(ctx).Move}
	if !slices.ContainsFunc(allocation.Classes(), l.Index.SelectsByNamespace) {
		return who, nil
	}
	var err error
	who.namespace, err = l.namespaceLabels(ctx, svc.Namespace)
	return who, err
}

// Of returns what the selection of ranges of a class depends on.
func (r Requester) Of(class allocation.Class) allocation.Requester {
	k := kindOf(class)
	who := k.asks(r.svc)
	who.Namespace, who.Service = r.namespace, r.svc.Labels
	if r.move != nil && r.move.Ranges == k.names().ranges {
		who.Range = r.move.To
	}
	return who
}

// CheckNamedRange returns an error if a Service begins to name a range that does not exist
// or does not select it. A Service that goes on naming one keeps its values, and so stays
// valid, and a copy of a cluster's Service has values of the cluster's ranges. stored is nil
// on create.
func (l *Ledger) CheckNamedRange(who Requester, stored *v1.Service, class allocation.Class) *field.Error {
	k := kindOf(class)
	name := k.asks(who.svc).Range
	if v1.IsMirrored(who.svc) || name == "" || stored != nil && k.asks(stored).Range == name {
		return nil
	}
	path := k.rangePath(who.svc)
	named, exists := l.Index.Range(class, name)
	if !exists {
		return field.NotFound(path, name)
	}
	if !named.Selects(who.Of(class)) {
		return field.Invalid(path, name, "the range does not select the Service")
	}
	return nil
}
