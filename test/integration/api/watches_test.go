package api

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/server/options"
	"github.com/portolan-dev/portolan/test/framework"
)

// next is the next event of a watch.
func next(t *testing.T, w watch.Interface) watch.Event {
	t.Helper()
	select {
	case event, open := <-w.ResultChan():
		if !open {
			t.Fatal("the watch ended")
		}
		return event
	case <-time.After(20 * time.Second):
		t.Fatal("there is no event")
	}
	return watch.Event{}
}

// TestWatchByField has a Service come into a watch's sight and leave it.
func TestWatchByField(t *testing.T) {
	t.Parallel()
	server := framework.Start(t, nil)
	services, ctx := servicesOf(server), t.Context()
	w, err := services.Watch(ctx, metav1.ListOptions{FieldSelector: "spec.type=NodePort"})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	if _, err := services.Create(ctx, serviceWith("web"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		patch    string
		want     watch.EventType
		wantType corev1.ServiceType
	}{
		{`{"spec":{"type":"NodePort"}}`, watch.Added, corev1.ServiceTypeNodePort},
		{`{"metadata":{"labels":{"a":"b"}}}`, watch.Modified, corev1.ServiceTypeNodePort},
		// The event has the last known object.
		{`{"spec":{"type":"ClusterIP"}}`, watch.Deleted, corev1.ServiceTypeNodePort},
		{`{"spec":{"type":"NodePort"}}`, watch.Added, corev1.ServiceTypeNodePort},
	} {
		if _, err := services.Patch(ctx, "web", types.MergePatchType, []byte(step.patch), metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
		event := next(t, w)
		svc, ok := event.Object.(*v1.Service)
		if !ok || event.Type != step.want || svc.Spec.Type != step.wantType {
			t.Errorf("after %s: %s of %+v", step.patch, event.Type, event.Object)
		}
	}
	if err := services.Delete(ctx, "web", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if event := next(t, w); event.Type != watch.Deleted {
		t.Errorf("after the delete: %s", event.Type)
	}
}

// TestWatchWithInitialEvents tells of what is there and then that this was it.
func TestWatchWithInitialEvents(t *testing.T) {
	t.Parallel()
	server := framework.Start(t, nil)
	services, ctx := servicesOf(server), t.Context()
	for i := range 3 {
		if _, err := services.Create(ctx, serviceWith(fmt.Sprint("s", i)), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	w, err := services.Watch(ctx, metav1.ListOptions{
		SendInitialEvents: ptr.To(true), AllowWatchBookmarks: true, ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	for range 3 {
		if event := next(t, w); event.Type != watch.Added {
			t.Errorf("got %s", event.Type)
		}
	}
	event := next(t, w)
	if svc, ok := event.Object.(*v1.Service); !ok || event.Type != watch.Bookmark ||
		svc.Annotations[metav1.InitialEventsAnnotationKey] != "true" {
		t.Errorf("got %s of %+v", event.Type, event.Object)
	}
}

// TestPages reads a list in parts, and with tokens and versions that are none.
func TestPages(t *testing.T) {
	t.Parallel()
	server := framework.Start(t, nil)
	services, ctx := servicesOf(server), t.Context()
	for i := range 5 {
		if _, err := services.Create(ctx, serviceWith(fmt.Sprint("s", i)), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	first, err := services.List(ctx, metav1.ListOptions{Limit: 2})
	if err != nil || len(first.Items) != 2 || first.RemainingItemCount == nil || *first.RemainingItemCount != 3 {
		t.Fatalf("the first page: %+v, %v", first.ListMeta, err)
	}
	rest, err := services.List(ctx, metav1.ListOptions{Continue: first.Continue})
	if err != nil || len(rest.Items) != 3 || rest.Continue != "" || rest.Items[0].Name != "s2" {
		t.Errorf("the rest: %+v, %v", rest, err)
	}
	if _, err := services.List(ctx, metav1.ListOptions{Continue: "none"}); !apierrors.IsBadRequest(err) ||
		!strings.Contains(err.Error(), "continue") {
		t.Errorf("a token that is none: %v", err)
	}
	err = server.Client.PortolanV1().RESTClient().Get().Resource("services").Param("resourceVersion",
		"999999999").MaxRetries(0).Do(ctx).Error()
	if !apierrors.IsTimeout(err) || !strings.Contains(err.Error(), "Too large resource version: 999999999, current: ") {
		t.Errorf("a version that is still to come: %v", err)
	}
	if _, err := services.List(ctx, metav1.ListOptions{FieldSelector: "spec.foo=a"}); !apierrors.IsBadRequest(err) ||
		!strings.Contains(err.Error(), "field label not supported: spec.foo") {
		t.Errorf("a field that is none: %v", err)
	}
}

// TestFormats asks for answers in every format that there is, and in others.
func TestFormats(t *testing.T) {
	t.Parallel()
	server := framework.Start(t, nil)
	if _, err := servicesOf(server).Create(t.Context(), serviceWith("web"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	client, err := rest.HTTPClientFor(server.Config)
	if err != nil {
		t.Fatal(err)
	}
	for accept, want := range map[string]int{
		"application/json": 200, "application/yaml": 200, "application/vnd.kubernetes.protobuf": 200, "*/*": 200,
		"application/json;as=Table;v=v1;g=meta.k8s.io":                                        200,
		"application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io":                    200,
		"application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io": 200,
		"application/cbor": 406, "text/html": 406,
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet,
			server.Config.Host+"/apis/portolan.dev/v1/namespaces/default/services", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Accept", accept)
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		kind, _, _ := strings.Cut(response.Header.Get("Content-Type"), ";")
		asked, _, _ := strings.Cut(accept, ";")
		if response.StatusCode != want || want == 200 && asked != "*/*" && kind != asked {
			t.Errorf("%s: %d, %s", accept, response.StatusCode, kind)
		}
	}
}

// TestWatchOfServerThatStops ends with its server, which would otherwise wait for
// it for as long as a request may take.
func TestWatchOfServerThatStops(t *testing.T) {
	t.Parallel()
	server := framework.Start(t, func(o *options.Options) { o.Run.RequestTimeout = time.Hour })
	watcher, err := coreClient(t, server).CoreV1().Services("default").Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer watcher.Stop()
	stopped := make(chan error, 1)
	go func() { stopped <- server.Stop() }()
	select {
	case err := <-stopped:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(framework.Patience):
		t.Fatal("the server waits for a watch")
	}
	for event := range watcher.ResultChan() {
		t.Errorf("the watch says %+v", event)
	}
}
