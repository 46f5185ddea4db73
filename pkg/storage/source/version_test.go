package source

import (
	"context"
	"io"
	"reflect"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"

	"github.com/portolan-dev/portolan/apis/core"
	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

// store has a list and the events after it.
type store struct {
	Source
	list   *v1.ServiceList
	events *watch.FakeWatcher
}

func (s store) List(context.Context, *metainternalversion.ListOptions) (runtime.Object, error) {
	return s.list, nil
}

// Watch makes a reflector list first, as an API server does that does not send initial events.
func (s store) Watch(_ context.Context, options *metainternalversion.ListOptions) (watch.Interface, error) {
	if options.SendInitialEvents != nil {
		return nil, apierrors.NewInvalid(schema.GroupKind{Group: v1.GroupName, Kind: "Service"}, "", nil)
	}
	return s.events, nil
}

var _ runtime.CacheableObject = shared{}

// shared is an event's object as the watch cache hands it out.
type shared struct{ runtime.Object }

func (s shared) CacheEncode(_ runtime.Identifier, encode func(runtime.Object, io.Writer) error, w io.Writer) error {
	return encode(s.Object, w)
}

func (s shared) GetObject() runtime.Object { return s.Object }

// TestIn fills an informer of core/v1 from a store of portolan.dev.
func TestIn(t *testing.T) {
	t.Parallel()
	scheme := runtime.NewScheme()
	if err := v1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	if err := core.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	service := func(name, version, address string) *v1.Service {
		return &v1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, ResourceVersion: version},
			Spec: corev1.ServiceSpec{ClusterIP: address}}
	}
	stored := store{
		list: &v1.ServiceList{ListMeta: metav1.ListMeta{ResourceVersion: "7"}, Items: []v1.Service{
			*service("a", "3", "10.96.0.1"), *service("b", "4", "10.96.0.2"),
		}},
		events: watch.NewFakeWithOptions(watch.FakeOptions{ChannelSize: 4}),
	}
	before := stored.list.DeepCopy()
	added := service("c", "8", "10.96.0.3")
	stored.events.Add(shared{added})
	stored.events.Modify(shared{service("a", "9", "10.96.0.9")})
	stored.events.Delete(service("b", "10", "10.96.0.2"))

	source := In(corev1.SchemeGroupVersion, runtime.UnsafeObjectConvertor(scheme), stored)
	informer := cache.NewSharedInformer(ListWatch(source), &corev1.Service{}, 0)
	running := make(chan struct{})
	go func() {
		defer close(running)
		informer.RunWithContext(t.Context())
	}()
	t.Cleanup(func() { <-running })
	want := map[string]string{"default/a": "10.96.0.9", "default/c": "10.96.0.3"}
	var got map[string]string
	if err := wait.PollUntilContextTimeout(t.Context(), 10*time.Millisecond, time.Minute, true, func(context.Context) (bool, error) {
		got = map[string]string{}
		for _, key := range informer.GetStore().ListKeys() {
			if object, found, err := informer.GetStore().GetByKey(key); err == nil && found {
				got[key] = object.(*corev1.Service).Spec.ClusterIP
			}
		}
		return reflect.DeepEqual(got, want), nil
	}); err != nil {
		t.Fatalf("got %v, want %v: %v", got, want, err)
	}
	if !reflect.DeepEqual(stored.list, before) || added.Kind != "" {
		t.Errorf("the store's objects have changed: %+v, %+v", stored.list, added)
	}
}
