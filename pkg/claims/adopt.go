package claims

import (
	"context"
	"slices"

	"go.etcd.io/etcd/client/v3/kubernetes"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/klog/v2"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/allocation"
)

// findUnclaimed finds the values that a Service keeps without a claim: it was
// stored past the server, or by something that kept no claims. Those that are
// free are adopted. No other write would ever notice that they are held.
//
// The index may be behind, so etcd is asked before anything is believed. Nothing
// is asked where the index has the Service's claims. A value that another has is
// left alone, or else planned like one that is free: the transaction then tells
// whether the Service still keeps it.
func (l *Ledger) findUnclaimed(ctx context.Context, a *attempt, c change) error {
	for value := range c.after {
		if _, kept := c.before[value]; !kept || l.owns(c.owner, value) {
			continue
		}
		a.insist = c.insist()
		found, err := l.client.Get(ctx, l.claims(value.Class).Key(value.String()), kubernetes.GetOptions{})
		if err != nil {
			return err
		}
		if err := l.learnClaim(ctx, value, found.KV, found.Revision); err != nil {
			// What can't be read is no reason to refuse a Service its update.
			klog.FromContext(ctx).Error(err, "A claim can't be read", "service", klog.KObj(c.owner), "value", value.String())
			continue
		}
		if found.KV == nil || a.insist && !l.owns(c.owner, value) {
			a.adopt = append(a.adopt, value)
			a.rewrite = slices.DeleteFunc(a.rewrite, func(other allocation.Value) bool { return other == value })
		}
	}
	sortAsWritten(c.owner, a.adopt)
	return nil
}

// owns says whether the index has a value as the Service's.
func (l *Ledger) owns(owner *v1.Service, value allocation.Value) bool {
	claim, known := l.Index.Lookup(value)
	return known && claim.UID != "" && claim.UID == string(owner.UID)
}

// insists says whether an update is refused if another has what the Service
// keeps. One that writes the status, takes finalizers away or prepares the
// Service's deletion is not: it must always go through.
func insists(before, after *v1.Service) bool {
	return after.DeletionTimestamp == nil && !(equality.Semantic.DeepEqual(before.Spec, after.Spec) &&
		equality.Semantic.DeepEqual(before.Labels, after.Labels) &&
		equality.Semantic.DeepEqual(before.Annotations, after.Annotations))
}
