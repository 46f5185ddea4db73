package claims

import (
	"context"
	"net/http"
	"path"
	"slices"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/client/v3/kubernetes"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/generic"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/allocation"
	"github.com/portolan-dev/portolan/pkg/requeststate"
	portolanstorage "github.com/portolan-dev/portolan/pkg/storage"
	"github.com/portolan-dev/portolan/pkg/txn"
)

// Ledger turns claims into the comparisons and writes of a transaction, and the answers
// of etcd into facts of the index.
type Ledger struct {
	Index *allocation.Index

	client          kubernetes.Interface
	mayRead         MayRead
	namespaceLabels NamespaceLabels
	observer        Observer
	// stored has the kind of each class.
	stored map[allocation.Class]*storedKind
	turns  *turns
	// services are read to count what is held without a permit.
	services portolanstorage.Resource
	// root is the prefix of the keys of all kinds of objects.
	root   string
	limits *limitBook
}

// NewLedger makes a ledger that writes claims where the stores of their resources do.
// mayRead decides whether an error names the holder of a value. The observer may be nil.
func NewLedger(index *allocation.Index, client kubernetes.Interface, getter generic.RESTOptionsGetter, mayRead MayRead,
	namespaceLabels NamespaceLabels, observer Observer) (*Ledger, error) {
	resource := func(name string, example runtime.Object) (portolanstorage.Resource, error) {
		options, err := getter.GetRESTOptions(v1.Resource(name), example)
		if err != nil {
			return portolanstorage.Resource{}, err
		}
		return portolanstorage.NewResource(options), nil
	}
	ledger := &Ledger{
		Index: index, client: client, mayRead: mayRead, namespaceLabels: namespaceLabels, observer: observer,
		stored: map[allocation.Class]*storedKind{}, turns: newTurns(),
	}
	for _, k := range kinds() {
		claims, err := resource(k.names().claims, k.newClaim())
		if err != nil {
			return nil, err
		}
		ranges, err := resource(k.names().ranges, k.newRange())
		if err != nil {
			return nil, err
		}
		ledger.store(&storedKind{kind: k, claims: claims, ranges: ranges})
	}
	services, err := resource("services", &v1.Service{})
	if err != nil {
		return nil, err
	}
	ledger.services, ledger.root = services, path.Dir(path.Clean(services.Prefix))
	ledger.limits = newLimitBook(ledger.root)
	return ledger, nil
}

func (l *Ledger) store(k *storedKind) {
	for _, class := range k.classes() {
		l.stored[class] = k
	}
}

// kindOfRanges returns the kind of values of a resource of ranges, such as servicecidrs.
func (l *Ledger) kindOfRanges(resource string) *storedKind {
	for _, k := range l.stored {
		if k.names().ranges == resource {
			return k
		}
	}
	return nil
}

// WithPicks is the filter requeststate.WithPicks, for the ledger's index and observer.
func (l *Ledger) WithPicks(handler http.Handler) http.Handler {
	return requeststate.WithPicks(l.Index, l.observe().Failed, handler)
}

// claimKey returns the key of the claim on a value.
func (l *Ledger) claimKey(value allocation.Value) string {
	return l.stored[value.Class].claims.Key(value.String())
}

// committed enters a transaction of this replica into the index, ahead of the watch.
func (l *Ledger) committed(a *attempt, revision int64) {
	claim := allocation.Claim{Holder: *v1.HolderOf(a.owner), Revision: revision}
	for _, value := range slices.Concat(a.take, a.unclaimed, a.rewrite) {
		if _, shared := a.shared[value]; !shared {
			l.Index.Observe(value, claim)
		}
	}
	for value, claim := range a.reserved {
		claim.Revision = revision
		l.Index.Observe(value, claim)
	}
	for _, value := range a.release {
		if _, shared := a.shared[value]; shared {
			continue
		}
		if known, ok := l.Index.Lookup(value); ok && known.HeldBy(a.holder()) {
			l.Index.Released(value, revision)
		}
	}
	for value, shared := range a.shared {
		shared.Revision = revision
		l.Index.Observe(value, shared)
	}
	for _, freed := range a.freed {
		freed.permits.Released(freed.number)
	}
}

// learn enters the state that a rejected transaction found into the index.
func (l *Ledger) learn(ctx context.Context, a *attempt, conflict *txn.ConflictError) error {
	for key, kv := range conflict.Found {
		if value, ok := a.values[key]; ok {
			if err := l.learnClaim(ctx, value, kv, conflict.Revision); err != nil {
				return err
			}
		} else if guard, ok := a.ranges[key]; ok {
			if err := l.learnRange(ctx, l.stored[guard.class], guard.name, kv, conflict.Revision); err != nil {
				return err
			}
		}
	}
	return nil
}

// creations returns the creation revisions of the claims that an attempt releases, after
// the index has learned why the attempt was rejected.
func (l *Ledger) creations(a *attempt, conflict *txn.ConflictError) map[string]int64 {
	created := map[string]int64{}
	for _, value := range a.release {
		key := l.claimKey(value)
		claim, known := l.Index.Lookup(value)
		if kv := conflict.Found[key]; kv != nil && known && claim.HeldBy(a.holder()) && claim.Shared == nil {
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
	claim, err := l.stored[value.Class].decodeClaim(ctx, kv)
	if err != nil {
		return err
	}
	l.Index.Observe(value, claim)
	return nil
}

// readClaim reads the claim on a value, and enters what it finds into the index. It returns nil
// if there is none.
func (l *Ledger) readClaim(ctx context.Context, value allocation.Value) (*mvccpb.KeyValue, error) {
	found, err := l.client.Get(ctx, l.claimKey(value), kubernetes.GetOptions{})
	if err != nil {
		return nil, err
	}
	return found.KV, l.learnClaim(ctx, value, found.KV, found.Revision)
}

func (l *Ledger) learnRange(ctx context.Context, k *storedKind, name string, kv *mvccpb.KeyValue, revision int64) error {
	if kv == nil {
		removeRange(l.Index, k, name, revision)
		return nil
	}
	r := k.newRange()
	if err := k.ranges.Decode(ctx, kv, r); err != nil {
		return err
	}
	enterRange(l.Index, k, r, kv.ModRevision)
	return nil
}
