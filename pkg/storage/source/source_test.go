package source

import (
	"context"
	"errors"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
)

// filling is a store whose watch cache answers with these errors before it can be watched.
type filling struct {
	Source
	errs    []error
	watches int
	events  watch.Interface
}

func (f *filling) Watch(context.Context, *metainternalversion.ListOptions) (watch.Interface, error) {
	f.watches++
	if len(f.errs) == 0 {
		return f.events, nil
	}
	err := f.errs[0]
	f.errs = f.errs[1:]
	return nil, err
}

// TestWatchWhenReady starts a watch as soon as the watch cache is ready. A reflector would
// start it a second later.
func TestWatchWhenReady(t *testing.T) {
	t.Parallel()
	notReady, broken := apierrors.NewTooManyRequests("storage is (re)initializing", 1), errors.New("broken")
	for name, test := range map[string]struct {
		errs    []error
		watches int
		err     error
	}{
		"ready":             {watches: 1},
		"ready later":       {errs: []error{notReady, notReady}, watches: 3},
		"broken":            {errs: []error{broken}, watches: 1, err: broken},
		"broken after that": {errs: []error{notReady, broken}, watches: 2, err: broken},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := &filling{errs: test.errs, events: watch.NewFake()}
			events, err := ListWatch(store).WatchWithContext(t.Context(), metav1.ListOptions{})
			if !errors.Is(err, test.err) || (err == nil) != (events != nil) {
				t.Errorf("got %v, %v", events, err)
			}
			if store.watches != test.watches {
				t.Errorf("%d watches, want %d", store.watches, test.watches)
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
	if events, err := ListWatch(store).WatchWithContext(ctx, metav1.ListOptions{}); err == nil || events != nil {
		t.Errorf("got %v, %v", events, err)
	}
	if store.watches > 2 {
		t.Errorf("%d watches after the end", store.watches)
	}
}
