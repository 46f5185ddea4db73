package api

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	clientv1 "github.com/portolan-dev/portolan/generated/clientset/versioned/typed/portolan/v1"
	"github.com/portolan-dev/portolan/test/framework"
)

func slicesOf(server *framework.Server) clientv1.EndpointSliceInterface {
	return server.Client.PortolanV1().EndpointSlices("default")
}

func endpointsOf(server *framework.Server) clientv1.EndpointsInterface {
	return server.Client.PortolanV1().Endpoints("default")
}

// sliceOf is a slice as the controllers write it.
func sliceOf(service, name string, change ...func(*v1.EndpointSlice)) *v1.EndpointSlice {
	slice := &v1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{
			discoveryv1.LabelServiceName: service, discoveryv1.LabelManagedBy: "endpointslice-controller.k8s.io",
		}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{"192.0.2.1"}}},
	}
	for _, change := range change {
		change(slice)
	}
	return slice
}

func endpointsNamed(name string) *v1.Endpoints {
	return &v1.Endpoints{
		ObjectMeta: metav1.ObjectMeta{Name: name}, Subsets: []corev1.EndpointSubset{{Addresses: []corev1.EndpointAddress{{IP: "192.0.2.1"}}}},
	}
}

// byHand is a slice that no controller of ours wrote.
func byHand(slice *v1.EndpointSlice) { delete(slice.Labels, discoveryv1.LabelManagedBy) }

func controlledBy(apiVersion, kind, name string, uid types.UID) func(*v1.EndpointSlice) {
	return func(slice *v1.EndpointSlice) {
		slice.OwnerReferences = []metav1.OwnerReference{{APIVersion: apiVersion, Kind: kind, Name: name, UID: uid, Controller: ptr.To(true)}}
	}
}

func finalized(slice *v1.EndpointSlice) { slice.Finalizers = []string{"example.com/f"} }

// creator creates objects for a test that can't go on without.
type creator struct {
	*testing.T
	server *framework.Server
}

func (c creator) service(svc *v1.Service) *v1.Service {
	c.Helper()
	created, err := servicesOf(c.server).Create(c.Context(), svc, metav1.CreateOptions{})
	if err != nil {
		c.Fatal(err)
	}
	return created
}

func (c creator) endpoints(endpoints *v1.Endpoints) *v1.Endpoints {
	c.Helper()
	created, err := endpointsOf(c.server).Create(c.Context(), endpoints, metav1.CreateOptions{})
	if err != nil {
		c.Fatal(err)
	}
	return created
}

func (c creator) slices(slices ...*v1.EndpointSlice) {
	c.Helper()
	for _, slice := range slices {
		if _, err := slicesOf(c.server).Create(c.Context(), slice, metav1.CreateOptions{}); err != nil {
			c.Fatal(err)
		}
	}
}

func (c creator) deleteService(name string) {
	c.Helper()
	if err := servicesOf(c.server).Delete(c.Context(), name, metav1.DeleteOptions{}); err != nil {
		c.Fatal(err)
	}
}

// expectSlices wants the namespace to hold slices of these names.
func (c creator) expectSlices(what string, want ...string) {
	c.Helper()
	list, err := slicesOf(c.server).List(c.Context(), metav1.ListOptions{})
	if err != nil {
		c.Fatal(err)
	}
	var names []string
	for _, slice := range list.Items {
		names = append(names, slice.Name)
	}
	if !slices.Equal(names, want) {
		c.Fatalf("%s: the slices are %v, want %v", what, names, want)
	}
}

// deletedAt says at which revision each key went away after the given one. It
// waits for that of the last key.
func deletedAt(t *testing.T, store *framework.Etcd, after int64, last string) map[string]int64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	deleted := map[string]int64{}
	const prefix = "/registry/portolan.dev/"
	for response := range store.Client.Watch(ctx, prefix, clientv3.WithPrefix(), clientv3.WithRev(after+1)) {
		for _, event := range response.Events {
			if event.Type == clientv3.EventTypeDelete {
				deleted[strings.TrimPrefix(string(event.Kv.Key), prefix)] = event.Kv.ModRevision
			}
		}
		if _, found := deleted[last]; found {
			return deleted
		}
	}
	t.Fatalf("%s was not deleted, only %v", last, deleted)
	return nil
}

func revisionOf(t *testing.T, store *framework.Etcd) int64 {
	t.Helper()
	response, err := store.Client.Get(t.Context(), "/registry", clientv3.WithCountOnly())
	if err != nil {
		t.Fatal(err)
	}
	return response.Header.Revision
}

// TestDependentsGoInOneTransaction deletes Services as soon as their slices have
// been written, again and again under one name.
func TestDependentsGoInOneTransaction(t *testing.T) {
	t.Parallel()
	store, replicas := framework.Replicas(t, 1, withRanges("20000-20999", "10.96.0.0/16"))
	c := creator{t, replicas[0]}
	other := metav1.NamespaceDefault + "-2"
	newNamespace(t, coreClient(t, replicas[0]), other)
	if _, err := replicas[0].Client.PortolanV1().EndpointSlices(other).Create(t.Context(), sliceOf("web", "elsewhere"),
		metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	c.slices(sliceOf("web-2", "anothers"), sliceOf("", "nobodys"),
		sliceOf("web", "by-hand", byHand),
		sliceOf("web", "foreign", byHand, controlledBy("example.com/v1", "Mesh", "web", "u")),
		sliceOf("web", "predecessors", byHand, controlledBy("portolan.dev/v1", "Service", "web", "of-another-service")),
		sliceOf("web", "mirror-of-another", byHand, controlledBy("v1", "Endpoints", "web-2", "u")))
	c.endpoints(endpointsNamed("web-2"))
	stay := []string{"anothers", "by-hand", "foreign", "mirror-of-another", "nobodys", "predecessors"}

	for range 30 {
		svc := c.service(serviceWith("web", onNodePort(20500), onAddresses("10.96.5.5")))
		endpoints := c.endpoints(endpointsNamed("web"))
		c.slices(sliceOf("web", "web-1"), sliceOf("web", "web-2"),
			sliceOf("web", "web-3", byHand, controlledBy("portolan.dev/v1", "Service", "web", svc.UID)),
			sliceOf("web", "web-4", byHand, controlledBy("v1", "Endpoints", "web", endpoints.UID)),
			sliceOf("web", "web-5", byHand, controlledBy("portolan.dev/v1", "Endpoints", "web", endpoints.UID)))
		before := revisionOf(t, store)
		c.deleteService("web")
		deleted := deletedAt(t, store, before, "services/default/web")
		want := map[string]int64{"services/default/web": before + 1, "ipaddresses/10.96.5.5": before + 1, "nodeports/20500": before + 1,
			"endpoints/default/web": before + 1}
		for i := range 5 {
			want[fmt.Sprint("endpointslices/default/web-", i+1)] = before + 1
		}
		if !maps.Equal(deleted, want) {
			t.Fatalf("deleted were %v, want %v", deleted, want)
		}
		c.expectSlices("after the Service", stay...)
	}
	if _, err := replicas[0].Client.PortolanV1().EndpointSlices(other).Get(t.Context(), "elsewhere", metav1.GetOptions{}); err != nil {
		t.Error(err)
	}
	if _, err := endpointsOf(replicas[0]).Get(t.Context(), "web-2", metav1.GetOptions{}); err != nil {
		t.Error(err)
	}
	expectQuiet(t, store)
}

// TestSlicesByHandStay has slices that merely name a Service, through both groups
// and in every way a Service is deleted.
func TestSlicesByHandStay(t *testing.T) {
	t.Parallel()
	c := creator{t, framework.Start(t, nil)}
	core := coreClient(t, c.server)
	svc := c.service(serviceWith("web"))
	mesh := metav1.OwnerReference{APIVersion: "example.com/v1", Kind: "Mesh", Name: "m", UID: "u"}
	c.slices(sliceOf("web", "plain", byHand), sliceOf("web", "others", func(slice *v1.EndpointSlice) {
		slice.Labels[discoveryv1.LabelManagedBy] = "mesh.example.com"
	}), sliceOf("web", "shared", byHand, func(slice *v1.EndpointSlice) {
		slice.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Service", Name: "web", UID: svc.UID}, mesh}
	}), sliceOf("web", "owned", byHand, func(slice *v1.EndpointSlice) {
		slice.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Service", Name: "web", UID: svc.UID}}
	}))
	if err := core.CoreV1().Services("default").Delete(t.Context(), "web", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	c.expectSlices("after the Service", "others", "plain", "shared")
	c.service(serviceWith("web"))
	if err := servicesOf(c.server).DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
		t.Fatal(err)
	}
	c.expectSlices("after all Services", "others", "plain", "shared")
}

// TestSlicesAreFoundByWhatTheySayNow moves slices from one Service to another
// right before a Service is deleted.
func TestSlicesAreFoundByWhatTheySayNow(t *testing.T) {
	t.Parallel()
	c := creator{t, framework.Start(t, nil)}
	move := func(name, to string) {
		t.Helper()
		body := fmt.Sprintf(`{"metadata":{"labels":{%q:%q}}}`, discoveryv1.LabelServiceName, to)
		if _, err := slicesOf(c.server).Patch(t.Context(), name, types.MergePatchType, []byte(body), metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	for range 20 {
		c.service(serviceWith("web"))
		c.slices(sliceOf("other", "comes"), sliceOf("web", "leaves"))
		move("comes", "web")
		move("leaves", "other")
		c.deleteService("web")
		c.expectSlices("after the Service", "leaves")
		if err := slicesOf(c.server).Delete(t.Context(), "leaves", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
}

// TestSlicesOfOtherReplicas waits until a replica knows of another's slices.
func TestSlicesOfOtherReplicas(t *testing.T) {
	t.Parallel()
	store, replicas := framework.Replicas(t, 2, nil)
	first, second := creator{t, replicas[0]}, creator{t, replicas[1]}
	first.service(serviceWith("web"))
	first.endpoints(endpointsNamed("web"))
	first.slices(sliceOf("web", "web-1"), sliceOf("web", "web-2"))
	framework.Await(t, "the other replica's slices", func(ctx context.Context) (bool, error) {
		list, err := slicesOf(second.server).List(ctx, metav1.ListOptions{ResourceVersion: "0"})
		return err == nil && len(list.Items) == 2, err
	})
	before := revisionOf(t, store)
	second.deleteService("web")
	if deleted := deletedAt(t, store, before, "services/default/web"); len(deleted) != 5 {
		t.Errorf("deleted were %v, want the Service, its address, its Endpoints and two slices", deleted)
	}
	expectQuiet(t, store)
}

// TestDependentsWithFinalizers are marked where others are deleted.
func TestDependentsWithFinalizers(t *testing.T) {
	t.Parallel()
	store, replicas := framework.Replicas(t, 1, nil)
	c, ctx := creator{t, replicas[0]}, t.Context()
	for round := range 5 {
		c.service(serviceWith("web"))
		endpoints := endpointsNamed("web")
		endpoints.Finalizers = []string{"example.com/f"}
		c.endpoints(endpoints)
		c.slices(sliceOf("web", "goes"), sliceOf("web", "marked", finalized), sliceOf("web", "marked-before", finalized))
		if err := slicesOf(c.server).Delete(ctx, "marked-before", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		markedBefore, err := slicesOf(c.server).Get(ctx, "marked-before", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		before := revisionOf(t, store)
		c.deleteService("web")
		at := fmt.Sprint(before + 1)

		marked, err := slicesOf(c.server).Get(ctx, "marked", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if marked.ResourceVersion != at || marked.Generation != 2 || marked.DeletionTimestamp == nil ||
			ptr.Deref(marked.DeletionGracePeriodSeconds, -1) != 0 || len(marked.Endpoints) != 1 {
			t.Errorf("round %d: at revision %s the slice is %+v", round, at, marked)
		}
		markedEndpoints, err := endpointsOf(c.server).Get(ctx, "web", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if markedEndpoints.ResourceVersion != at || markedEndpoints.DeletionTimestamp == nil || markedEndpoints.Generation != 0 {
			t.Errorf("round %d: at revision %s the Endpoints are %+v", round, at, markedEndpoints)
		}
		if slice, err := slicesOf(c.server).Get(ctx, "marked-before", metav1.GetOptions{}); err != nil ||
			slice.ResourceVersion != markedBefore.ResourceVersion {
			t.Errorf("round %d: what was marked already is %+v, %v", round, slice, err)
		}
		if deleted := deletedAt(t, store, before, "services/default/web"); deleted["endpointslices/default/goes"] != before+1 {
			t.Errorf("round %d: deleted were %v", round, deleted)
		}

		// They are gone when their finalizers are.
		release := []byte(`{"metadata":{"finalizers":null}}`)
		for _, name := range []string{"marked", "marked-before"} {
			if _, err := slicesOf(c.server).Patch(ctx, name, types.MergePatchType, release, metav1.PatchOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := endpointsOf(c.server).Patch(ctx, "web", types.MergePatchType, release, metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
		c.expectSlices("in the end")
	}
	expectQuiet(t, store)
}

// TestEveryWayAServiceGoes takes the dependents along.
func TestEveryWayAServiceGoes(t *testing.T) {
	t.Parallel()
	store, replicas := framework.Replicas(t, 1, nil)
	c, ctx := creator{t, replicas[0]}, t.Context()
	remove := []byte(`{"metadata":{"finalizers":null}}`)
	for name, way := range map[string]func() error{
		"a removed finalizer": func() error {
			_, err := servicesOf(c.server).Patch(ctx, "web", types.MergePatchType, remove, metav1.PatchOptions{})
			return err
		},
		"a finalizer removed through the status": func() error {
			_, err := servicesOf(c.server).Patch(ctx, "web", types.MergePatchType, remove, metav1.PatchOptions{}, "status")
			return err
		},
		"delete collection": func() error {
			return servicesOf(c.server).DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{})
		},
	} {
		svc := serviceWith("web")
		held := name != "delete collection"
		if held {
			svc.Finalizers = []string{"example.com/f"}
		}
		c.service(svc)
		c.endpoints(endpointsNamed("web"))
		c.slices(sliceOf("web", "web-1"), sliceOf("web", "web-2"))
		for _, options := range []metav1.DeleteOptions{dryRunOnly, {}} {
			if !held && len(options.DryRun) == 0 {
				continue
			}
			if err := servicesOf(c.server).Delete(ctx, "web", options); err != nil {
				t.Fatal(err)
			}
			c.expectSlices("before "+name, "web-1", "web-2")
			if _, err := endpointsOf(c.server).Get(ctx, "web", metav1.GetOptions{}); err != nil {
				t.Errorf("%s: before it: %v", name, err)
			}
		}
		before := revisionOf(t, store)
		if err := way(); err != nil {
			t.Fatal(err)
		}
		deleted := deletedAt(t, store, before, "services/default/web")
		for key, revision := range deleted {
			if revision != before+1 {
				t.Errorf("%s: %s went at revision %d, want %d", name, key, revision, before+1)
			}
		}
		if len(deleted) != 5 {
			t.Errorf("%s: deleted were %v, want the Service, its address, its Endpoints and two slices", name, deleted)
		}
	}
	expectQuiet(t, store)
}

// TestDeletesAgainstWritesOfSlices changes slices all the while that their
// Services are deleted and made again. What was there when a Service was deleted
// is not there afterwards.
func TestDeletesAgainstWritesOfSlices(t *testing.T) {
	t.Parallel()
	store, replicas := framework.Replicas(t, 1, nil)
	c := creator{t, replicas[0]}
	ctx, cancel := context.WithCancel(t.Context())
	var writer sync.WaitGroup
	writer.Go(func() {
		for n := 0; ctx.Err() == nil; n++ {
			body := fmt.Appendf(nil, `{"metadata":{"annotations":{"n":"%d"}}}`, n)
			_, err := endpointsOf(c.server).Patch(ctx, "web", types.MergePatchType, body, metav1.PatchOptions{})
			if n%3 != 0 {
				_, err = slicesOf(c.server).Patch(ctx, fmt.Sprint("web-", n%3), types.MergePatchType, body, metav1.PatchOptions{})
			}
			if err != nil && ctx.Err() == nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
				t.Error(err)
			}
		}
	})
	for range 40 {
		c.service(serviceWith("web"))
		c.endpoints(endpointsNamed("web"))
		for i := range 3 {
			c.slices(sliceOf("web", fmt.Sprint("web-", i)))
		}
		// The server may ask to try again.
		framework.Await(t, "the Service is deleted", func(ctx context.Context) (bool, error) {
			err := servicesOf(c.server).Delete(ctx, "web", metav1.DeleteOptions{})
			if apierrors.IsTooManyRequests(err) {
				return false, nil
			}
			return err == nil, err
		})
		c.expectSlices("after the Service")
		if _, err := endpointsOf(c.server).Get(ctx, "web", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			t.Fatalf("the Endpoints: %v", err)
		}
	}
	cancel()
	writer.Wait()
	expectQuiet(t, store)
}

// TestMoreSlicesThanATransactionTakes on an etcd with its default limit; the
// embedded one takes them all.
func TestMoreSlicesThanATransactionTakes(t *testing.T) {
	t.Parallel()
	const many = 200
	_, replicas := framework.Replicas(t, 1, nil)
	for where, tc := range map[string]struct {
		server *framework.Server
		takes  int
	}{
		// 128 comparisons are of the Service, its address, the limits of its namespace, its
		// Endpoints and 124 slices.
		"external": {replicas[0], 124},
		"embedded": {framework.Start(t, nil), many},
	} {
		c := creator{t, tc.server}
		c.service(serviceWith("web"))
		var names []string
		for i := range many {
			names = append(names, fmt.Sprintf("web-%03d", i))
			c.slices(sliceOf("web", names[i]))
		}
		c.deleteService("web")
		c.expectSlices(where, names[tc.takes:]...)
	}
}

// TestUnreadableDependents keep the watch cache from working; Services are
// deleted and take along what can be read.
func TestUnreadableDependents(t *testing.T) {
	t.Parallel()
	store, replicas := framework.Replicas(t, 1, nil)
	c := creator{t, replicas[0]}
	for _, key := range []string{"endpointslices/default/garbage", "endpoints/default/web"} {
		if _, err := store.Client.Put(t.Context(), "/registry/portolan.dev/"+key, "garbage"); err != nil {
			t.Fatal(err)
		}
	}
	c.service(serviceWith("web"))
	c.slices(sliceOf("web", "web-1"), sliceOf("other", "web-2"))
	before := revisionOf(t, store)
	c.deleteService("web")
	deleted := deletedAt(t, store, before, "services/default/web")
	if deleted["endpointslices/default/web-1"] != before+1 || len(deleted) != 3 {
		t.Errorf("deleted were %v, want the Service, its address and its slice", deleted)
	}
}

// TestSlicesAreNotSelectedByService as the field is the server's own.
func TestSlicesAreNotSelectedByService(t *testing.T) {
	t.Parallel()
	c := creator{t, framework.Start(t, nil)}
	for _, selector := range []string{"portolan.dev/service=default/web", "addressType=IPv4"} {
		_, err := slicesOf(c.server).List(t.Context(), metav1.ListOptions{FieldSelector: selector})
		if !apierrors.IsBadRequest(err) ||
			!strings.Contains(err.Error(), `is not a known field selector: only "metadata.name", "metadata.namespace"`) {
			t.Errorf("%s: %v", selector, err)
		}
	}
}
