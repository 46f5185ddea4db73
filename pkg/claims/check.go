package claims

import (
	"context"
	"errors"

	"go.etcd.io/etcd/client/v3/kubernetes"
	"k8s.io/apimachinery/pkg/util/validation/field"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/allocation"
	"github.com/portolan-dev/portolan/pkg/apigroup"
	"github.com/portolan-dev/portolan/pkg/requeststate"
)

// Read is a read of one object of portolan.dev.
type Read struct {
	Resource, Namespace, Name string
}

// MayRead reports whether the user of a request may read an object.
type MayRead func(ctx context.Context, read Read) bool

// Check returns why the Service can't claim a value, as far as this replica knows, or
// nil. The transaction decides.
func (l *Ledger) Check(ctx context.Context, who Requester, value allocation.Value) *field.Error {
	claim, held := l.Index.Lookup(value)
	if held && claim.HeldBy(who.svc.UID) {
		return nil
	}
	if held && !l.mayTake(who.svc, claim) {
		if objection := l.objection(who, value, claim); objection != nil {
			return l.taken(ctx, who.svc, value, objection)
		}
	}
	if objection := l.objectionOfUsers(who, value); objection != nil {
		return l.taken(ctx, who.svc, value, objection)
	}
	return l.CheckRange(who, value)
}

// objection returns why the Service can't join the holders of a value, or nil. Values other
// than load-balancer addresses have one holder.
func (l *Ledger) objection(who Requester, value allocation.Value, claim allocation.Claim) *allocation.Objection {
	return claim.Objection(who.Of(value.Class).Share, l.acrossNamespaces(who, value))
}

// objectionOfUsers returns why the Service can't claim a value that others use without a
// claim, or nil.
func (l *Ledger) objectionOfUsers(who Requester, value allocation.Value) *allocation.Objection {
	if len(l.Index.Users(value)) == 0 {
		return nil
	}
	return l.Index.ObjectionOfUsers(value, who.Of(value.Class).Share, l.acrossNamespaces(who, value))
}

// learnUsers reads the Services from etcd that use a value without a claim, as far as the
// index knows, and enters what they use now. No Service is rejected before that.
func (l *Ledger) learnUsers(ctx context.Context, value allocation.Value) error {
	for _, user := range l.Index.Users(value) {
		found, err := l.client.Get(ctx, l.services.Key(user.String()), kubernetes.GetOptions{})
		if err != nil {
			return err
		}
		if found.KV == nil {
			forgetUses(l.Index, user)
			continue
		}
		svc := &v1.Service{}
		if err := l.services.Decode(ctx, found.KV, svc); err != nil {
			return err
		}
		enterUses(l.Index, svc)
	}
	return nil
}

// acrossNamespaces reports whether the range of a value lets Services of different namespaces
// share it.
func (l *Ledger) acrossNamespaces(who Requester, value allocation.Value) bool {
	covering, err := l.Index.Covering(value, who.Of(value.Class))
	return err == nil && covering.AcrossNamespaces
}

// taken returns the error for a value that the Service can't have because of an objection.
func (l *Ledger) taken(ctx context.Context, svc *v1.Service, value allocation.Value, objection *allocation.Objection) *field.Error {
	return FieldError(svc, value, &takenError{holder: l.nameHolder(ctx, value, objection.Holder), reason: objection.Reason})
}

// nameHolder names the holder of a value or, if the claim has none, the claim. It returns an
// empty text if the caller may not read the Service that holds the value, or the
// reservation.
func (l *Ledger) nameHolder(ctx context.Context, value allocation.Value, holder v1.ParentReference) string {
	read := Read{Resource: kindOf(value.Class).names().claims, Name: value.String()}
	if holder == (v1.ParentReference{}) {
		holder = v1.ParentReference{Resource: read.Resource, Name: read.Name}
	}
	if holder.UID != "" {
		read = Read{Resource: "services", Namespace: holder.Namespace, Name: holder.Name}
	}
	if l.mayRead == nil || !l.mayRead(ctx, read) {
		return ""
	}
	return apigroup.Holder(ctx, holder)
}

// WillReject reports whether the storage will reject the creation of a Service, because
// of a plugin's rejection or a value that the client named and that can't be claimed. If
// the index says the latter, etcd is asked as well: another replica may have just
// released the value. Only the index is asked about ranges.
func (l *Ledger) WillReject(ctx context.Context, svc *v1.Service) (bool, error) {
	picks := requeststate.From(ctx).Picks
	if picks.Rejection() != nil {
		return true, nil
	}
	who, err := l.Requester(ctx, svc)
	if err != nil {
		return false, err
	}
	for _, value := range NewClaims(svc, nil) {
		if picks.Picked(value) || l.Check(ctx, who, value) == nil {
			continue
		}
		if _, err := l.readClaim(ctx, value); err != nil {
			return false, err
		}
		if err := l.learnUsers(ctx, value); err != nil {
			return false, err
		}
		if l.Check(ctx, who, value) != nil {
			return true, nil
		}
	}
	return false, nil
}

// CheckRange returns an error if a value lies in no usable range that serves the Service.
func (l *Ledger) CheckRange(who Requester, value allocation.Value) *field.Error {
	if _, err := l.Index.Covering(value, who.Of(value.Class)); err != nil {
		return l.outOfRange(who.svc, &outOfRangeError{value: value, cause: err})
	}
	return nil
}

// outOfRange words why no range serves a Service a value.
func (l *Ledger) outOfRange(svc *v1.Service, outside *outOfRangeError) *field.Error {
	if !errors.Is(outside.cause, allocation.ErrOutside) {
		return FieldError(svc, outside.value, outside.cause)
	}
	for _, usable := range l.Index.UsableRanges(outside.value.Class) {
		outside.usable = append(outside.usable, usable.Text)
	}
	return FieldError(svc, outside.value, outside)
}
