package claims

import (
	"context"
	"slices"

	"go.etcd.io/etcd/client/v3/kubernetes"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/allocation"
)

// findUnclaimed finds the values that a Service keeps without a claim, because it was
// stored by something other than this server, or by a release that made no claims. Free
// values are adopted, and values that are reserved for the Service: no other write would
// notice that the Service holds them.
//
// The index may lag, so a value without a claim in the index is looked up in etcd. A
// value that another object holds is left alone; for a strict write it is planned like a
// free one, so that the transaction decides whether the Service still keeps it.
func (l *Ledger) findUnclaimed(ctx context.Context, a *attempt, c change) error {
	for value := range c.after {
		if _, kept := c.before[value]; !kept || l.owns(c.holder, value) {
			continue
		}
		a.strict = c.strict()
		found, err := l.client.Get(ctx, l.claimKey(value), kubernetes.GetOptions{})
		if err != nil {
			return err
		}
		if err := l.learnClaim(ctx, value, found.KV, found.Revision); err != nil {
			// An unreadable claim is no reason to reject the Service's update.
			klog.FromContext(ctx).Error(err, "A claim can't be read", "service", klog.KObj(c.owner), "value", value.String())
			continue
		}
		known, _ := l.Index.Lookup(value)
		if found.KV == nil || l.mayTake(c.owner, known) || a.strict && !l.owns(c.holder, value) {
			a.adopt = append(a.adopt, value)
			a.rewrite = slices.DeleteFunc(a.rewrite, func(other allocation.Value) bool { return other == value })
		}
	}
	sortAsWritten(c.owner, a.adopt)
	return nil
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
