package claims

import (
	"context"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/klog/v2"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

// FillQuotas sets what is used in the status of a ClaimQuota, or of each one in a list. It
// reads etcd, so that the figures are exact with any number of replicas: they are those of a
// revision after the read began. It makes new maps instead of modifying those of objects that
// the watch cache shares. If etcd can't be read, a ClaimQuota shows no usage.
func (l *Ledger) FillQuotas(ctx context.Context, obj runtime.Object, _ bool) {
	switch obj := obj.(type) {
	case *v1.ClaimQuota:
		l.fillQuota(ctx, obj)
	case *v1.ClaimQuotaList:
		for i := range obj.Items {
			l.fillQuota(ctx, &obj.Items[i])
		}
	}
}

func (l *Ledger) fillQuota(ctx context.Context, quota *v1.ClaimQuota) {
	used, err := l.usageOf(ctx, quota)
	if err != nil {
		klog.FromContext(ctx).Error(err, "The usage of a ClaimQuota can't be read", "claimquota", klog.KObj(quota))
	}
	quota.Status.Used = used
}

// usageOf returns what is used under each limit of a ClaimQuota. It has no figure for a limit
// that the stored ClaimQuota does not have anymore.
func (l *Ledger) usageOf(ctx context.Context, quota *v1.ClaimQuota) (map[string]int64, error) {
	if err := l.refreshLimits(ctx, quota.Namespace); err != nil {
		return nil, err
	}
	own := func(t *limit) bool {
		_, shown := quota.Spec.Hard[t.name]
		return shown && t.quota == quota.Name
	}
	for _, t := range l.limits.of(quota.Namespace, l.Index).all {
		if !own(t) {
			continue
		}
		if err := l.refreshRange(ctx, t); err != nil {
			return nil, err
		}
	}
	used := map[string]int64{}
	for _, t := range l.limits.of(quota.Namespace, l.Index).all {
		if !own(t) {
			continue
		}
		n, err := l.load(ctx, quota.Namespace, t)
		if err != nil {
			return nil, err
		}
		used[t.name] = n
	}
	return used, nil
}
