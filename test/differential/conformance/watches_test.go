package conformance

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
)

func watches() behaviors {
	return behaviors{
		"who is told what":                whoIsTold,
		"from a version":                  watchFromVersion,
		"again from where it ended":       watchAgain,
		"what leaves a selection":         watchOfSelection,
		"several in the same order":       watchesInOrder,
		"with what is there at first":     watchWithInitialEvents,
		"with what is there, any age":     watchFromAnyVersion,
		"of metadata":                     watchOfMetadata,
		"in each format":                  watchInEachFormat,
		"that ends by itself":             watchThatEnds,
		"with bookmarks":                  watchWithBookmarks,
		"with options that don't go":      watchOptions,
		"by informers":                    watchByInformers,
		"of one object, by its name":      watchOfOne,
		"of a path that is deprecated":    watchOfOldPath,
		"what leaves a field's selection": watchByField,
	}
}

func (w *world) watchServices(options metav1.ListOptions) watch.Interface {
	w.Helper()
	return w.watching(w.services().Watch(w.Context(), options))
}

// labeled makes a Service of a group.
func (w *world) labeled(name, group string) *corev1.Service {
	w.Helper()
	return w.createService(newService(name, func(svc *corev1.Service) { svc.Labels = map[string]string{"group": group} }))
}

func (w *world) relabel(name, key, value string) *corev1.Service {
	w.Helper()
	patch := fmt.Sprintf(`{"metadata":{"labels":{%q:%q}}}`, key, value)
	svc, err := w.services().Patch(w.Context(), name, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	w.ok("patch", err)
	return svc
}

// expect wants the next event to be of a type and an object; nil is any state of it.
func (w *world) expect(in watch.Interface, want watch.EventType, svc *corev1.Service) *corev1.Service {
	w.Helper()
	seen := w.next(in, want).(*corev1.Service)
	if svc != nil && (seen.Name != svc.Name || want != watch.Deleted && seen.ResourceVersion != svc.ResourceVersion) {
		w.Fatalf("%s of %s at %s, want %s at %s", want, seen.Name, seen.ResourceVersion, svc.Name, svc.ResourceVersion)
	}
	return seen
}

// whoIsTold: "should observe add, update, and delete watch notifications". What
// one is not told shows by what he is told next.
func whoIsTold(w *world) {
	a := w.watchServices(metav1.ListOptions{LabelSelector: "group=a"})
	b := w.watchServices(metav1.ListOptions{LabelSelector: "group=b"})
	both := w.watchServices(metav1.ListOptions{LabelSelector: "group in (a, b)"})
	first := w.labeled("first", "a")
	w.expect(a, watch.Added, first)
	w.expect(both, watch.Added, first)
	for i := range 2 {
		first = w.relabel("first", "mutation", fmt.Sprint(i))
		w.expect(a, watch.Modified, first)
		w.expect(both, watch.Modified, first)
	}
	w.ok("delete", w.services().Delete(w.Context(), "first", metav1.DeleteOptions{}))
	w.expect(a, watch.Deleted, first)
	w.expect(both, watch.Deleted, first)
	second := w.labeled("second", "b")
	w.expect(b, watch.Added, second)
	w.expect(both, watch.Added, second)
	w.ok("delete", w.services().Delete(w.Context(), "second", metav1.DeleteOptions{}))
	w.expect(b, watch.Deleted, second)
	w.expect(both, watch.Deleted, second)
	third := w.labeled("third", "a")
	w.expect(a, watch.Added, third)
}

// watchFromVersion: "should be able to start watching from a specific resource
// version".
func watchFromVersion(w *world) {
	w.labeled("web", "a")
	first := w.relabel("web", "mutation", "1")
	second := w.relabel("web", "mutation", "2")
	w.ok("delete", w.services().Delete(w.Context(), "web", metav1.DeleteOptions{}))
	in := w.watchServices(metav1.ListOptions{LabelSelector: "group=a", ResourceVersion: first.ResourceVersion})
	w.expect(in, watch.Modified, second)
	if gone := w.expect(in, watch.Deleted, second); !w.older(second, gone) || gone.Labels["mutation"] != "2" {
		w.Errorf("it was deleted as %+v", gone)
	}
}

// watchAgain: "should be able to restart watching from the last resource version
// observed by the previous watch".
func watchAgain(w *world) {
	in := w.watchServices(metav1.ListOptions{})
	made := w.createService(newService("web"))
	first := w.relabel("web", "mutation", "1")
	w.expect(in, watch.Added, made)
	w.expect(in, watch.Modified, first)
	in.Stop()
	second := w.relabel("web", "mutation", "2")
	again := w.watchServices(metav1.ListOptions{ResourceVersion: first.ResourceVersion})
	w.ok("delete", w.services().Delete(w.Context(), "web", metav1.DeleteOptions{}))
	w.expect(again, watch.Modified, second)
	w.expect(again, watch.Deleted, second)
}

// watchOfSelection: "should observe an object deletion if it stops meeting the
// requirements of the selector".
func watchOfSelection(w *world) {
	in := w.watchServices(metav1.ListOptions{LabelSelector: "group=a"})
	w.expect(in, watch.Added, w.labeled("web", "a"))
	w.expect(in, watch.Modified, w.relabel("web", "mutation", "1"))
	left := w.relabel("web", "group", "none")
	if gone := w.expect(in, watch.Deleted, nil); gone.Labels["group"] != "a" || gone.ResourceVersion != left.ResourceVersion {
		w.Errorf("it left as %+v", gone)
	}
	w.relabel("web", "mutation", "2")
	w.expect(in, watch.Added, w.relabel("web", "group", "a"))
	w.expect(in, watch.Modified, w.relabel("web", "mutation", "3"))
	w.ok("delete", w.services().Delete(w.Context(), "web", metav1.DeleteOptions{}))
	w.expect(in, watch.Deleted, nil)
}

// watchesInOrder: "should receive events on concurrent watches in same order".
func watchesInOrder(w *world) {
	ctx, cancel := context.WithCancel(w.Context())
	list, err := w.services().List(ctx, metav1.ListOptions{})
	w.ok("list", err)
	done := make(chan error, 1)
	go func() {
		var err error
		for i := 0; err == nil; i++ {
			name := fmt.Sprint("s", i)
			if _, err = w.services().Create(ctx, newService(name), metav1.CreateOptions{}); err != nil {
				break
			}
			if _, err = w.services().Patch(ctx, name, types.MergePatchType, []byte(`{"metadata":{"labels":{"a":"b"}}}`),
				metav1.PatchOptions{}); err == nil {
				err = w.services().Delete(ctx, name, metav1.DeleteOptions{})
			}
		}
		done <- err
	}()
	defer func() {
		cancel()
		if err := <-done; ctx.Err() == nil {
			w.Errorf("writing: %v", err)
		}
	}()
	at := list.ResourceVersion
	var all []watch.Interface
	for range 30 {
		all = append(all, w.watchServices(metav1.ListOptions{ResourceVersion: at}))
		for i, in := range all {
			event := <-in.ResultChan()
			svc, ok := event.Object.(*corev1.Service)
			if !ok || i > 0 && svc.ResourceVersion != at {
				w.Fatalf("watch %d of %d is told %s of %+v, want %s", i, len(all), event.Type, event.Object, at)
			}
			at = svc.ResourceVersion
		}
	}
}

// watchWithInitialEvents is what informers do instead of a list (KEP-3157).
func watchWithInitialEvents(w *world) {
	for i := range 3 {
		w.createService(newService(fmt.Sprint("s", i)))
	}
	in := w.watchServices(metav1.ListOptions{
		SendInitialEvents: ptr.To(true), AllowWatchBookmarks: true, ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan,
	})
	for i := range 3 {
		if seen := w.expect(in, watch.Added, nil); seen.Name != fmt.Sprint("s", i) {
			w.Errorf("the %dth is %s", i, seen.Name)
		}
	}
	end := w.expect(in, watch.Bookmark, nil)
	if end.Annotations[metav1.InitialEventsAnnotationKey] != "true" || end.ResourceVersion == "" || end.Name != "" {
		w.Errorf("the end is %+v", end)
	}
	w.expect(in, watch.Added, w.createService(newService("s3")))
}

// watchFromAnyVersion: 0 and none at all begin with what is there.
func watchFromAnyVersion(w *world) {
	made := w.createService(newService("web"))
	for _, at := range []string{"", "0"} {
		in := w.watchServices(metav1.ListOptions{ResourceVersion: at})
		w.expect(in, watch.Added, made)
	}
}

// watchOfMetadata has clients that want no more than that.
func watchOfMetadata(w *world) {
	client, err := metadata.NewForConfig(w.config)
	w.ok("client", err)
	resource := client.Resource(corev1.SchemeGroupVersion.WithResource("services")).Namespace(w.namespace)
	in := w.watching(resource.Watch(w.Context(), metav1.ListOptions{}))
	made := w.labeled("web", "a")
	seen := w.next(in, watch.Added).(*metav1.PartialObjectMetadata)
	if seen.UID != made.UID || seen.Labels["group"] != "a" || seen.ResourceVersion != made.ResourceVersion {
		w.Errorf("watched %+v", seen)
	}
	list, err := resource.List(w.Context(), metav1.ListOptions{})
	if err != nil || len(list.Items) != 1 || list.Items[0].UID != made.UID {
		w.Errorf("listed %+v, error %v", list, err)
	}
}

// watchInEachFormat: "client-go should negotiate watch and report
// errors".
func watchInEachFormat(w *world) {
	made := w.createService(newService("web"))
	for _, accept := range []string{
		"application/json", "application/vnd.kubernetes.protobuf",
		"application/vnd.kubernetes.protobuf,application/json", "application/json,application/vnd.kubernetes.protobuf",
	} {
		config := rest.CopyConfig(w.config)
		config.AcceptContentTypes = accept
		client, err := kubernetes.NewForConfig(config)
		w.ok("client", err)
		w.expect(w.watching(client.CoreV1().Services(w.namespace).Watch(w.Context(), metav1.ListOptions{})), watch.Added, made)
	}
}

// watchThatEnds is one with a timeout.
func watchThatEnds(w *world) {
	in := w.watchServices(metav1.ListOptions{TimeoutSeconds: ptr.To[int64](1)})
	w.expect(in, watch.Added, w.createService(newService("web")))
	for event := range in.ResultChan() {
		w.Errorf("told %s of %+v before the end", event.Type, event.Object)
	}
}

// watchWithBookmarks is told how far it is about two seconds before it ends, if the
// server gets to it in time.
func watchWithBookmarks(w *world) {
	made := w.createService(newService("web"))
	w.createService(newService("other"))
	options := metav1.ListOptions{
		AllowWatchBookmarks: true, FieldSelector: "metadata.name=web", TimeoutSeconds: ptr.To[int64](3), ResourceVersion: made.ResourceVersion,
	}
	w.eventually("a bookmark", func(context.Context) (bool, error) {
		told := false
		for event := range w.watchServices(options).ResultChan() {
			mark, ok := event.Object.(*corev1.Service)
			if told = event.Type == watch.Bookmark; !told || !ok || mark.Name != "" || !w.older(made, mark) {
				return false, fmt.Errorf("told %s of %+v", event.Type, event.Object)
			}
		}
		return told, nil
	})
}

// watchOptions are refused with the reason.
func watchOptions(w *world) {
	for want, options := range map[string]metav1.ListOptions{
		"resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden for watch": {
			ResourceVersion: "1", ResourceVersionMatch: metav1.ResourceVersionMatchExact,
		},
		"resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan": {
			SendInitialEvents: ptr.To(true),
		},
		"resourceVersionMatch: Unsupported value: \"Exact\": supported values: \"NotOlderThan\"": {
			SendInitialEvents: ptr.To(true), ResourceVersionMatch: metav1.ResourceVersionMatchExact,
		},
		"unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt":              {LabelSelector: "a b"},
		"field label not supported: spec.foo":                                                         {FieldSelector: "spec.foo=a"},
		"resourceVersion: Invalid value: \"abc\": strconv.ParseUint: parsing \"abc\": invalid syntax": {ResourceVersion: "abc"},
	} {
		in, err := w.services().Watch(w.Context(), options)
		if err == nil {
			err = apierrors.FromObject(w.next(in, watch.Error))
			in.Stop()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			w.Errorf("%+v: got %v, want %s", options, err, want)
		}
	}
}

// watchOfOne is the selection that kubectl and informers of one object make.
func watchOfOne(w *world) {
	in := w.watchServices(metav1.ListOptions{FieldSelector: "metadata.name=web"})
	w.createService(newService("other"))
	w.expect(in, watch.Added, w.createService(newService("web")))
}

// watchOfOldPath: /watch/ in the path is deprecated, and there.
func watchOfOldPath(w *world) {
	made := w.createService(newService("web"))
	in := w.watching(w.client.CoreV1().RESTClient().Get().AbsPath("/api/v1/watch/namespaces", w.namespace, "services").Watch(w.Context()))
	w.expect(in, watch.Added, made)
	in = w.watching(w.client.CoreV1().RESTClient().Get().AbsPath("/api/v1/watch/namespaces", w.namespace, "services",
		"web").Watch(w.Context()))
	w.expect(in, watch.Added, made)
}

// watchByField has objects come into a selection by field and leave it.
func watchByField(w *world) {
	resource := w.dynamic.Resource(corev1.SchemeGroupVersion.WithResource("services")).Namespace(w.namespace)
	in := w.watching(resource.Watch(w.Context(), metav1.ListOptions{FieldSelector: "spec.type=NodePort"}))
	w.createService(newService("web"))
	for _, step := range []struct {
		kind corev1.ServiceType
		want watch.EventType
	}{{corev1.ServiceTypeNodePort, watch.Added}, {corev1.ServiceTypeClusterIP, watch.Deleted}, {corev1.ServiceTypeNodePort, watch.Added}} {
		_, err := resource.Patch(w.Context(), "web", types.MergePatchType, fmt.Appendf(nil, `{"spec":{"type":%q}}`, step.kind),
			metav1.PatchOptions{})
		w.ok("patch", err)
		if seen := w.next(in, step.want).(*unstructured.Unstructured); seen.GetName() != "web" {
			w.Errorf("watched %+v", seen)
		}
	}
}

// watchByInformers is how most clients see it all: "should be requested by informers
// when WatchListClient is enabled".
func watchByInformers(w *world) {
	factory := informers.NewSharedInformerFactoryWithOptions(w.client, 0, informers.WithNamespace(w.namespace))
	services, slices := factory.Core().V1().Services(), factory.Discovery().V1().EndpointSlices()
	informer := services.Informer()
	slices.Informer()
	w.createService(newService("before"))
	factory.StartWithContext(w.Context())
	for kind, synced := range factory.WaitForCacheSync(w.Context().Done()) {
		if !synced {
			w.Errorf("%v does not come in", kind)
		}
	}
	if _, err := services.Lister().Services(w.namespace).Get("before"); err != nil || !informer.HasSynced() {
		w.Errorf("what was there before: %v", err)
	}
	w.createService(newService("after"))
	w.eventually("what comes later", func(context.Context) (bool, error) {
		_, err := services.Lister().Services(w.namespace).Get("after")
		return err == nil, err
	})
	w.ok("delete", w.services().Delete(w.Context(), "before", metav1.DeleteOptions{}))
	w.eventually("what goes", func(context.Context) (bool, error) {
		list, err := services.Lister().List(labels.Everything())
		return len(list) == 1 && list[0].Name == "after", err
	})
}
