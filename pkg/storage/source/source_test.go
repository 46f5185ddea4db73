package source

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
)

// filling is a store whose watch cache answers with these errors before it can be read.
type filling struct {
	Source
	errs   []error
	reads  int
	events watch.Interface
}

func (f *filling) read() error {
	f.reads++
	if len(f.errs) == 0 {
		return nil
	}
	err := f.errs[0]
	f.errs = f.errs[1:]
	return err
}

func (f *filling) List(_ context.Context, options *metainternalversion.ListOptions) (runtime.Object, error) {
	if err := f.read(); err != nil {
		return nil, err
	}
	if options.ResourceVersion != "" {
		return nil, fmt.Errorf("a list that may be as old as %q", options.ResourceVersion)
	}
	return &metav1.List{}, nil
}

func (f *filling) Watch(context.Context, *metainternalversion.ListOptions) (watch.Interface, error) {
	if err := f.read(); err != nil {
		return nil, err
	}
	return f.events, nil
}

func reader(store Source) cache.ListerWatcherWithContext {
	return cache.ToListerWatcherWithContext(ListWatch(store))
}

// TestWhenReady reads as soon as the watch cache is ready. A reflector would read it a second
// later.
func TestWhenReady(t *testing.T) {
	t.Parallel()
	notReady, broken := apierrors.NewTooManyRequests("storage is (re)initializing", 1), errors.New("broken")
	for name, test := range map[string]struct {
		errs  []error
		reads int
		err   error
	}{
		"ready":             {reads: 1},
		"ready later":       {errs: []error{notReady, notReady}, reads: 3},
		"broken":            {errs: []error{broken}, reads: 1, err: broken},
		"broken after that": {errs: []error{notReady, broken}, reads: 2, err: broken},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := &filling{errs: slices.Clone(test.errs), events: watch.NewFake()}
			events, err := reader(store).WatchWithContext(t.Context(), metav1.ListOptions{})
			if !errors.Is(err, test.err) || (err == nil) != (events != nil) {
				t.Errorf("got %v, %v", events, err)
			}
			lister := &filling{errs: slices.Clone(test.errs)}
			list, err := reader(lister).ListWithContext(t.Context(), metav1.ListOptions{ResourceVersion: "0"})
			if !errors.Is(err, test.err) || (err == nil) != (list != nil) {
				t.Errorf("got %v, %v", list, err)
			}
			if store.reads != test.reads || lister.reads != test.reads {
				t.Errorf("%d watches and %d lists, want %d", store.reads, lister.reads, test.reads)
			}
		})
	}
}

// TestWatchNeverReady ends with its context.
func TestWatchNeverReady(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	errs := make([]error, 1000)
	for i := range errs {
		errs[i] = apierrors.NewTooManyRequests("storage is (re)initializing", 1)
	}
	store := &filling{errs: errs}
	cancel()
	if events, err := reader(store).WatchWithContext(ctx, metav1.ListOptions{}); err == nil || events != nil {
		t.Errorf("got %v, %v", events, err)
	}
	if store.reads > 2 {
		t.Errorf("%d watches after the end", store.reads)
	}
}
