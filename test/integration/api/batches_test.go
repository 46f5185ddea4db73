package api

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/utils/ptr"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/test/framework"
)

const (
	// batchSize is how many node ports, or slices, a Service of
	// TestBatchesShowWhole has.
	batchSize = 20
	// lastService is what is written last, with one node port and one slice.
	lastService = "last"
	// lastPort is in the part of the range that is kept for explicit requests:
	// no other Service gets it at random.
	lastPort = 20000
)

// TestBatchesShowWhole creates and deletes Services with many node ports, and
// others with many EndpointSlices, while clients read these. Whatever they read
// shows what a transaction wrote as a whole, and watches that start there miss
// nothing.
func TestBatchesShowWhole(t *testing.T) {
	t.Parallel()
	server := framework.Start(t, withRanges("20000-20999", "10.96.0.0/16"))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	run := func(group *sync.WaitGroup, what string, do func(context.Context) error) {
		group.Go(func() {
			if err := do(ctx); err != nil && ctx.Err() == nil {
				t.Errorf("%s: %v", what, err)
				cancel()
			}
		})
	}
	seed := framework.Seed(t)
	var readers, writers sync.WaitGroup
	for i, r := range []*batchReader{nodePortReader(server), sliceReader(server)} {
		run(&readers, "lists of "+r.resource, r.lists)
		run(&readers, "lists and watches of "+r.resource, func(ctx context.Context) error { return r.follow(ctx, r.listAndWatch) })
		random := framework.Random(seed, i)
		run(&readers, "broken watches of "+r.resource, func(ctx context.Context) error { return r.resume(ctx, random) })
		run(&readers, "watch-lists of "+r.resource, func(ctx context.Context) error { return r.follow(ctx, r.watchList) })
	}
	for _, name := range []string{"one", "two"} {
		run(&writers, "writes of node ports", func(ctx context.Context) error { return turnOver(ctx, server, name, 30, onNodePorts, 0) })
	}
	run(&writers, "writes of slices", func(ctx context.Context) error { return turnOver(ctx, server, "three", 12, nil, batchSize) })
	writers.Wait()
	run(&writers, "the last write", func(ctx context.Context) error { return turnOver(ctx, server, lastService, 1, onNodePort(lastPort), 1) })
	readers.Wait()
	writers.Wait()
}

func onNodePorts(spec *corev1.ServiceSpec) {
	spec.Type, spec.Ports = corev1.ServiceTypeNodePort, nil
	for i := range int32(batchSize) {
		spec.Ports = append(spec.Ports, corev1.ServicePort{Name: fmt.Sprintf("p%d", i), Port: 1000 + i})
	}
}

// turnOver creates Services and deletes each again when the next one is there.
func turnOver(ctx context.Context, server *framework.Server, name string, rounds int, change func(*corev1.ServiceSpec),
	sliceCount int) error {
	previous := ""
	for round := range rounds {
		svc := serviceWith(name)
		if change != nil {
			change(&svc.Spec)
		}
		if rounds > 1 {
			svc.Name = fmt.Sprintf("%s-%d", name, round)
		}
		if _, err := servicesOf(server).Create(ctx, svc, metav1.CreateOptions{}); err != nil {
			return err
		}
		for i := range sliceCount {
			if _, err := slicesOf(server).Create(ctx, sliceOf(svc.Name, fmt.Sprintf("%s-%02d", svc.Name, i)), metav1.CreateOptions{}); err != nil {
				return err
			}
		}
		if previous != "" {
			if err := servicesOf(server).Delete(ctx, previous, metav1.DeleteOptions{}); err != nil {
				return err
			}
		}
		previous = svc.Name
	}
	return nil
}

// batchReader reads objects of which a Service has several.
type batchReader struct {
	resource string
	list     func(context.Context, metav1.ListOptions) (runtime.Object, error)
	watch    func(context.Context, metav1.ListOptions) (watch.Interface, error)
	// service is the name of the Service that an object belongs to.
	service func(runtime.Object) string
	// whole says whether names, which are sorted, may be all that a Service has.
	whole func(names []string) bool
}

func nodePortReader(server *framework.Server) *batchReader {
	ports := server.Client.PortolanV1().NodePorts()
	return &batchReader{
		resource: "node ports",
		list: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			return ports.List(ctx, options)
		},
		watch:   ports.Watch,
		service: func(obj runtime.Object) string { return obj.(*v1.NodePort).Spec.ParentRef.Name },
		whole:   func(names []string) bool { return len(names) == batchSize },
	}
}

// sliceReader has slices created one by one, but deleted together.
func sliceReader(server *framework.Server) *batchReader {
	return &batchReader{
		resource: "slices",
		list: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			return slicesOf(server).List(ctx, options)
		},
		watch:   slicesOf(server).Watch,
		service: func(obj runtime.Object) string { return obj.(*v1.EndpointSlice).Labels[discoveryv1.LabelServiceName] },
		whole: func(names []string) bool {
			for i, name := range names {
				if !strings.HasSuffix(name, fmt.Sprintf("-%02d", i)) {
					return false
				}
			}
			return true
		},
	}
}

// resume lists once, and then watches with connections that break after a few
// events, in the middle of batches for the most part. Each watch begins at the
// revision of the last event that was received. Nothing is missed on the way.
func (r *batchReader) resume(ctx context.Context, random *rand.Rand) error {
	s, revision, err := r.read(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for len(s.names(lastService)) == 0 {
		w, err := r.watch(ctx, metav1.ListOptions{ResourceVersion: revision, AllowWatchBookmarks: random.IntN(2) == 0})
		if err != nil {
			return fmt.Errorf("watch from revision %s: %w", revision, err)
		}
		// A whole batch and more, or a watch would never get past it.
		for range 1 + random.IntN(2*batchSize) {
			event, open := <-w.ResultChan()
			if !open {
				break
			}
			obj, ok := event.Object.(metav1.Object)
			if !ok {
				w.Stop()
				return fmt.Errorf("watch from revision %s: %w", revision, apierrors.FromObject(event.Object))
			}
			r.apply(s, event.Type, event.Object)
			if revision = obj.GetResourceVersion(); len(s.names(lastService)) > 0 {
				break
			}
		}
		w.Stop()
	}
	listed, _, err := r.read(ctx, metav1.ListOptions{})
	if err == nil && !maps.Equal(s, listed) {
		err = fmt.Errorf("watched up to revision %s, there is %v in the end; listed, there is %v", revision, s, listed)
	}
	return err
}

// state is what a reader has seen: the names of objects, and the Service that
// each belongs to.
type state map[string]string

func (s state) names(service string) []string {
	var names []string
	for name, of := range s {
		if of == service {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (r *batchReader) check(s state) error {
	for _, service := range s {
		if names := s.names(service); service != lastService && !r.whole(names) {
			return fmt.Errorf("a part of what Service %s has: %v", service, names)
		}
	}
	return nil
}

func (r *batchReader) apply(s state, event watch.EventType, obj runtime.Object) {
	switch name := obj.(metav1.Object).GetName(); event {
	case watch.Bookmark:
	case watch.Deleted:
		delete(s, name)
	default:
		s[name] = r.service(obj)
	}
}

func (r *batchReader) read(ctx context.Context, options metav1.ListOptions) (state, string, error) {
	list, err := r.list(ctx, options)
	if err != nil {
		return nil, "", err
	}
	s := state{}
	err = meta.EachListItem(list, func(obj runtime.Object) error {
		r.apply(s, watch.Added, obj)
		return nil
	})
	if err == nil {
		err = r.check(s)
	}
	return s, list.(metav1.ListInterface).GetResourceVersion(), err
}

// lists lists consistently, from the cache as it is, and with a limit, in turns.
func (r *batchReader) lists(ctx context.Context) error {
	for {
		for _, options := range []metav1.ListOptions{{}, {ResourceVersion: "0"}, {Limit: 500}} {
			s, revision, err := r.read(ctx, options)
			if err != nil {
				return fmt.Errorf("list %+v, at revision %s: %w", options, revision, err)
			}
			if len(s.names(lastService)) > 0 {
				return nil
			}
		}
	}
}

// listAndWatch begins a watch where a list is.
func (r *batchReader) listAndWatch(ctx context.Context) (state, string, watch.Interface, error) {
	s, revision, err := r.read(ctx, metav1.ListOptions{ResourceVersion: "0"})
	if err != nil {
		return nil, "", nil, fmt.Errorf("list at revision %s: %w", revision, err)
	}
	w, err := r.watch(ctx, metav1.ListOptions{ResourceVersion: revision})
	return s, revision, w, err
}

// watchList starts a watch and reads the initial events. If the server ends one
// before, it begins another.
func (r *batchReader) watchList(ctx context.Context) (state, string, watch.Interface, error) {
	for ctx.Err() == nil {
		w, err := r.watch(ctx, metav1.ListOptions{SendInitialEvents: ptr.To(true), ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan,
			AllowWatchBookmarks: true})
		if err != nil {
			return nil, "", nil, err
		}
		s := state{}
		for event := range w.ResultChan() {
			obj, ok := event.Object.(metav1.Object)
			if err := apierrors.FromObject(event.Object); !ok && apierrors.IsResourceExpired(err) {
				break
			} else if !ok {
				return nil, "", nil, err
			}
			r.apply(s, event.Type, event.Object)
			if event.Type == watch.Bookmark {
				return s, obj.GetResourceVersion(), w, r.check(s)
			}
		}
		w.Stop()
	}
	return nil, "", nil, ctx.Err()
}

// follow begins watches and follows each for a while; the last one until there is
// nothing more. What it has seen is then what a list says.
func (r *batchReader) follow(ctx context.Context, begin func(context.Context) (state, string, watch.Interface, error)) error {
	for {
		s, revision, w, err := begin(ctx)
		if err != nil {
			return err
		}
		if err := r.followOne(ctx, s, revision, w); err != nil {
			return fmt.Errorf("watch from revision %s: %w", revision, err)
		}
		if len(s.names(lastService)) == 0 {
			continue
		}
		listed, _, err := r.read(ctx, metav1.ListOptions{})
		if err == nil && !maps.Equal(s, listed) {
			err = fmt.Errorf("watched from revision %s, there is %v in the end; listed, there is %v", revision, s, listed)
		}
		return err
	}
}

// followOne applies the events of a few revisions, and checks the outcome of
// each. The server may end a watch at any time if the client is too slow, amid a
// revision too. The client then watches again from the last revision that it has
// seen, which completes it.
func (r *batchReader) followOne(ctx context.Context, s state, at string, w watch.Interface) error {
	const revisions = 4
	defer func() { w.Stop() }()
	for changes := 0; len(s.names(lastService)) == 0; {
		event, open := <-w.ResultChan()
		if !open {
			again, err := r.watch(ctx, metav1.ListOptions{ResourceVersion: at})
			if err != nil {
				return fmt.Errorf("again from revision %s: %w", at, err)
			}
			w = again
			continue
		}
		obj, ok := event.Object.(metav1.Object)
		if err := apierrors.FromObject(event.Object); !ok && apierrors.IsResourceExpired(err) {
			return nil
		} else if !ok {
			return err
		}
		if next := obj.GetResourceVersion(); next != at {
			if err := r.check(s); err != nil {
				return fmt.Errorf("when revision %s was over: %w", at, err)
			}
			if at, changes = next, changes+1; changes > revisions {
				return nil
			}
		}
		r.apply(s, event.Type, event.Object)
	}
	return nil
}
