package conformance

import (
	"context"
	"fmt"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/portolan-dev/portolan/test/framework"
)

// patience is how long anything may take that a server does in its own time.
const patience = 2 * time.Minute

// What both servers are told: the ranges of their Services, and an address at
// which others would reach them.
const (
	range4, range6 = "10.96.0.0/16", "fd00:10:96::/112"
	advertised     = "192.0.2.1"
)

// behaviors are what a server does, each by its name.
type behaviors map[string]func(*world)

// side is a server, as its administrator, and its etcd.
type side struct {
	config *rest.Config
	etcd   *clientv3.Client
}

// world is where one behavior is looked at: a server, and a namespace of the
// behavior's own.
type world struct {
	*testing.T
	side
	// client speaks protobuf and dynamic JSON.
	client    kubernetes.Interface
	dynamic   dynamic.Interface
	namespace string
}

func TestMain(m *testing.M) { framework.QuietMain(m) }

// run looks at everything at once, but for what would get in the way of others.
func run(t *testing.T, s side) {
	for name, check := range first() {
		t.Run(name, func(t *testing.T) { check(newWorld(t, s)) })
	}
	for subject, checks := range everything() {
		t.Run(subject, func(t *testing.T) {
			t.Parallel()
			for name, check := range checks {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					check(newWorld(t, s))
				})
			}
		})
	}
}

func newWorld(t *testing.T, s side) *world {
	t.Helper()
	w := &world{T: t, side: s}
	config := rest.CopyConfig(s.config)
	config.ContentType = runtime.ContentTypeProtobuf
	var err error
	if w.client, err = kubernetes.NewForConfig(config); err != nil {
		t.Fatal(err)
	}
	if w.dynamic, err = dynamic.NewForConfig(s.config); err != nil {
		t.Fatal(err)
	}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "conformance-"}}
	if namespace, err = w.client.CoreV1().Namespaces().Create(t.Context(), namespace, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	w.namespace = namespace.Name
	return w
}

// ok ends the test unless it went well.
func (w *world) ok(what string, err error) {
	w.Helper()
	if err != nil {
		w.Fatalf("%s: %v", what, err)
	}
}

// eventually waits until something is so. What is not found may be there later.
func (w *world) eventually(what string, check func(context.Context) (bool, error)) {
	w.Helper()
	err := wait.PollUntilContextTimeout(w.Context(), 20*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
		done, err := check(ctx)
		if apierrors.IsNotFound(err) {
			return false, nil
		}
		return done, err
	})
	if err != nil {
		w.Fatalf("%s: %v", what, err)
	}
}

// watching is a watch that ends with the test.
func (w *world) watching(in watch.Interface, err error) watch.Interface {
	w.Helper()
	w.ok("watch", err)
	w.Cleanup(in.Stop)
	return in
}

// next is the next event of a watch, which has to be of the type.
func (w *world) next(in watch.Interface, want watch.EventType) runtime.Object {
	w.Helper()
	select {
	case event, open := <-in.ResultChan():
		if !open || event.Type != want {
			w.Fatalf("got %s of %+v (the watch is open: %t), want %s", event.Type, event.Object, open, want)
		}
		return event.Object
	case <-time.After(patience):
		w.Fatalf("nothing is told, want %s", want)
		return nil
	}
}

// older says whether one object's version comes before another's.
func (w *world) older(a, b interface{ GetResourceVersion() string }) bool {
	w.Helper()
	return version(w, a.GetResourceVersion()) < version(w, b.GetResourceVersion())
}

func version(w *world, text string) int64 {
	w.Helper()
	var n int64
	if _, err := fmt.Sscan(text, &n); err != nil {
		w.Fatalf("the resource version %q: %v", text, err)
	}
	return n
}
