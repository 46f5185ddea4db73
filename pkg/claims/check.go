package claims

import (
	"context"

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

// check returns why the Service can't claim a value, as far as this replica knows, or
// nil. The transaction decides.
func (l *Ledger) check(ctx context.Context, svc *v1.Service, value allocation.Value) *field.Error {
	claim, held := l.Index.Lookup(value)
	switch {
	case held && claim.Holder.UID != "" && claim.Holder.UID == svc.UID:
		return nil
	case held:
		return FieldError(svc, value, &takenError{holder: l.holder(ctx, value, claim)})
	}
	return l.CheckRange(svc, value)
}

// checkAdopted returns the value of a rejected attempt that another object holds and
// that the Service therefore can't keep. The error is nil if there is none.
func (l *Ledger) checkAdopted(ctx context.Context, a *attempt) (allocation.Value, *field.Error) {
	for _, value := range a.adopt {
		claim, held := l.Index.Lookup(value)
		if a.strict && held && claim.Holder.UID != a.owner.UID {
			return value, FieldError(a.owner, value, &takenError{holder: l.holder(ctx, value, claim)})
		}
	}
	return allocation.Value{}, nil
}

// holder names the holder of a value or, if the claim has none, the claim. It returns an
// empty text if the caller may not read the Service that holds the value, or the
// reservation.
func (l *Ledger) holder(ctx context.Context, value allocation.Value, claim allocation.Claim) string {
	holder := claim.Holder
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
// of a plugin's refusal or a value that the client named and that can't be claimed. If
// the index says the latter, etcd is asked as well: another replica may have just
// released the value. Only the index is asked about ranges.
func (l *Ledger) WillReject(ctx context.Context, svc *v1.Service) (bool, error) {
	picks := requeststate.From(ctx).Picks
	if picks.Refusal() != nil {
		return true, nil
	}
	for _, value := range NewClaims(svc, nil) {
		if picks.Picked(value) || l.check(ctx, svc, value) == nil {
			continue
		}
		found, err := l.client.Get(ctx, l.claimKey(value), kubernetes.GetOptions{})
		if err != nil {
			return false, err
		}
		if err := l.learnClaim(ctx, value, found.KV, found.Revision); err != nil {
			return false, err
		}
		if l.check(ctx, svc, value) != nil {
			return true, nil
		}
	}
	return false, nil
}

// CheckRange returns an error if a value lies in no usable range.
func (l *Ledger) CheckRange(svc *v1.Service, value allocation.Value) *field.Error {
	if _, _, covered := l.Index.Covering(value); covered {
		return nil
	}
	return l.outOfRange(svc, value)
}

// outOfRange returns the error for a value that lies in no usable range.
func (l *Ledger) outOfRange(svc *v1.Service, value allocation.Value) *field.Error {
	cause := &outOfRangeError{value: value}
	for _, usable := range l.Index.UsableRanges(value.Class) {
		cause.usable = append(cause.usable, usable.Text)
	}
	return FieldError(svc, value, cause)
}
