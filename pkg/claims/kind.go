package claims

import (
	"context"
	"slices"

	"go.etcd.io/etcd/api/v3/mvccpb"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/allocation"
	"github.com/portolan-dev/portolan/pkg/allocation/space"
	portolanstorage "github.com/portolan-dev/portolan/pkg/storage"
)

// kind is a kind of values: cluster IPs, ports or load-balancer addresses. It holds what
// differs between their claims. A further kind of values is one more implementation, in
// kinds, and has its keys in ClaimQuotas (classesOf). Only a load-balancer address can be
// waited for, which is in withhold and waits (charges.go).
type kind interface {
	names() names
	// classes returns the classes of the kind's values.
	classes() []allocation.Class
	// observesBlocks reports whether an observer is given the block of a claimed value,
	// for which each commit searches the blocks.
	observesBlocks() bool
	// parse returns the value of a claim by the claim's name.
	parse(name string) (allocation.Value, bool)

	// newClaim returns an empty claim.
	newClaim() runtime.Object
	// heldClaim returns the claim of a name that a Service holds alone.
	heldClaim(name string, held holding, owner *v1.Service) runtime.Object
	// heldLabels returns the labels that the server keeps on a held claim.
	heldLabels(name string) map[string]string
	// reserve sets in a claim of a Service what a reservation for the Service has of its
	// own. A nil time means for ever.
	reserve(claim runtime.Object, owner *v1.Service, expires *metav1.Time)
	// claim returns the contents of a claim. It reports false for any other object.
	claim(obj runtime.Object) (contents, bool)

	// newRange returns an empty range.
	newRange() runtime.Object
	// offers returns what a range has of each class.
	offers(obj runtime.Object, revision int64) []offer
	// conditions returns the conditions of a range, by reference. It returns nil for any
	// other object.
	conditions(obj runtime.Object) *[]metav1.Condition
	// spans returns the numbers of a range; none for nil.
	spans(obj runtime.Object) []space.Span
	// shrinks returns the field by which an update may take numbers away from a
	// range; nil if it does not.
	shrinks(before, after runtime.Object) *field.Path

	// asks returns what a Service asks of the ranges. The labels are filled in by the
	// caller.
	asks(svc *v1.Service) allocation.Requester
	// rangePath returns the field in which a Service names a range.
	rangePath(svc *v1.Service) *field.Path

	// addHoldings adds the values that a Service holds.
	addHoldings(svc *v1.Service, to holdings)
	// addPositions adds the values in the order in which the Service's spec has them.
	addPositions(svc *v1.Service, to positions)
	// substitute replaces a value in the Service.
	substitute(svc *v1.Service, old, replacement allocation.Value)
	// fixedBy returns the field with which a Service names a value that it has. An update
	// would give the Service the value again. It returns nil for a value that no field names,
	// or that is part of the spec.
	fixedBy(svc *v1.Service, value allocation.Value) *field.Path
	// withdraw takes a value from the Service for which there is no replacement. It reports
	// false if the Service can't be without it.
	withdraw(svc *v1.Service, value allocation.Value, cause error) bool
	// fieldError words why a Service can't have a value, as upstream does.
	fieldError(svc *v1.Service, value allocation.Value, cause error) *field.Error
}

// names are the words for a kind of values.
type names struct {
	noun string
	// claims and ranges are the resources of the kind's claims and ranges.
	claims, ranges string
	// rangeKind is the kind of the range objects.
	rangeKind string
}

// kinds returns all kinds, in the order in which upstream allocates their values.
// Upstream does not allocate load-balancer addresses, which come last.
func kinds() []kind { return []kind{addresses{}, ports{}, loadBalancers{}} }

// kindOf returns the kind of a class.
func kindOf(class allocation.Class) kind {
	all := kinds()
	return all[slices.IndexFunc(all, func(k kind) bool { return slices.Contains(k.classes(), class) })]
}

// contents are the parts of a claim, by reference.
type contents struct {
	kind   kind
	meta   *metav1.ObjectMeta
	parent *v1.ParentReference
	// protocols is nil for kinds whose claims have none. Claims that have them are
	// rewritten with their Service.
	protocols *[]corev1.Protocol
	// sharing is nil for kinds whose claims have one holder. It has the holders of others,
	// unless they are reservations.
	sharing *v1.LoadBalancerIPSpec
	// spec points to the whole spec.
	spec any
	// terms are those of the claim if it is a reservation.
	terms allocation.Terms
}

// contentsOf returns the contents of a claim. It reports false for an object that is
// not a claim.
func contentsOf(obj runtime.Object) (contents, bool) {
	for _, k := range kinds() {
		if c, ok := k.claim(obj); ok {
			return c, true
		}
	}
	return contents{}, false
}

// noun names the claimed value.
func (c contents) noun() string { return c.kind.names().noun }

// at returns the claim as the index has it, at a revision.
func (c contents) at(revision int64) allocation.Claim {
	claim := allocation.Claim{Revision: revision}
	if c.parent != nil {
		claim.Holder = *c.parent
	}
	if c.sharing != nil && len(c.sharing.Holders) > 0 {
		claim.Holder, claim.Shared = *c.sharing.Holders[0].Reference(), c.sharing
	}
	if claim.Holder.UID == "" {
		terms := c.terms
		terms.Deleting = c.meta.DeletionTimestamp != nil
		claim.Terms = &terms
	}
	return claim
}

// holder is the holder of the claim, the first one if there are several. It is zero if
// there is none.
func (c contents) holder() v1.ParentReference { return c.at(0).Holder }

// held reports whether a Service holds the claim.
func (c contents) held() bool { return c.holder().UID != "" }

// rewritten reports whether the claim is written again while a Service holds it.
func (c contents) rewritten() bool { return c.protocols != nil || c.sharing != nil }

// offer is what a range has of one class.
type offer struct {
	class allocation.Class
	allocation.Range
}

// enterRange enters a range into an index.
func enterRange(index *allocation.Index, k kind, obj runtime.Object, revision int64) {
	for _, o := range k.offers(obj, revision) {
		index.SetRange(o.class, o.Range)
	}
}

// removeRange removes a range from an index.
func removeRange(index *allocation.Index, k kind, name string, revision int64) {
	for _, class := range k.classes() {
		index.RemoveRange(class, name, revision)
	}
}

// storedKind is a kind with the resources as which its claims and ranges are stored.
type storedKind struct {
	kind
	claims, ranges portolanstorage.Resource
}

// decodeClaim decodes the claim that is stored under a key.
func (k *storedKind) decodeClaim(ctx context.Context, kv *mvccpb.KeyValue) (allocation.Claim, error) {
	obj := k.newClaim()
	err := k.claims.Decode(ctx, kv, obj)
	c, _ := k.claim(obj)
	return c.at(kv.ModRevision), err
}
