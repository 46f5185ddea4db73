package resourcequota

import (
	"context"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/admission/initializer"
	"github.com/portolan-dev/portolan/pkg/allocation"
	"github.com/portolan-dev/portolan/pkg/claims"
	"github.com/portolan-dev/portolan/pkg/requeststate"
)

// newPlugin makes the plugin as the server does, for a cluster whose namespace
// team has a quota that allows one of each resource.
func newPlugin(t *testing.T, resources ...corev1.ResourceName) (*Plugin, func(corev1.ResourceName) int64) {
	t.Helper()
	quota := &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "quota", ResourceVersion: "1"},
		Status:     corev1.ResourceQuotaStatus{Hard: corev1.ResourceList{}, Used: corev1.ResourceList{}},
	}
	for _, name := range resources {
		quota.Status.Hard[name], quota.Status.Used[name] = resource.MustParse("1"), resource.MustParse("0")
	}
	client := fake.NewClientset(quota)
	// Versions, which the fake has none of, tell the plugin which is the newer:
	// what the informer has or what it wrote itself.
	version := atomic.Int64{}
	version.Store(1)
	client.PrependReactor("update", "resourcequotas", func(action clienttesting.Action) (bool, runtime.Object, error) {
		updated := action.(clienttesting.UpdateAction).GetObject().(*corev1.ResourceQuota)
		updated.ResourceVersion = strconv.FormatInt(version.Add(1), 10)
		return false, nil, nil
	})
	factory := informers.NewSharedInformerFactory(client, 0)

	var plugins admission.Plugins
	Register(&plugins)
	initialize := admission.PluginInitializers{framework{client, factory, t.Context().Done()},
		initializer.New(&claims.Ledger{Index: allocation.New(time.Now)}, func() bool { return true }, nil)}
	made, err := plugins.InitPlugin(PluginName, nil, initialize)
	if err != nil {
		t.Fatal(err)
	}
	factory.Start(t.Context().Done())
	factory.WaitForCacheSync(t.Context().Done())
	return made.(*Plugin), func(name corev1.ResourceName) int64 {
		t.Helper()
		current, err := client.CoreV1().ResourceQuotas("team").Get(t.Context(), "quota", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		used := current.Status.Used[name]
		return used.Value()
	}
}

// framework stands for the framework's own initializer.
type framework struct {
	client    *fake.Clientset
	informers informers.SharedInformerFactory
	drained   <-chan struct{}
}

func (f framework) Initialize(plugin admission.Interface) {
	p := plugin.(*Plugin)
	p.SetExternalKubeClientSet(f.client)
	p.SetExternalKubeInformerFactory(f.informers)
	p.SetDrainedNotification(f.drained)
}

func newAttributes(group, resource, subresource, namespace string, operation admission.Operation, dryRun bool,
	object runtime.Object) admission.Attributes {
	var old runtime.Object
	if operation == admission.Update {
		old = object
	}
	return admission.NewAttributesRecord(object, old, v1.SchemeGroupVersion.WithKind("Any"), namespace, "any",
		schema.GroupVersionResource{Group: group, Version: "v1", Resource: resource}, subresource, operation, nil, dryRun, nil)
}

func create(resource string, object runtime.Object) admission.Attributes {
	return newAttributes(v1.GroupName, resource, "", "team", admission.Create, false, object)
}

func TestCounts(t *testing.T) {
	t.Parallel()
	for name, object := range map[string]runtime.Object{"services": &v1.Service{}, "endpoints": &v1.Endpoints{}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			count := corev1.ResourceName("count/" + name + ".portolan.dev")
			plugin, used := newPlugin(t, count)
			for range 2 {
				dry := newAttributes(v1.GroupName, name, "", "team", admission.Create, true, object)
				if err := plugin.Validate(t.Context(), dry, nil); err != nil || used(count) != 0 {
					t.Fatalf("dry run: %v, %d are used", err, used(count))
				}
			}
			if err := plugin.Validate(t.Context(), create(name, object), nil); err != nil || used(count) != 1 {
				t.Fatalf("%v, %d are used", err, used(count))
			}
			want := name + `.portolan.dev "any" is forbidden: exceeded quota: quota, requested: ` + string(count) + `=1, used: ` + string(count) +
				`=1, limited: ` + string(count) + `=1`
			if err := plugin.Validate(t.Context(), create(name, object), nil); !apierrors.IsForbidden(err) || err.Error() != want ||
				used(count) != 1 {
				t.Errorf("got %v, %d are used\nwant %s", err, used(count), want)
			}
		})
	}
}

// Requests other than creates of namespaced objects of portolan.dev pass, whatever the
// quotas are. So do creates that only the cluster's own names limit.
func TestNotCounted(t *testing.T) {
	t.Parallel()
	limits := []corev1.ResourceName{"count/services.portolan.dev", "count/ipaddresses.portolan.dev", "count/services", "services",
		"services.nodeports", "services.loadbalancers"}
	svc := &v1.Service{Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, Ports: []corev1.ServicePort{{Port: 80}}}}
	for name, a := range map[string]admission.Attributes{
		"update":                  newAttributes(v1.GroupName, "services", "", "team", admission.Update, false, svc),
		"status":                  newAttributes(v1.GroupName, "services", "status", "team", admission.Update, false, svc),
		"cluster-wide":            newAttributes(v1.GroupName, "ipaddresses", "", "", admission.Create, false, &v1.IPAddress{}),
		"another namespace":       newAttributes(v1.GroupName, "services", "", "other", admission.Create, false, svc),
		"another group's Service": newAttributes("serving.example", "services", "", "team", admission.Create, false, svc),
		"the cluster's Pod":       newAttributes("", "pods", "", "team", admission.Create, false, &corev1.Pod{}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			plugin, used := newPlugin(t, limits...)
			for range 2 {
				if err := plugin.Validate(t.Context(), a, nil); err != nil {
					t.Error(err)
				}
			}
			for _, limit := range limits {
				if n := used(limit); n != 0 {
					t.Errorf("%d of %s are used", n, limit)
				}
			}
		})
	}
	// A Service that is created as v1 is the same as one of portolan.dev.
	t.Run("the core group", func(t *testing.T) {
		t.Parallel()
		plugin, used := newPlugin(t, limits...)
		svc := newAttributes("", "services", "", "team", admission.Create, false, &v1.Service{})
		if err := plugin.Validate(t.Context(), svc, nil); err != nil || used(limits[0]) != 1 {
			t.Errorf("%v, %d are used", err, used(limits[0]))
		}
		if err := plugin.Validate(t.Context(), svc, nil); !apierrors.IsForbidden(err) {
			t.Errorf("one more: %v", err)
		}
		for _, limit := range limits[1:] {
			if n := used(limit); n != 0 {
				t.Errorf("%d of %s are used", n, limit)
			}
		}
	})
	t.Run("the cluster's own names", func(t *testing.T) {
		t.Parallel()
		plugin, used := newPlugin(t, limits[2:]...)
		for range 2 {
			if err := plugin.Validate(t.Context(), create("services", svc), nil); err != nil {
				t.Error(err)
			}
		}
		for _, limit := range limits[2:] {
			if n := used(limit); n != 0 {
				t.Errorf("%d of %s are used", n, limit)
			}
		}
	})
}

// A create by PUT or apply passes admission on each of its attempts.
func TestChargedOncePerRequest(t *testing.T) {
	t.Parallel()
	const count = corev1.ResourceName("count/services.portolan.dev")
	plugin, used := newPlugin(t, count)
	newRequest := func() context.Context {
		ctx, picks := requeststate.NewPicks(t.Context(), allocation.New(time.Now))
		t.Cleanup(picks.End)
		return ctx
	}
	request := newRequest()
	for range 3 {
		if err := plugin.Validate(request, create("services", &v1.Service{}), nil); err != nil {
			t.Fatal(err)
		}
	}
	if n := used(count); n != 1 {
		t.Errorf("%d are used", n)
	}
	if err := plugin.Validate(newRequest(), create("services", &v1.Service{}), nil); !apierrors.IsForbidden(err) {
		t.Errorf("the next request: got %v", err)
	}
	// An update is not charged, so a create after it is.
	request = newRequest()
	update := newAttributes(v1.GroupName, "services", "", "team", admission.Update, false, &v1.Service{})
	if err := plugin.Validate(request, update, nil); err != nil {
		t.Error(err)
	}
	if err := plugin.Validate(request, create("services", &v1.Service{}), nil); !apierrors.IsForbidden(err) {
		t.Errorf("a create after an update: got %v", err)
	}
}

func TestUninitialized(t *testing.T) {
	t.Parallel()
	var plugins admission.Plugins
	Register(&plugins)
	client := fake.NewClientset()
	without := framework{client, informers.NewSharedInformerFactory(client, 0), t.Context().Done()}
	if _, err := plugins.InitPlugin(PluginName, nil, without); err == nil {
		t.Error("the plugin does without a ledger")
	}
}
