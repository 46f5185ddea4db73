package claims

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/client/v3/kubernetes"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/allocation"
	"github.com/portolan-dev/portolan/pkg/allocation/permits"
	"github.com/portolan-dev/portolan/pkg/allocation/space"
)

// hardLimits are the limits of a namespace as they are stored: those of each ClaimQuota, by
// its name.
type hardLimits map[string]map[string]int64

// limits are the limits of a namespace. They have a key of their own in etcd, which every
// write of a ClaimQuota writes too. Every transaction that claims or releases a value in the
// namespace compares it. So a replica needs no watch to know the limits: the transaction
// that is rejected because they have changed returns the present ones.
type limits struct {
	key string
	// revision is 0 for a namespace without a ClaimQuota.
	revision int64
	// all are in one order everywhere, in which permits are picked.
	all []*limit
}

// limit is one limit of one ClaimQuota. Its permits have keys of their own in etcd, and so has
// every value that is claimed with one. A key of a permit has that of the value, and the
// other way round.
type limit struct {
	quota, name string
	max         int64
	classes     []allocation.Class
	// prefix is that of the limit's keys.
	prefix string
	// ranged is true for a limit of one range. What it counts depends on the range, so a limit
	// is made anew when that has changed.
	ranged    bool
	rangeName string
	// rangeRevision and spans are those of the range, 0 and none if it does not exist.
	rangeRevision int64
	spans         []space.Span
	permits       *permits.Set
	// loads are reads of the state of the permits.
	loads coalesced[int64]
}

// The folders of a limit's keys.
const (
	permitsFolder = "permits/"
	valuesFolder  = "values/"
)

// classesOf returns the classes that a resource of a ClaimQuota limits, none for an unknown
// one, which only a later release knows.
func classesOf(resource string) []allocation.Class {
	switch resource {
	case v1.ClusterIPv4Quota:
		return []allocation.Class{allocation.IPv4}
	case v1.ClusterIPv6Quota:
		return []allocation.Class{allocation.IPv6}
	case v1.NodePortQuota:
		return []allocation.Class{allocation.Port}
	case v1.LoadBalancerIPQuota:
		return []allocation.Class{allocation.LoadBalancerIPv4, allocation.LoadBalancerIPv6}
	}
	return nil
}

// mayCover reports whether the limit counts values of a class.
func (t *limit) mayCover(class allocation.Class) bool { return slices.Contains(t.classes, class) }

// covers reports whether the limit counts a value.
func (t *limit) covers(value allocation.Value) bool {
	return t.mayCover(value.Class) && (!t.ranged || anyContains(t.spans, value))
}

// present returns the limit for the range that an index has.
func (t *limit) present(index *allocation.Index) *limit {
	if !t.ranged || len(t.classes) == 0 {
		return t
	}
	// The classes of a range enter the index one by one. A transaction that relies on the
	// oldest revision fails until all have.
	var revision int64
	var spans []space.Span
	for i, class := range t.classes {
		r, _ := index.Range(class, t.rangeName)
		if i == 0 || r.Revision < revision {
			revision = r.Revision
		}
		for _, block := range r.Blocks {
			spans = append(spans, block.Span)
		}
	}
	if revision == t.rangeRevision {
		return t
	}
	return &limit{
		quota: t.quota, name: t.name, max: t.max, classes: t.classes, prefix: t.prefix, ranged: true, rangeName: t.rangeName,
		rangeRevision: revision, spans: spans, permits: permits.New(t.max),
	}
}

// permitKey returns the key of a permit.
func (t *limit) permitKey(n permits.Number) string {
	return t.prefix + permitsFolder + n.String()
}

// valueKey returns the key of a value that is claimed with a permit.
func (t *limit) valueKey(value allocation.Value) string {
	return t.prefix + valuesFolder + claimName(value)
}

// limitBook has the limits of the namespaces that have any, as one replica knows them.
type limitBook struct {
	// root is the prefix of the keys of all kinds of objects.
	root string

	mu         sync.Mutex
	namespaces map[string]*limits
}

func newLimitBook(root string) *limitBook {
	return &limitBook{root: root, namespaces: map[string]*limits{}}
}

// key returns the key of the limits of a namespace.
func (b *limitBook) key(namespace string) string { return path.Join(b.root, "claimlimits", namespace) }

// quotaPrefix returns the prefix of the keys of the permits of a ClaimQuota.
func (b *limitBook) quotaPrefix(namespace, quota string) string {
	return path.Join(b.root, "claimpermits", namespace, quota) + "/"
}

// limitPrefix returns the prefix of the keys of one limit's permits. Neither a name nor the
// key of a limit has a colon.
func (b *limitBook) limitPrefix(namespace, quota, name string) string {
	return b.quotaPrefix(namespace, quota) + strings.ReplaceAll(name, "/", ":") + "/"
}

// of returns the limits of a namespace, with the ranges that an index has.
func (b *limitBook) of(namespace string, index *allocation.Index) *limits {
	b.mu.Lock()
	defer b.mu.Unlock()
	known := b.namespaces[namespace]
	if known == nil {
		return &limits{key: b.key(namespace)}
	}
	present := *known
	present.all = slices.Clone(known.all)
	for i, t := range known.all {
		present.all[i] = t.present(index)
	}
	b.namespaces[namespace] = &present
	return &present
}

// has reports whether a limit is still one of a namespace, and its range as it was.
func (b *limitBook) has(namespace string, index *allocation.Index, t *limit) bool {
	return slices.Contains(b.of(namespace, index).all, t)
}

// learn records the limits of a namespace as etcd had them at a revision. Nil means that
// there were none.
func (b *limitBook) learn(namespace string, kv *mvccpb.KeyValue, revision int64) error {
	hard, err := parseLimits(kv)
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	known := b.namespaces[namespace]
	switch {
	case kv == nil && known != nil && known.revision < revision:
		delete(b.namespaces, namespace)
	case kv == nil:
	case known == nil || known.revision < kv.ModRevision:
		b.namespaces[namespace] = b.newLimits(namespace, hard, kv.ModRevision)
	}
	return nil
}

func (b *limitBook) newLimits(namespace string, hard hardLimits, revision int64) *limits {
	learned := &limits{key: b.key(namespace), revision: revision}
	for _, quota := range slices.Sorted(maps.Keys(hard)) {
		for _, name := range slices.Sorted(maps.Keys(hard[quota])) {
			resource, rangeName, ranged := v1.SplitQuotaKey(name)
			learned.all = append(learned.all, &limit{
				quota: quota, name: name, max: hard[quota][name], classes: classesOf(resource), ranged: ranged, rangeName: rangeName,
				prefix: b.limitPrefix(namespace, quota, name), permits: permits.New(hard[quota][name]),
			})
		}
	}
	return learned
}

func parseLimits(kv *mvccpb.KeyValue) (hardLimits, error) {
	hard := hardLimits{}
	if kv == nil {
		return hard, nil
	}
	if err := json.Unmarshal(kv.Value, &hard); err != nil {
		return nil, fmt.Errorf("decoding %s: %w", kv.Key, err)
	}
	return hard, nil
}

// load reads the state of a limit's permits, at one revision, and returns what is used then.
// Callers who ask at the same time share a read. It is proportional to the limit, and is
// needed at the first claim under a limit, and for each claim that finds no free permit.
// Values and Services are read only until there was a time at which all values had permits.
func (l *Ledger) load(ctx context.Context, namespace string, t *limit) (used int64, err error) {
	return t.loads.get(ctx, false, func(ctx context.Context) (int64, error) {
		settled, prefix := t.permits.Settled(), t.prefix
		if settled {
			prefix += permitsFolder
		}
		found, err := l.client.List(ctx, prefix, kubernetes.ListOptions{})
		if err != nil {
			return 0, err
		}
		taken, permitted, err := t.parse(found.Kvs)
		unpermitted := 0
		if err == nil && !settled {
			unpermitted, err = l.countUnpermitted(ctx, namespace, t, permitted, found.Revision)
		}
		if err != nil {
			return 0, err
		}
		t.permits.Load(taken, unpermitted)
		return int64(len(taken) + unpermitted), nil
	})
}

// parse returns the permits that are taken, and the values that have one.
func (t *limit) parse(kvs []*mvccpb.KeyValue) (taken []permits.Number, permitted map[allocation.Value]bool, err error) {
	permitted = map[allocation.Value]bool{}
	for _, kv := range kvs {
		key := strings.TrimPrefix(string(kv.Key), t.prefix)
		if number, ok := strings.CutPrefix(key, permitsFolder); ok {
			n, err := parsePermit(number)
			if err != nil {
				return nil, nil, fmt.Errorf("%s: %w", kv.Key, err)
			}
			taken = append(taken, n)
		} else if value, ok := parseClaimName(strings.TrimPrefix(key, valuesFolder)); ok {
			permitted[value] = true
		}
	}
	return taken, permitted, nil
}

func parsePermit(text string) (permits.Number, error) {
	n, err := strconv.ParseUint(text, 10, 64)
	return permits.Number(n), err
}

// countUnpermitted counts the values under a limit that the Services of a namespace hold and
// that have no permit, at a revision.
func (l *Ledger) countUnpermitted(ctx context.Context, namespace string, t *limit, permitted map[allocation.Value]bool,
	revision int64) (int, error) {
	unpermitted := map[allocation.Value]bool{}
	options := kubernetes.ListOptions{Revision: revision, Limit: unpermittedPage}
	for prefix := l.services.Key(namespace) + "/"; ; {
		page, err := l.client.List(ctx, prefix, options)
		if err != nil {
			return 0, err
		}
		for _, kv := range page.Kvs {
			svc := &v1.Service{}
			if err := l.services.Decode(ctx, kv, svc); err != nil {
				return 0, err
			}
			for value := range countedOf(svc) {
				if t.covers(value) && !permitted[value] {
					unpermitted[value] = true
				}
			}
			options.Continue = string(kv.Key) + "\x00"
		}
		if int64(len(page.Kvs)) < unpermittedPage {
			return len(unpermitted), nil
		}
	}
}

// unpermittedPage is how many Services are read at a time.
const unpermittedPage = 500

// countedOf returns the values of a Service that count. A copy of a cluster's Service holds
// values of the cluster's ranges, which do not.
func countedOf(svc *v1.Service) holdings {
	if v1.IsMirrored(svc) {
		return nil
	}
	return holdingsOf(svc)
}
