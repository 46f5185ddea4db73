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
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/portolan-dev/portolan/test/framework"
)

// Options of both servers: the ranges of Services, and the address of the
// server in Endpoints.
const (
	range4, range6 = "10.96.0.0/16", "fd00:10:96::/112"
	advertised     = "192.0.2.1"
)

// behaviors are checks by the name of what they check.
type behaviors map[string]func(*fixture)

// server is the server under test: its administrator's config, and its etcd.
type server struct {
	config *rest.Config
	etcd   *clientv3.Client
	// learnsOfNamespaces is set for a server whose namespaces are another server's: it
	// learns of their deletion from a watch, and not from the request.
	learnsOfNamespaces bool
}

// fixture is a server, and a namespace of the behavior's own.
type fixture struct {
	*testing.T
	server
	// client uses protobuf, and dynamic uses JSON.
	client    kubernetes.Interface
	dynamic   dynamic.Interface
	namespace string
}

func TestMain(m *testing.M) { framework.QuietMain(m) }

// run checks all behaviors concurrently, except those that would disturb
// others.
func run(t *testing.T, s server) {
	for name, check := range first() {
		t.Run(name, func(t *testing.T) { check(newFixture(t, s)) })
	}
	for subject, checks := range everything() {
		t.Run(subject, func(t *testing.T) {
			t.Parallel()
			for name, check := range checks {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					check(newFixture(t, s))
				})
			}
		})
	}
}

func newFixture(t *testing.T, s server) *fixture {
	t.Helper()
	f := &fixture{T: t, server: s}
	config := rest.CopyConfig(s.config)
	config.ContentType = runtime.ContentTypeProtobuf
	var err error
	if f.client, err = kubernetes.NewForConfig(config); err != nil {
		t.Fatal(err)
	}
	if f.dynamic, err = dynamic.NewForConfig(s.config); err != nil {
		t.Fatal(err)
	}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "conformance-"}}
	if namespace, err = f.client.CoreV1().Namespaces().Create(t.Context(), namespace, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	f.namespace = namespace.Name
	return f
}

// ok ends the test if there is an error.
func (f *fixture) ok(what string, err error) {
	f.Helper()
	if err != nil {
		f.Fatalf("%s: %v", what, err)
	}
}

// eventually waits until a condition holds. What is not found may exist later.
func (f *fixture) eventually(what string, check func(context.Context) (bool, error)) {
	f.Helper()
	framework.Eventually(f, what, func(ctx context.Context) (bool, error) {
		done, err := check(ctx)
		if err != nil && !apierrors.IsNotFound(err) && ctx.Err() == nil {
			f.Fatalf("%s: %v", what, err)
		}
		return done, err
	})
}

// watching stops a watch when the test ends.
func (f *fixture) watching(in watch.Interface, err error) watch.Interface {
	f.Helper()
	f.ok("watch", err)
	f.Cleanup(in.Stop)
	return in
}

// next returns the object of the next event, which must have the type.
func (f *fixture) next(in watch.Interface, want watch.EventType) runtime.Object {
	f.Helper()
	select {
	case event, open := <-in.ResultChan():
		if !open || event.Type != want {
			f.Fatalf("got %s of %+v (the watch is open: %t), want %s", event.Type, event.Object, open, want)
		}
		return event.Object
	case <-time.After(framework.Patience):
		f.Fatalf("no event, want %s", want)
		return nil
	}
}

// older reports whether the version of an object comes before that of another.
func (f *fixture) older(a, b interface{ GetResourceVersion() string }) bool {
	f.Helper()
	return version(f, a.GetResourceVersion()) < version(f, b.GetResourceVersion())
}

func version(f *fixture, text string) int64 {
	f.Helper()
	var n int64
	if _, err := fmt.Sscan(text, &n); err != nil {
		f.Fatalf("the resource version %q: %v", text, err)
	}
	return n
}
