package claims

import (
	"context"
	"slices"

	"go.etcd.io/etcd/client/v3/kubernetes"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/klog/v2"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/allocation"
)

// findUnclaimed finds the values that a Service keeps without a claim, because it was
// stored by something other than this server, or by a release that made no claims. The
// Service claims those that are free or reserved for it: no other write would notice that
// the Service holds them.
//
// The index may lag, so a value without a claim in the index is looked up in etcd. A
// value that another object holds is left alone; for a strict write it is planned like a
// free one, so that the transaction decides whether the Service still keeps it.
func (p *planner) findUnclaimed(ctx context.Context) error {
	for value := range p.after {
		if _, kept := p.before[value]; !kept || p.ledger.owns(p.holder(), value) {
			continue
		}
		p.strict = isStrict(p.stored, p.owner)
		found, err := p.ledger.client.Get(ctx, p.ledger.claimKey(value), kubernetes.GetOptions{})
		if err != nil {
			return err
		}
		if err := p.ledger.learnClaim(ctx, value, found.KV, found.Revision); err != nil {
			// An unreadable claim is no reason to reject the Service's update.
			klog.FromContext(ctx).Error(err, "A claim can't be read", "service", klog.KObj(p.owner), "value", value.String())
			continue
		}
		known, _ := p.ledger.Index.Lookup(value)
		if found.KV == nil || p.ledger.mayTake(p.owner, known) || p.strict && !p.ledger.owns(p.holder(), value) {
			p.unclaimed = append(p.unclaimed, value)
			p.rewrite = slices.DeleteFunc(p.rewrite, func(other allocation.Value) bool { return other == value })
		}
	}
	sortAsWritten(p.owner, p.unclaimed)
	return nil
}

// checkUnclaimed returns the value of a rejected attempt that another object holds and
// that the Service therefore can't keep. The error is nil if there is none.
func (l *Ledger) checkUnclaimed(ctx context.Context, a *attempt) (allocation.Value, *field.Error) {
	for _, value := range a.unclaimed {
		claim, held := l.Index.Lookup(value)
		if !a.strict || !held || claim.HeldBy(a.holder()) || l.mayTake(a.owner, claim) {
			continue
		}
		if objection := claim.Objection(a.after[value].share, true); objection != nil {
			return value, l.taken(ctx, a.owner, value, objection)
		}
	}
	return allocation.Value{}, nil
}

// owns reports whether the Service with a UID holds a value according to the index.
func (l *Ledger) owns(service types.UID, value allocation.Value) bool {
	claim, known := l.Index.Lookup(value)
	return known && claim.HeldBy(service)
}

// isStrict reports whether an update is rejected if another object holds a value that
// the Service keeps. An update that only writes the status, removes finalizers or
// prepares the deletion must always succeed.
func isStrict(before, after *v1.Service) bool {
	return after.DeletionTimestamp == nil && !(equality.Semantic.DeepEqual(before.Spec, after.Spec) &&
		equality.Semantic.DeepEqual(before.Labels, after.Labels) &&
		equality.Semantic.DeepEqual(before.Annotations, after.Annotations))
}
