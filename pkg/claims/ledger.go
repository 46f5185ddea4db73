package claims

import (
	"context"
	"slices"
	"strings"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/client/v3/kubernetes"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/generic"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/allocation"
	portolanstorage "github.com/portolan-dev/portolan/pkg/storage"
	"github.com/portolan-dev/portolan/pkg/txn"
)

// Ledger turns claims into what a transaction compares and writes, and what
// etcd says back into facts of the index.
type Ledger struct {
	Index *allocation.Index

	client   kubernetes.Interface
	mayRead  MayRead
	observer Observer

	addresses, ports          portolanstorage.Resource
	addressRanges, portRanges portolanstorage.Resource
}

// NewLedger makes a ledger that writes claims where the stores of their
// resources do. mayRead decides whether an error names the holder of a value;
// the observer may be nil.
func NewLedger(index *allocation.Index, client kubernetes.Interface, getter generic.RESTOptionsGetter, mayRead MayRead,
	observer Observer) (*Ledger, error) {
	ledger := &Ledger{Index: index, client: client, mayRead: mayRead, observer: observer}
	for _, kind := range []struct {
		resource string
		example  runtime.Object
		into     *portolanstorage.Resource
	}{
		{"ipaddresses", &v1.IPAddress{}, &ledger.addresses},
		{"nodeports", &v1.NodePort{}, &ledger.ports},
		{"servicecidrs", &v1.ServiceCIDR{}, &ledger.addressRanges},
		{"nodeportranges", &v1.NodePortRange{}, &ledger.portRanges},
	} {
		options, err := getter.GetRESTOptions(v1.Resource(kind.resource), kind.example)
		if err != nil {
			return nil, err
		}
		*kind.into = portolanstorage.NewResource(options)
	}
	return ledger, nil
}

func (l *Ledger) claims(class allocation.Class) portolanstorage.Resource {
	if class == allocation.Port {
		return l.ports
	}
	return l.addresses
}

func (l *Ledger) ranges(class allocation.Class) portolanstorage.Resource {
	if class == allocation.Port {
		return l.portRanges
	}
	return l.addressRanges
}

// committed enters what a transaction of this replica did into the index,
// ahead of the watch.
func (l *Ledger) committed(a *attempt, revision int64) {
	claim := claimOf(v1.HolderOf(a.owner), revision)
	for _, value := range slices.Concat(a.take, a.adopt, a.rewrite) {
		l.Index.Observe(value, claim)
	}
	for _, value := range a.release {
		if known, ok := l.Index.Lookup(value); ok && known.UID == string(a.owner.UID) {
			l.Index.Released(value, revision)
		}
	}
}

// learn enters what etcd held where a transaction was refused into the index.
func (l *Ledger) learn(ctx context.Context, a *attempt, conflict *txn.ConflictError) error {
	for key, kv := range conflict.Found {
		if value, ok := a.values[key]; ok {
			if err := l.learnClaim(ctx, value, kv, conflict.Revision); err != nil {
				return err
			}
		} else if guard, ok := a.ranges[key]; ok {
			if err := l.learnRange(ctx, guard, kv, conflict.Revision); err != nil {
				return err
			}
		}
	}
	return nil
}

// creations are when the claims that an attempt releases were created, after the
// index has learnt what refused the attempt.
func (l *Ledger) creations(a *attempt, conflict *txn.ConflictError) map[string]int64 {
	created := map[string]int64{}
	for _, value := range a.release {
		key := l.claims(value.Class).Key(value.String())
		if kv := conflict.Found[key]; kv != nil && l.owns(a.owner, value) {
			created[key] = kv.CreateRevision
		}
	}
	return created
}

func (l *Ledger) learnClaim(ctx context.Context, value allocation.Value, kv *mvccpb.KeyValue, revision int64) error {
	if kv == nil {
		l.Index.Absent(value, revision)
		return nil
	}
	claim, err := l.decodeClaim(ctx, value, kv)
	if err != nil {
		return err
	}
	l.Index.Observe(value, claim)
	return nil
}

// decodeClaim is what a value's key says.
func (l *Ledger) decodeClaim(ctx context.Context, value allocation.Value, kv *mvccpb.KeyValue) (allocation.Claim, error) {
	if value.Class == allocation.Port {
		var port v1.NodePort
		err := l.ports.Decode(ctx, kv, &port)
		return claimOf(port.Spec.ParentRef, kv.ModRevision), err
	}
	var address v1.IPAddress
	err := l.addresses.Decode(ctx, kv, &address)
	return claimOf(address.Spec.ParentRef, kv.ModRevision), err
}

// learnRangeAt enters what was found at a range's key.
func (l *Ledger) learnRangeAt(ctx context.Context, key string, kv *mvccpb.KeyValue, revision int64) error {
	for _, class := range []allocation.Class{allocation.IPv4, allocation.Port} {
		if name, ok := strings.CutPrefix(key, l.ranges(class).Prefix); ok {
			return l.learnRange(ctx, rangeGuard{class, name}, kv, revision)
		}
	}
	return nil
}

func (l *Ledger) learnRange(ctx context.Context, guard rangeGuard, kv *mvccpb.KeyValue, revision int64) error {
	if guard.class == allocation.Port {
		if kv == nil {
			l.Index.RemoveRange(allocation.Port, guard.name, revision)
			return nil
		}
		var r v1.NodePortRange
		if err := l.portRanges.Decode(ctx, kv, &r); err != nil {
			return err
		}
		setPortRange(l.Index, &r, kv.ModRevision)
		return nil
	}
	if kv == nil {
		l.Index.RemoveRange(allocation.IPv4, guard.name, revision)
		l.Index.RemoveRange(allocation.IPv6, guard.name, revision)
		return nil
	}
	var r v1.ServiceCIDR
	if err := l.addressRanges.Decode(ctx, kv, &r); err != nil {
		return err
	}
	setAddressRange(l.Index, &r, kv.ModRevision)
	return nil
}
