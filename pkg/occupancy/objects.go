package occupancy

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/cache"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/generated/clientset/versioned"
	"github.com/portolan-dev/portolan/generated/informers/externalversions"
)

// Kind is a kind of ranges, with the resources of the ranges and of the claims on their
// values.
type Kind struct{ Name, Ranges, Claims string }

// Kinds returns the kinds of ranges. A further kind needs a row here, and a case in fieldsOf.
func Kinds() []Kind {
	return []Kind{
		{"ServiceCIDR", "servicecidrs", "ipaddresses"}, {"NodePortRange", "nodeportranges", "nodeports"},
		{"LoadBalancerPool", "loadbalancerpools", "loadbalancerips"},
	}
}

// KindOf returns the kind of a name as users write it: in any case, singular or plural,
// with or without the API group.
func KindOf(name string) (Kind, error) {
	var names []string
	for _, k := range Kinds() {
		singular := strings.ToLower(k.Name)
		if lower := strings.TrimSuffix(strings.ToLower(name), "."+v1.GroupName); lower == singular || lower == k.Ranges {
			return k, nil
		}
		names = append(names, singular)
	}
	last := len(names) - 1
	return Kind{}, fmt.Errorf("%q is not a kind of range: the kinds are %s and %s", name, strings.Join(names[:last], ", "), names[last])
}

// fields are what the kinds of ranges have in common.
type fields struct {
	kind       string
	allocation *v1.RangeAllocation
	conditions []metav1.Condition
	// free are the free values of each IP family of the range, by its status.
	free []int64
}

// fieldsOf returns the fields of a range. The zero value is for any other object.
func fieldsOf(obj runtime.Object) fields {
	switch r := obj.(type) {
	case *v1.ServiceCIDR:
		f := fields{kind: "ServiceCIDR", allocation: r.Spec.Allocation, conditions: r.Status.Conditions}
		for _, cidr := range r.Status.CIDRs {
			f.free = append(f.free, cidr.Free)
		}
		return f
	case *v1.NodePortRange:
		return fields{"NodePortRange", r.Spec.Allocation, r.Status.Conditions, []int64{int64(r.Status.Free)}}
	case *v1.LoadBalancerPool:
		f := fields{kind: "LoadBalancerPool", allocation: r.Spec.Allocation, conditions: r.Status.Conditions}
		for _, family := range r.Status.Families {
			f.free = append(f.free, family.Free)
		}
		return f
	}
	return fields{}
}

// Objects are the ranges and claims of some kinds.
type Objects struct {
	Ranges, Claims []runtime.Object
}

// Read lists the ranges and claims of kinds.
func Read(ctx context.Context, client versioned.Interface, kinds ...Kind) (Objects, error) {
	var objs Objects
	for _, k := range kinds {
		ranges, err := list(ctx, client, k.Ranges)
		if err != nil {
			return Objects{}, err
		}
		claims, err := list(ctx, client, k.Claims)
		if err != nil {
			return Objects{}, err
		}
		objs.Ranges, objs.Claims = append(objs.Ranges, ranges...), append(objs.Claims, claims...)
	}
	return objs, nil
}

// Names returns the names of the ranges of a kind.
func Names(ctx context.Context, client versioned.Interface, kind Kind) ([]string, error) {
	ranges, err := list(ctx, client, kind.Ranges)
	return namesOf(ranges), err
}

func namesOf(ranges []runtime.Object) (names []string) {
	for _, obj := range ranges {
		if object, err := meta.Accessor(obj); err == nil {
			names = append(names, object.GetName())
		}
	}
	return names
}

func list(ctx context.Context, client versioned.Interface, resource string) ([]runtime.Object, error) {
	found, err := client.PortolanV1().RESTClient().Get().Resource(resource).Do(ctx).Get()
	if err != nil && !strings.Contains(err.Error(), resource) {
		err = fmt.Errorf("%s.%s: %w", resource, v1.GroupName, err)
	}
	if err != nil {
		return nil, err
	}
	return meta.ExtractList(found)
}

// followPeriod is the shortest time between two calls of Follow.
const followPeriod = time.Second

// ErrDone ends Follow.
var ErrDone = errors.New("done")

// Follow calls show with the ranges and claims of kinds, and again after they change, until
// show returns an error or the context ends. ErrDone counts as success.
func Follow(ctx context.Context, client versioned.Interface, show func(Objects) error, kinds ...Kind) error {
	return FollowEvery(ctx, client, 0, show, kinds...)
}

// FollowEvery is Follow, and reads the ranges at least once in a period. It so notices what
// is not an event: a changed condition, and a server that no longer answers, which is an
// error. A period of 0 is none.
func FollowEvery(ctx context.Context, client versioned.Interface, period time.Duration, show func(Objects) error, kinds ...Kind) error {
	// Informers would retry what the client may not read, without end.
	objs, err := Read(ctx, client, kinds...)
	if err != nil {
		return err
	}
	if err := show(objs); err != nil {
		return unlessDone(err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	f, err := newFollower(client, kinds)
	if err != nil {
		return err
	}
	f.factory.StartWithContext(ctx)
	defer f.factory.Shutdown()
	defer cancel()
	f.factory.WaitForCacheSync(ctx.Done())
	var again <-chan time.Time
	if period > 0 {
		ticker := time.NewTicker(period)
		defer ticker.Stop()
		again = ticker.C
	}
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-f.changed:
		case <-again:
		}
		objs, err := f.objects(ctx)
		if err != nil {
			return err
		}
		if err := show(objs); err != nil {
			return unlessDone(err)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(followPeriod):
		}
	}
}

func unlessDone(err error) error {
	if errors.Is(err, ErrDone) {
		return nil
	}
	return err
}

// follower keeps copies of the claims of kinds, and notices changes of their ranges. It
// reads the ranges when they are needed: a change of a condition is not an event.
type follower struct {
	client  versioned.Interface
	kinds   []Kind
	factory externalversions.SharedInformerFactory
	claims  []cache.GenericLister
	// changed has an entry if something changed since the last read.
	changed chan struct{}
}

func newFollower(client versioned.Interface, kinds []Kind) (*follower, error) {
	factory := externalversions.NewSharedInformerFactory(client, 0)
	f := &follower{client: client, kinds: kinds, factory: factory, changed: make(chan struct{}, 1)}
	note := func() {
		select {
		case f.changed <- struct{}{}:
		default:
		}
	}
	handler := cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { note() }, UpdateFunc: func(any, any) { note() }, DeleteFunc: func(any) { note() },
	}
	for _, k := range kinds {
		for _, resource := range []string{k.Ranges, k.Claims} {
			informer, err := f.factory.ForResource(v1.SchemeGroupVersion.WithResource(resource))
			if err != nil {
				return nil, err
			}
			if _, err := informer.Informer().AddEventHandler(handler); err != nil {
				return nil, err
			}
			if resource == k.Claims {
				f.claims = append(f.claims, informer.Lister())
			}
		}
	}
	return f, nil
}

func (f *follower) objects(ctx context.Context) (objs Objects, err error) {
	for _, k := range f.kinds {
		ranges, err := list(ctx, f.client, k.Ranges)
		if err != nil {
			return objs, err
		}
		objs.Ranges = append(objs.Ranges, ranges...)
	}
	for _, lister := range f.claims {
		claims, err := lister.List(labels.Everything())
		if err != nil {
			return objs, err
		}
		objs.Claims = append(objs.Claims, claims...)
	}
	return objs, nil
}
