package loadbalancer

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/record"
	"k8s.io/utils/ptr"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	portolanfake "github.com/portolan-dev/portolan/generated/clientset/versioned/fake"
)

// balancer is a load balancer that is as old as age says, in minutes.
func balancer(name string, age int, change ...func(*corev1.Service)) *corev1.Service {
	created := metav1.NewTime(time.Date(2026, 1, 1, 0, 60-age, 0, 0, time.UTC))
	svc := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, CreationTimestamp: created},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer},
	}
	for _, change := range change {
		change(svc)
	}
	return svc
}

// waitsFor makes a Service wait, with the message of its condition.
func waitsFor(message string) func(*corev1.Service) {
	return func(svc *corev1.Service) {
		svc.Status.Conditions = []metav1.Condition{{
			Type: v1.ServiceConditionLoadBalancerAddress, Status: metav1.ConditionFalse, Reason: v1.ReasonPoolFull, Message: message,
		}}
	}
}

func names(address string) func(*corev1.Service) {
	return func(svc *corev1.Service) { svc.Spec.LoadBalancerIP = address }
}

func withIngress(svc *corev1.Service) {
	svc.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "192.0.2.1"}}
}

func served(svc *corev1.Service) {
	waitsFor("")(svc)
	withIngress(svc)
	svc.Status.Conditions[0].Status = metav1.ConditionTrue
}

// TestOrder asks for Services in the right order, and for no Service in vain.
func TestOrder(t *testing.T) {
	class := func(name string) func(*corev1.Service) {
		return func(svc *corev1.Service) { svc.Spec.LoadBalancerClass = ptr.To(name) }
	}
	services := []*corev1.Service{
		balancer("young", 1, waitsFor("full: a")), balancer("old", 9, waitsFor("full: a")), balancer("older", 10, waitsFor("full: b")),
		balancer("names-one", 5, waitsFor("full: a"), names("192.0.2.1")), balancer("served", 20, served),
		balancer("of-others", 3, withIngress), balancer("new", 2), balancer("classed", 2, class("example.com/x")),
		balancer("going", 30, waitsFor("full: a"), func(svc *corev1.Service) {
			svc.DeletionTimestamp = ptr.To(metav1.Now())
			svc.Finalizers = []string{"a/b"}
		}),
		balancer("plain", 30, func(svc *corev1.Service) { svc.Spec.Type = corev1.ServiceTypeClusterIP }),
		balancer("copy", 30, waitsFor("full: a"), func(svc *corev1.Service) {
			svc.Annotations = map[string]string{v1.AnnotationMirroredFrom: "x"}
		}),
	}
	for name, test := range map[string]struct {
		key string
		// free is how many addresses there are of pool a; b has none.
		free int
		want []string
	}{
		"nothing is free": {waiting, 0, []string{"older", "old", "names-one"}},
		"one is free":     {waiting, 1, []string{"older", "old", "names-one", "young"}},
		"all are served":  {waiting, 9, []string{"older", "old", "names-one", "young"}},
		"a pool appears":  {unserved, 9, []string{"older", "old", "names-one", "of-others", "new", "young"}},
	} {
		t.Run(name, func(t *testing.T) {
			var asked []string
			free := test.free
			c := newController(t, services, func(svc *corev1.Service) error {
				asked = append(asked, svc.Name)
				if free > 0 && message(svc) != "full: b" {
					free--
					served(svc)
				}
				return nil
			})
			if err := c.sync(t.Context(), test.key); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(asked, test.want) {
				t.Errorf("asked for %v, want %v", asked, test.want)
			}
		})
	}
}

// TestSecondFamily asks for Services that have an address of one IP family only.
func TestSecondFamily(t *testing.T) {
	dual := func(reason, message string) func(*corev1.Service) {
		return func(svc *corev1.Service) {
			withIngress(svc)
			svc.Spec.IPFamilies = []corev1.IPFamily{corev1.IPv4Protocol, corev1.IPv6Protocol}
			svc.Status.Conditions = []metav1.Condition{{
				Type: v1.ServiceConditionLoadBalancerAddress, Status: metav1.ConditionTrue, Reason: reason, Message: message,
			}}
		}
	}
	services := []*corev1.Service{
		balancer("older", 9, dual(v1.ReasonPartlyAllocated, "full: a")), balancer("old", 8, dual(v1.ReasonPartlyAllocated, "full: a")),
		balancer("other", 7, dual(v1.ReasonPartlyAllocated, "full: b")), balancer("no-pool", 6, dual(v1.ReasonAllocated, "served")),
		balancer("single", 5, served),
	}
	for name, test := range map[string]struct {
		key, cidr string
		want      []string
	}{
		"a claim ends":              {waiting, "2001:db8::/64", []string{"older", "other"}},
		"a pool appears":            {unserved, "2001:db8::/64", []string{"older", "other", "no-pool"}},
		"a pool of the family held": {unserved, "192.0.2.0/24", nil},
	} {
		t.Run(name, func(t *testing.T) {
			var asked []string
			c := newController(t, services, func(svc *corev1.Service) error {
				asked = append(asked, svc.Name)
				return nil
			}, test.cidr)
			if err := c.sync(t.Context(), test.key); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(asked, test.want) {
				t.Errorf("asked for %v, want %v", asked, test.want)
			}
		})
	}
}

// TestQuotas asks for a Service of each namespace whose quota allows no more.
func TestQuotas(t *testing.T) {
	in := func(namespace string) func(*corev1.Service) {
		return func(svc *corev1.Service) {
			svc.Namespace, svc.Status.Conditions[0].Reason = namespace, v1.ReasonQuotaExceeded
		}
	}
	const exceeded = "exceeded quota: team"
	services := []*corev1.Service{
		balancer("first", 3, waitsFor(exceeded), in("a")), balancer("second", 2, waitsFor(exceeded), in("a")),
		balancer("other", 1, waitsFor(exceeded), in("b")),
	}
	var asked []string
	c := newController(t, services, func(svc *corev1.Service) error {
		asked = append(asked, svc.Name)
		return nil
	})
	if err := c.sync(t.Context(), waiting); err != nil {
		t.Fatal(err)
	}
	if want := []string{"first", "other"}; !slices.Equal(asked, want) {
		t.Errorf("asked for %v, want %v", asked, want)
	}
}

// TestReserved asks for a Service that an address is reserved for, although an older one of
// the same demand gets nothing.
func TestReserved(t *testing.T) {
	services := []*corev1.Service{
		balancer("old", 3, waitsFor("full")), balancer("reserved", 2, waitsFor("full")), balancer("young", 1, waitsFor("full")),
	}
	var asked []string
	c := newController(t, services, func(svc *corev1.Service) error {
		asked = append(asked, svc.Name)
		return nil
	})
	reservation := &v1.LoadBalancerIP{ObjectMeta: metav1.ObjectMeta{Name: "192.0.2.1"}, Spec: v1.LoadBalancerIPSpec{
		ParentRef: &v1.ParentReference{Group: v1.GroupName, Resource: "services", Namespace: "default", Name: "reserved"},
	}}
	if err := c.claims.Add(reservation); err != nil {
		t.Fatal(err)
	}
	if err := c.sync(t.Context(), waiting); err != nil {
		t.Fatal(err)
	}
	if want := []string{"old", "reserved"}; !slices.Equal(asked, want) {
		t.Errorf("asked for %v, want %v", asked, want)
	}
}

// TestErrors retries what can succeed later, and nothing else.
func TestErrors(t *testing.T) {
	gone := apierrors.NewNotFound(corev1.Resource("services"), "x")
	rejected := apierrors.NewInvalid(v1.Kind("Service"), "x", nil)
	for name, test := range map[string]struct {
		err     error
		retries bool
	}{
		"deleted": {gone, false}, "rejected": {rejected, false}, "away": {apierrors.NewServiceUnavailable("away"), true},
	} {
		t.Run(name, func(t *testing.T) {
			var asked []string
			c := newController(t, []*corev1.Service{balancer("a", 2, waitsFor("full")), balancer("b", 1, waitsFor("full"))},
				func(svc *corev1.Service) error {
					asked = append(asked, svc.Name)
					if svc.Name == "a" {
						return test.err
					}
					served(svc)
					return nil
				})
			if err := c.sync(t.Context(), waiting); (err != nil) != test.retries {
				t.Errorf("got %v", err)
			}
			if !slices.Equal(asked, []string{"a", "b"}) {
				t.Errorf("asked for %v", asked)
			}
		})
	}
}

// TestUnclaimedPick serves a Service although no event says when an address comes free: a
// request had picked it, and ended without claiming it.
func TestUnclaimedPick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var asked int
		var done bool
		c := newController(t, []*corev1.Service{balancer("a", 1, waitsFor("full"))}, func(svc *corev1.Service) error {
			asked++
			if done = time.Since(start) > 2*time.Minute; done {
				served(svc)
			}
			return nil
		})
		c.look(waiting)
		go c.loop.Run(t.Context(), 1)
		time.Sleep(time.Hour)
		// The pool is an event too, for all that are unserved.
		if !done || asked > 2*(1+len(pauses())) {
			t.Errorf("served: %v, after %d requests", done, asked)
		}
	})
}

// TestUseEnds looks again when a Service is gone that used an address without a claim.
func TestUseEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		c := newController(t, []*corev1.Service{balancer("a", 1, waitsFor("full")), balancer("external", 2, withIngress)},
			func(*corev1.Service) error {
				asked++
				return nil
			}, "192.0.2.0/24")
		c.look(waiting)
		go c.loop.Run(t.Context(), 1)
		time.Sleep(time.Hour)
		before := asked
		if err := c.client.CoreV1().Services("default").Delete(t.Context(), "external", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if asked == before {
			t.Error("nobody asked for the Service that waits")
		}
	})
}

// newController makes a controller with one pool and synced informers. answer changes the
// Service that an update returns.
func newController(t *testing.T, services []*corev1.Service, answer func(*corev1.Service) error, cidrs ...string) *Controller {
	t.Helper()
	objects := make([]runtime.Object, len(services))
	for i, svc := range services {
		objects[i] = svc
	}
	client := fake.NewClientset(objects...)
	var mu sync.Mutex
	client.PrependReactor("patch", "services", func(action clienttesting.Action) (bool, runtime.Object, error) {
		mu.Lock()
		defer mu.Unlock()
		name := action.(clienttesting.PatchAction).GetName()
		svc := services[slices.IndexFunc(services, func(svc *corev1.Service) bool { return svc.Name == name })].DeepCopy()
		err := answer(svc)
		return true, svc, err
	})
	pool := &v1.LoadBalancerPool{ObjectMeta: metav1.ObjectMeta{Name: "a"}, Spec: v1.LoadBalancerPoolSpec{CIDRs: cidrs}}
	factory := informers.NewSharedInformerFactory(client, 0)
	c, err := New(Config{
		Client: client, Ranges: portolanfake.NewClientset(pool), Informers: factory, Recorder: record.NewFakeRecorder(100),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(func() { cancel(); factory.Shutdown(); c.ranges.Shutdown() })
	factory.StartWithContext(ctx)
	c.ranges.StartWithContext(ctx)
	factory.WaitForCacheSync(ctx.Done())
	c.ranges.WaitForCacheSync(ctx.Done())
	if got := len(c.services.List()); got != len(services) {
		t.Fatalf("the cache has %d Services", got)
	}
	return c
}
