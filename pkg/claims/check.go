package claims

import (
	"context"
	"strings"

	"go.etcd.io/etcd/client/v3/kubernetes"
	"k8s.io/apimachinery/pkg/util/validation/field"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/allocation"
	"github.com/portolan-dev/portolan/pkg/apigroup"
)

// Read is a look at one object of this project's group.
type Read struct {
	Resource, Namespace, Name string
}

// MayRead says whether who makes the request may take that look.
type MayRead func(ctx context.Context, read Read) bool

// check says whether a value could be claimed by the Service, as far as this
// replica knows; nil where it could. The transaction decides.
func (l *Ledger) check(ctx context.Context, svc *v1.Service, value allocation.Value) *field.Error {
	claim, held := l.Index.Lookup(value)
	switch {
	case held && claim.UID != "" && claim.UID == string(svc.UID):
		return nil
	case held:
		return FieldError(svc, value, &takenError{holder: l.holder(ctx, value, claim)})
	}
	return l.CheckRange(svc, value)
}

// checkAdopted says which value of a refused attempt another has that the Service
// can't go on keeping; nil if there is none.
func (l *Ledger) checkAdopted(ctx context.Context, a *attempt) (allocation.Value, *field.Error) {
	for _, value := range a.adopt {
		claim, held := l.Index.Lookup(value)
		if a.insist && held && claim.UID != string(a.owner.UID) {
			return value, FieldError(a.owner, value, &takenError{holder: l.holder(ctx, value, claim)})
		}
	}
	return allocation.Value{}, nil
}

// holder names who has a value: nobody, where the caller may not read the
// Service that holds it or, if it is reserved, the reservation.
func (l *Ledger) holder(ctx context.Context, value allocation.Value, claim allocation.Claim) string {
	read := Read{Resource: "ipaddresses", Name: value.String()}
	if value.Class == allocation.Port {
		read.Resource = "nodeports"
	}
	holder := claim.Holder
	if holder == "" {
		holder = read.Resource + "/" + read.Name
	}
	if claim.UID != "" {
		parts := strings.Split(holder, "/")
		read = Read{Resource: "services", Namespace: parts[len(parts)-2], Name: parts[len(parts)-1]}
	}
	if l.mayRead == nil || !l.mayRead(ctx, read) {
		return ""
	}
	return apigroup.Holder(ctx, holder)
}

// Refuses says whether the storage will refuse to create a Service: a plugin has
// something against it, or a value that the client named can't be claimed. Where
// that is what the index says, etcd is asked about the value, since another
// replica may have just released it; ranges are the index's to know.
func (l *Ledger) Refuses(ctx context.Context, svc *v1.Service) (bool, error) {
	picks := FromContext(ctx)
	if picks.Refused() != nil {
		return true, nil
	}
	for _, value := range Taken(svc, nil) {
		if picks.Picked(value) || l.check(ctx, svc, value) == nil {
			continue
		}
		found, err := l.client.Get(ctx, l.claims(value.Class).Key(value.String()), kubernetes.GetOptions{})
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

// CheckRange says whether a value lies in a usable range; nil if it does.
func (l *Ledger) CheckRange(svc *v1.Service, value allocation.Value) *field.Error {
	if _, _, covered := l.Index.Covering(value); covered {
		return nil
	}
	return l.outOfRange(svc, value)
}

// outOfRange names the ranges there are, for ports in upstream's words.
func (l *Ledger) outOfRange(svc *v1.Service, value allocation.Value) *field.Error {
	err := FieldError(svc, value, &outOfRangeError{value: value})
	if value.Class == allocation.Port {
		var texts []string
		for _, usable := range l.Index.UsableRanges(allocation.Port) {
			texts = append(texts, usable.Text)
		}
		err.Detail += ". The range of valid ports is " + strings.Join(texts, ",")
	}
	return err
}
