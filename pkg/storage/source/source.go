// Package source reads and watches the objects of a store in the process of the server,
// without a request.
package source

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/client-go/tools/cache"
)

// Source is a resource's own store in this process.
type Source interface {
	rest.Lister
	rest.Watcher
}

// Select returns a source of those objects that fields select.
func Select(source Source, selector fields.Selector) Source { return selected{source, selector} }

type selected struct {
	Source
	selector fields.Selector
}

func (s selected) List(ctx context.Context, options *metainternalversion.ListOptions) (runtime.Object, error) {
	return s.Source.List(ctx, s.narrow(options))
}

func (s selected) Watch(ctx context.Context, options *metainternalversion.ListOptions) (watch.Interface, error) {
	return s.Source.Watch(ctx, s.narrow(options))
}

func (s selected) narrow(options *metainternalversion.ListOptions) *metainternalversion.ListOptions {
	narrowed := *options
	narrowed.FieldSelector = s.selector
	return &narrowed
}

// ListWatch returns what a reflector reads a source with. The watch cache shares the objects:
// they must not be modified.
func ListWatch(source Source) cache.ListerWatcher {
	convert := func(options metav1.ListOptions) *metainternalversion.ListOptions {
		return &metainternalversion.ListOptions{
			ResourceVersion:      options.ResourceVersion,
			ResourceVersionMatch: options.ResourceVersionMatch,
			AllowWatchBookmarks:  options.AllowWatchBookmarks,
			TimeoutSeconds:       options.TimeoutSeconds,
		}
	}
	return listFirst{&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			if options.ResourceVersion == "0" {
				// The list has what was written before it, by other servers too.
				options.ResourceVersion = ""
			}
			return whenReady(ctx, func() (runtime.Object, error) { return source.List(ctx, convert(options)) })
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			events, err := whenReady(ctx, func() (watch.Interface, error) { return source.Watch(ctx, convert(options)) })
			if err != nil {
				return nil, err
			}
			return watch.Filter(events, func(event watch.Event) (watch.Event, bool) {
				event.Object = unwrap(event.Object)
				return event, true
			}), nil
		},
		DisableChunking: true,
	}}
}

// listFirst makes a reflector list the objects before it watches. A watch would copy each of
// them and pass it through three goroutines.
type listFirst struct{ *cache.ListWatch }

// IsWatchListSemanticsUnSupported implements an interface of k8s.io/client-go/util/watchlist.
func (listFirst) IsWatchListSemanticsUnSupported() bool { return true }

// whenReady repeats a read while the watch cache of the source is being filled. A reflector
// would try again after a second or more, although nothing is sent over a network.
func whenReady[T any](ctx context.Context, read func() (T, error)) (result T, err error) {
	const every = 10 * time.Millisecond
	ended := wait.PollUntilContextCancel(ctx, every, true, func(context.Context) (bool, error) {
		result, err = read()
		return !apierrors.IsTooManyRequests(err), nil
	})
	if err == nil {
		err = ended
	}
	return result, err
}

// unwrap takes the object of an event out of the wrapper that the watch cache shares among
// its watchers. A reflector drops wrapped objects.
func unwrap(obj runtime.Object) runtime.Object {
	if shared, ok := obj.(runtime.CacheableObject); ok {
		return shared.GetObject()
	}
	return obj
}
