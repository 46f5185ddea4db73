package claims

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/allocation"
)

func nameOf(obj runtime.Object) string {
	accessor, err := meta.Accessor(obj)
	if err != nil {
		return ""
	}
	return accessor.GetName()
}

// revisionOf returns the etcd revision at which an object was read.
func revisionOf(obj runtime.Object) int64 {
	accessor, ok := obj.(metav1.Object)
	if !ok {
		return 0
	}
	revision, err := strconv.ParseInt(accessor.GetResourceVersion(), 10, 64)
	if err != nil {
		return 0
	}
	return revision
}

// RangesOf returns what a range has of each class of which it has
// values. It returns none for any other object.
func RangesOf(obj runtime.Object) map[allocation.Class]allocation.Range {
	ranges := map[allocation.Class]allocation.Range{}
	for _, k := range kinds() {
		if k.conditions(obj) == nil {
			continue
		}
		for _, o := range k.offers(obj, revisionOf(obj)) {
			if len(o.Blocks) > 0 {
				ranges[o.class] = o.Range
			}
		}
	}
	return ranges
}

// ClaimedBy returns the value of a claim and its holder, which is the first of several and
// zero for a claim without one. It reports false for any other object.
func ClaimedBy(obj runtime.Object) (allocation.Value, v1.ParentReference, bool) {
	for _, k := range kinds() {
		if value, claim, ok := claimed(k, obj); ok {
			return value, claim.Holder, true
		}
	}
	return allocation.Value{}, v1.ParentReference{}, false
}

// HoldersOf returns all holders of a claim. It returns none for a claim without one, and for
// any other object.
func HoldersOf(obj runtime.Object) []v1.ParentReference {
	claim, ok := contentsOf(obj)
	switch {
	case !ok || claim.holder() == v1.ParentReference{}:
		return nil
	case claim.sharing == nil || len(claim.sharing.Holders) == 0:
		return []v1.ParentReference{claim.holder()}
	}
	holders := make([]v1.ParentReference, len(claim.sharing.Holders))
	for i := range claim.sharing.Holders {
		holders[i] = *claim.sharing.Holders[i].Reference()
	}
	return holders
}

// ExpiryOf returns when the reservation that a claim is, or would be without a holder, ends. It
// is zero for one that never ends, and for any other object.
func ExpiryOf(obj runtime.Object) time.Time {
	claim, _ := contentsOf(obj)
	return claim.terms.Expires
}

// claimName names a claim with its resource, for example nodeports/30080.
func claimName(value allocation.Value) string {
	return kindOf(value.Class).names().claims + "/" + value.String()
}

// parseClaimName parses what claimName returns.
func parseClaimName(text string) (allocation.Value, bool) {
	k, name := splitClaimName(text)
	if k == nil {
		return allocation.Value{}, false
	}
	return k.parse(name)
}

// splitClaimName returns the kind of a claim and its name without the resource. The kind is
// nil for a resource that only a later release knows.
func splitClaimName(text string) (kind, string) {
	resource, name, _ := strings.Cut(strings.TrimSpace(text), "/")
	at := slices.IndexFunc(kinds(), func(k kind) bool { return k.names().claims == resource })
	if at < 0 {
		return nil, name
	}
	return kinds()[at], name
}

func serviceOf(obj runtime.Object) (*v1.Service, error) {
	svc, ok := obj.(*v1.Service)
	if !ok {
		return nil, apierrors.NewInternalError(fmt.Errorf("the store of Services was handed a %T", obj))
	}
	return svc, nil
}

// timeOf returns the zero time for nil.
func timeOf(t *metav1.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.Time
}
