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
	// lookEvery is how often it is looked whether something is due.
	lookEvery = 10 * time.Minute
	// After a failure it is looked again sooner.
	firstRetry, lastRetry = time.Second, time.Minute
)

// Run implements dynamiccertificates.ControllerRunner: until the context ends it
// looks again whenever the Secret or the APIService changes, and every now and
// then. The watches say that something has changed, and nothing else: what it is
// now is read from the API server.
func (k *Keeper) Run(ctx context.Context, _ int) {
	for name, informer := range map[string]cache.SharedIndexInformer{
		"Secret": informers.NewFilteredSecretInformer(k.config.Client, k.config.Namespace, 0, nil, only(k.config.Name)),
		"APIService": dynamicinformer.NewFilteredDynamicInformer(k.config.Dynamic, apiServices, metav1.NamespaceAll, 0, nil,
			only(apiServiceName)).Informer(),
	} {
		if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc:    func(any) { k.look() },
			UpdateFunc: func(any, any) { k.look() },
			DeleteFunc: func(any) { k.look() },
		}); err != nil {
			klog.FromContext(ctx).Error(err, "Changes are seen late", "of", name)
			continue
		}
		go informer.RunWithContext(ctx)
	}
	ticker := k.config.Clock.NewTicker(lookEvery)
	defer ticker.Stop()
	for delay := firstRetry; ; {
		var retry <-chan time.Time
		if err := k.RunOnce(ctx); err == nil {
			delay = firstRetry
		} else if ctx.Err() == nil {
			klog.FromContext(ctx).Error(err, "The serving certificate's Secret or APIService is not as it should be; what was served still is",
				"retryIn", delay)
			retry = k.config.Clock.After(delay)
			delay = min(2*delay, lastRetry)
		}
		select {
		case <-ctx.Done():
			return
		case <-k.kick:
		case <-ticker.C():
		case <-retry:
		}
	}
}

// look has the keeper look again soon.
func (k *Keeper) look() {
	select {
	case k.kick <- struct{}{}:
	default:
	}
}

// only selects an object by its name, which is what RBAC for that name allows.
func only(name string) func(*metav1.ListOptions) {
	return func(options *metav1.ListOptions) {
		options.FieldSelector = fields.OneTermEqualSelector(metav1.ObjectNameField, name).String()
	}
}
