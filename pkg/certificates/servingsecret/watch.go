package servingsecret

import (
	"context"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/dynamic/dynamicinformer"
	informers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

const (
	// resyncPeriod is how often to check whether something is due.
	resyncPeriod = 10 * time.Minute
	// firstRetry and lastRetry are the shortest and the longest delay after a failure.
	firstRetry, lastRetry = time.Second, time.Minute
)

// Run implements dynamiccertificates.ControllerRunner. Until ctx ends, it calls
// RunOnce when the Secret or the APIService changes, and every resyncPeriod. The
// watches only trigger RunOnce, which reads both from the API server.
func (k *Keeper) Run(ctx context.Context, _ int) {
	for name, informer := range map[string]cache.SharedIndexInformer{
		"Secret": informers.NewFilteredSecretInformer(k.config.Client, k.config.Namespace, 0, nil, only(k.config.Name)),
		"APIService": dynamicinformer.NewFilteredDynamicInformer(k.config.Dynamic, apiServices, metav1.NamespaceAll, 0, nil,
			only(apiServiceName)).Informer(),
	} {
		if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc:    func(any) { k.trigger() },
			UpdateFunc: func(any, any) { k.trigger() },
			DeleteFunc: func(any) { k.trigger() },
		}); err != nil {
			klog.FromContext(ctx).Error(err, "Can't watch, checking periodically instead", "kind", name, "period", resyncPeriod)
			continue
		}
		go informer.RunWithContext(ctx)
	}
	ticker := k.config.Clock.NewTicker(resyncPeriod)
	defer ticker.Stop()
	for delay := firstRetry; ; {
		var retry <-chan time.Time
		if err := k.RunOnce(ctx); err == nil {
			delay = firstRetry
		} else if ctx.Err() == nil {
			klog.FromContext(ctx).Error(err, "Updating the serving certificate failed, still serving the previous one", "retryIn", delay)
			retry = k.config.Clock.After(delay)
			delay = min(2*delay, lastRetry)
		}
		select {
		case <-ctx.Done():
			return
		case <-k.changed:
		case <-ticker.C():
		case <-retry:
		}
	}
}

// trigger makes Run call RunOnce soon.
func (k *Keeper) trigger() {
	select {
	case k.changed <- struct{}{}:
	default:
	}
}

// only selects one object by its name, so that RBAC for that name suffices.
func only(name string) func(*metav1.ListOptions) {
	return func(options *metav1.ListOptions) {
		options.FieldSelector = fields.OneTermEqualSelector(metav1.ObjectNameField, name).String()
	}
}
