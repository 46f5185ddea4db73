package claims

import (
	"context"
	"fmt"
	"slices"

	"go.etcd.io/etcd/client/v3/kubernetes"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/validation/field"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/allocation"
	"github.com/portolan-dev/portolan/pkg/requeststate"
	"github.com/portolan-dev/portolan/pkg/service"
)

// rejectedMove is the name under which the picks keep the reason to reject a move, as they do
// for admission plugins.
const rejectedMove = "Renumber"

// RangeResource returns the resource of a kind of ranges, such as ServiceCIDR.
func RangeResource(rangeKind string) (resource string, known bool) {
	for _, k := range kinds() {
		if k.names().rangeKind == rangeKind {
			return k.names().ranges, true
		}
	}
	return "", false
}

// RangeKinds returns the kinds of ranges.
func RangeKinds() []string {
	var names []string
	for _, k := range kinds() {
		names = append(names, k.names().rangeKind)
	}
	return names
}

// Renumber carries out the move of the request (requeststate.State.Move) in a Service: it
// replaces the values of the range From that are not in the range To by values of To. It
// prefers values of To that are reserved for the Service. The transaction that writes the
// Service claims the new values and releases the old ones.
//
// It changes only svc, and returns the moves in the order of the spec. If To can't serve the
// Service, it sets the rejection of the picks, with which the storage rejects the write.
func (l *Ledger) Renumber(ctx context.Context, svc *v1.Service) ([]v1.ValueMove, error) {
	state := requeststate.From(ctx)
	move, picks := *state.Move, state.Picks
	classes, err := l.movedClasses(ctx, move)
	if err != nil {
		return nil, err
	}
	who, err := l.Requester(ctx, svc)
	if err != nil {
		return nil, err
	}
	picks.ClearRejection(rejectedMove)
	// It may have been stored before clusterIPs existed.
	service.Inherit(service.After{Service: svc}, service.Before{})
	var moves []v1.ValueMove
	used := map[allocation.Value]bool{}
	for _, value := range l.moved(svc, move, classes) {
		if cause := l.checkMove(svc, value, move); cause != nil {
			picks.SetRejection(rejectedMove, cause)
			return nil, nil
		}
		other, err := l.pickInstead(who, value, used, picks)
		if err != nil {
			picks.SetRejection(rejectedMove, FieldError(svc, value, err))
			return nil, nil
		}
		used[other] = true
		kindOf(value.Class).substitute(svc, value, other)
		moves = append(moves, v1.ValueMove{From: value.String(), To: other.String()})
	}
	return moves, nil
}

// movedClasses returns the classes that both ranges of a move have. It reads the ranges from
// etcd, as another replica may have just created them.
func (l *Ledger) movedClasses(ctx context.Context, move requeststate.Move) ([]allocation.Class, error) {
	k := l.kindOfRanges(move.Ranges)
	for _, named := range []struct{ field, name string }{{"spec.from", move.From}, {"spec.to", move.To}} {
		found, err := l.client.Get(ctx, k.ranges.Key(named.name), kubernetes.GetOptions{})
		if err != nil {
			return nil, err
		}
		if found.KV == nil {
			return nil, apierrors.NewBadRequest(fmt.Sprintf("%s: there is no %s %q", named.field, k.names().rangeKind, named.name))
		}
		if err := l.learnRange(ctx, k, named.name, found.KV, found.Revision); err != nil {
			return nil, err
		}
	}
	classes := slices.DeleteFunc(k.classes(), func(class allocation.Class) bool {
		return len(l.Index.BlocksOf(class, move.From)) == 0 || len(l.Index.BlocksOf(class, move.To)) == 0
	})
	if len(classes) == 0 {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("spec.to: %s %q has no values of an IP family of %q",
			k.names().rangeKind, move.To, move.From))
	}
	return classes, nil
}

// moved returns the values that a Service holds in From and not in To, as they are written.
func (l *Ledger) moved(svc *v1.Service, move requeststate.Move, classes []allocation.Class) []allocation.Value {
	in := func(name string, value allocation.Value) bool {
		blocks := l.Index.BlocksOf(value.Class, name)
		return slices.ContainsFunc(blocks, func(b allocation.Block) bool { return b.Span.Contains(value.Number) })
	}
	var values []allocation.Value
	for value := range holdingsOf(svc) {
		if slices.Contains(classes, value.Class) && in(move.From, value) && !in(move.To, value) {
			values = append(values, value)
		}
	}
	sortAsWritten(svc, values)
	return values
}

// checkMove returns an error if the Service asks for something else than the move: a range, or
// the value itself, which its next update would give it again.
func (l *Ledger) checkMove(svc *v1.Service, value allocation.Value, move requeststate.Move) *field.Error {
	k := kindOf(value.Class)
	if path := k.fixedBy(svc, value); path != nil {
		return field.Invalid(path, value.String(), "the Service names this value: change that instead")
	}
	if name := k.asks(svc).Range; name != move.To && len(l.Index.BlocksOf(value.Class, name)) > 0 {
		return field.Invalid(k.rangePath(svc), name, fmt.Sprintf("the Service names this range: have it name %q first", move.To))
	}
	return nil
}

// pickInstead returns a value that takes the place of another.
func (l *Ledger) pickInstead(who Requester, old allocation.Value, used map[allocation.Value]bool,
	picks *requeststate.Picks) (allocation.Value, error) {
	slot := "instead/" + old.Class.String() + "/" + old.String()
	for _, reserved := range l.Reserved(who, old.Class, picks) {
		if !used[reserved.Value] && suits(who.svc, old, reserved) {
			picks.UseReserved(slot, reserved.Value)
			return reserved.Value, nil
		}
	}
	return picks.Pick(slot, old.Class, who.Of(old.Class))
}

// suits reports whether a reservation is for what the Service uses a value for. A reservation
// that does not say so is for any value.
func suits(svc *v1.Service, value allocation.Value, reserved allocation.Reservation) bool {
	if !reserved.HealthCheck && len(reserved.ServicePorts) == 0 {
		return true
	}
	ports, healthCheck := service.PortsOn(svc, value.Number.Port())
	return healthCheck && reserved.HealthCheck || slices.ContainsFunc(ports, func(port v1.ServicePortReference) bool {
		return slices.ContainsFunc(reserved.ServicePorts, func(wanted v1.ServicePortReference) bool {
			return wanted.Protocol == port.Protocol && (wanted.Port == port.Port || wanted.Name != "" && wanted.Name == port.Name)
		})
	})
}
