package conformance

import (
	"context"
	"fmt"
	"strings"
	"time"

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
		"with labels":                             watchOfLabels,
		"from a version":                          watchFromVersion,
		"again from where it ended":               watchAgain,
		"of objects that leave a selection":       watchOfSelection,
		"several in the same order":               watchesInOrder,
		"with initial events":                     watchWithInitialEvents,
		"from any version":                        watchFromAnyVersion,
		"of metadata":                             watchOfMetadata,
		"in each format":                          watchInEachFormat,
		"that ends by itself":                     watchThatEnds,
		"with bookmarks":                          watchWithBookmarks,
		"with options that don't go":              watchOptions,
		"by informers":                            watchByInformers,
		"of one object, by its name":              watchOfOne,
		"of a path that is deprecated":            watchOfOldPath,
		"of objects that leave a field selection": watchByField,
	}
}

func (f *fixture) watchServices(options metav1.ListOptions) watch.Interface {
	f.Helper()
	return f.watching(f.services().Watch(f.Context(), options))
}

// labeled creates a Service with a label.
func (f *fixture) labeled(name, group string) *corev1.Service {
	f.Helper()
	return f.createService(newService(name, func(svc *corev1.Service) { svc.Labels = map[string]string{"group": group} }))
}

func (f *fixture) relabel(name, key, value string) *corev1.Service {
	f.Helper()
	patch := fmt.Sprintf(`{"metadata":{"labels":{%q:%q}}}`, key, value)
	svc, err := f.services().Patch(f.Context(), name, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	f.ok("patch", err)
	return svc
}

// expect wants the next event to have a type and an object; nil stands for any
// state of it.
func (f *fixture) expect(in watch.Interface, want watch.EventType, svc *corev1.Service) *corev1.Service {
	f.Helper()
	seen := f.next(in, want).(*corev1.Service)
	if svc != nil && (seen.Name != svc.Name || want != watch.Deleted && seen.ResourceVersion != svc.ResourceVersion) {
		f.Fatalf("%s of %s at %s, want %s at %s", want, seen.Name, seen.ResourceVersion, svc.Name, svc.ResourceVersion)
	}
	return seen
}

// watchOfLabels: "should observe add, update, and delete watch notifications".
// The next event proves that an event was left out.
func watchOfLabels(f *fixture) {
	a := f.watchServices(metav1.ListOptions{LabelSelector: "group=a"})
	b := f.watchServices(metav1.ListOptions{LabelSelector: "group=b"})
	both := f.watchServices(metav1.ListOptions{LabelSelector: "group in (a, b)"})
	first := f.labeled("first", "a")
	f.expect(a, watch.Added, first)
	f.expect(both, watch.Added, first)
	for i := range 2 {
		first = f.relabel("first", "mutation", fmt.Sprint(i))
		f.expect(a, watch.Modified, first)
		f.expect(both, watch.Modified, first)
	}
	f.ok("delete", f.services().Delete(f.Context(), "first", metav1.DeleteOptions{}))
	f.expect(a, watch.Deleted, first)
	f.expect(both, watch.Deleted, first)
	second := f.labeled("second", "b")
	f.expect(b, watch.Added, second)
	f.expect(both, watch.Added, second)
	f.ok("delete", f.services().Delete(f.Context(), "second", metav1.DeleteOptions{}))
	f.expect(b, watch.Deleted, second)
	f.expect(both, watch.Deleted, second)
	third := f.labeled("third", "a")
	f.expect(a, watch.Added, third)
}

// watchFromVersion: "should be able to start watching from a specific resource
// version".
func watchFromVersion(f *fixture) {
	f.labeled("web", "a")
	first := f.relabel("web", "mutation", "1")
	second := f.relabel("web", "mutation", "2")
	f.ok("delete", f.services().Delete(f.Context(), "web", metav1.DeleteOptions{}))
	in := f.watchServices(metav1.ListOptions{LabelSelector: "group=a", ResourceVersion: first.ResourceVersion})
	f.expect(in, watch.Modified, second)
	if gone := f.expect(in, watch.Deleted, second); !f.older(second, gone) || gone.Labels["mutation"] != "2" {
		f.Errorf("it was deleted as %+v", gone)
	}
}

// watchAgain: "should be able to restart watching from the last resource version
// observed by the previous watch".
func watchAgain(f *fixture) {
	in := f.watchServices(metav1.ListOptions{})
	made := f.createService(newService("web"))
	first := f.relabel("web", "mutation", "1")
	f.expect(in, watch.Added, made)
	f.expect(in, watch.Modified, first)
	in.Stop()
	second := f.relabel("web", "mutation", "2")
	again := f.watchServices(metav1.ListOptions{ResourceVersion: first.ResourceVersion})
	f.ok("delete", f.services().Delete(f.Context(), "web", metav1.DeleteOptions{}))
	f.expect(again, watch.Modified, second)
	f.expect(again, watch.Deleted, second)
}

// watchOfSelection: "should observe an object deletion if it stops meeting the
// requirements of the selector".
func watchOfSelection(f *fixture) {
	in := f.watchServices(metav1.ListOptions{LabelSelector: "group=a"})
	f.expect(in, watch.Added, f.labeled("web", "a"))
	f.expect(in, watch.Modified, f.relabel("web", "mutation", "1"))
	left := f.relabel("web", "group", "none")
	if gone := f.expect(in, watch.Deleted, nil); gone.Labels["group"] != "a" || gone.ResourceVersion != left.ResourceVersion {
		f.Errorf("it left as %+v", gone)
	}
	f.relabel("web", "mutation", "2")
	f.expect(in, watch.Added, f.relabel("web", "group", "a"))
	f.expect(in, watch.Modified, f.relabel("web", "mutation", "3"))
	f.ok("delete", f.services().Delete(f.Context(), "web", metav1.DeleteOptions{}))
	f.expect(in, watch.Deleted, nil)
}

// watchesInOrder: "should receive events on concurrent watches in same order".
func watchesInOrder(f *fixture) {
	ctx, cancel := context.WithCancel(f.Context())
	list, err := f.services().List(ctx, metav1.ListOptions{})
	f.ok("list", err)
	done := make(chan error, 1)
	go func() {
		var err error
		for i := 0; err == nil; i++ {
			name := fmt.Sprint("s", i)
			if _, err = f.services().Create(ctx, newService(name), metav1.CreateOptions{}); err != nil {
				break
			}
			if _, err = f.services().Patch(ctx, name, types.MergePatchType, []byte(`{"metadata":{"labels":{"a":"b"}}}`),
				metav1.PatchOptions{}); err == nil {
				err = f.services().Delete(ctx, name, metav1.DeleteOptions{})
			}
		}
		done <- err
	}()
	defer func() {
		cancel()
		if err := <-done; ctx.Err() == nil {
			f.Errorf("writing: %v", err)
		}
	}()
	at := list.ResourceVersion
	var all []watch.Interface
	for range 30 {
		all = append(all, f.watchServices(metav1.ListOptions{ResourceVersion: at}))
		for i, in := range all {
			event := <-in.ResultChan()
			svc, ok := event.Object.(*corev1.Service)
			if !ok || i > 0 && svc.ResourceVersion != at {
				f.Fatalf("watch %d of %d has %s of %+v, want %s", i, len(all), event.Type, event.Object, at)
			}
			at = svc.ResourceVersion
		}
	}
}

// watchWithInitialEvents replaces the list of an informer (KEP-3157).
func watchWithInitialEvents(f *fixture) {
	for i := range 3 {
		f.createService(newService(fmt.Sprint("s", i)))
	}
	in := f.watchServices(metav1.ListOptions{
		SendInitialEvents: ptr.To(true), AllowWatchBookmarks: true, ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan,
	})
	for i := range 3 {
		if seen := f.expect(in, watch.Added, nil); seen.Name != fmt.Sprint("s", i) {
			f.Errorf("the %dth is %s", i, seen.Name)
		}
	}
	end := f.expect(in, watch.Bookmark, nil)
	if end.Annotations[metav1.InitialEventsAnnotationKey] != "true" || end.ResourceVersion == "" || end.Name != "" {
		f.Errorf("the end is %+v", end)
	}
	f.expect(in, watch.Added, f.createService(newService("s3")))
}

// watchFromAnyVersion: with version 0 or none a watch begins with existing
// objects.
func watchFromAnyVersion(f *fixture) {
	made := f.createService(newService("web"))
	for _, at := range []string{"", "0"} {
		in := f.watchServices(metav1.ListOptions{ResourceVersion: at})
		f.expect(in, watch.Added, made)
	}
}

// watchOfMetadata is for clients that need only metadata.
func watchOfMetadata(f *fixture) {
	client, err := metadata.NewForConfig(f.config)
	f.ok("client", err)
	resource := client.Resource(corev1.SchemeGroupVersion.WithResource("services")).Namespace(f.namespace)
	in := f.watching(resource.Watch(f.Context(), metav1.ListOptions{}))
	made := f.labeled("web", "a")
	seen := f.next(in, watch.Added).(*metav1.PartialObjectMetadata)
	if seen.UID != made.UID || seen.Labels["group"] != "a" || seen.ResourceVersion != made.ResourceVersion {
		f.Errorf("watched %+v", seen)
	}
	list, err := resource.List(f.Context(), metav1.ListOptions{})
	if err != nil || len(list.Items) != 1 || list.Items[0].UID != made.UID {
		f.Errorf("listed %+v, error %v", list, err)
	}
}

// watchInEachFormat: "client-go should negotiate watch and report
// errors".
func watchInEachFormat(f *fixture) {
	made := f.createService(newService("web"))
	for _, accept := range []string{
		"application/json", "application/vnd.kubernetes.protobuf",
		"application/vnd.kubernetes.protobuf,application/json", "application/json,application/vnd.kubernetes.protobuf",
	} {
		config := rest.CopyConfig(f.config)
		config.AcceptContentTypes = accept
		client, err := kubernetes.NewForConfig(config)
		f.ok("client", err)
		f.expect(f.watching(client.CoreV1().Services(f.namespace).Watch(f.Context(), metav1.ListOptions{})), watch.Added, made)
	}
}

// watchThatEnds has a timeout.
func watchThatEnds(f *fixture) {
	in := f.watchServices(metav1.ListOptions{TimeoutSeconds: ptr.To[int64](1)})
	f.expect(in, watch.Added, f.createService(newService("web")))
	for event := range in.ResultChan() {
		f.Errorf("got %s of %+v before the end", event.Type, event.Object)
	}
}

// watchWithBookmarks gets a bookmark about two seconds before the end, if the
// server has the time and an object that is not watched has changed meanwhile.
func watchWithBookmarks(f *fixture) {
	made := f.createService(newService("web"))
	f.createService(newService("other"))
	options := metav1.ListOptions{
		AllowWatchBookmarks: true, FieldSelector: "metadata.name=web", TimeoutSeconds: ptr.To[int64](3), ResourceVersion: made.ResourceVersion,
	}
	f.eventually("a bookmark", func(context.Context) (bool, error) {
		told, in := false, f.watchServices(options)
		f.relabel("other", "changed", fmt.Sprint(time.Now().UnixNano()))
		for event := range in.ResultChan() {
			mark, ok := event.Object.(*corev1.Service)
			if told = event.Type == watch.Bookmark; !told || !ok || mark.Name != "" || !f.older(made, mark) {
				return false, fmt.Errorf("got %s of %+v", event.Type, event.Object)
			}
		}
		return told, nil
	})
}

// watchOptions: invalid options are rejected with the reason.
func watchOptions(f *fixture) {
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
		in, err := f.services().Watch(f.Context(), options)
		if err == nil {
			err = apierrors.FromObject(f.next(in, watch.Error))
			in.Stop()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			f.Errorf("%+v: got %v, want %s", options, err, want)
		}
	}
}

// watchOfOne selects one object by name, as kubectl and informers do.
func watchOfOne(f *fixture) {
	in := f.watchServices(metav1.ListOptions{FieldSelector: "metadata.name=web"})
	f.createService(newService("other"))
	f.expect(in, watch.Added, f.createService(newService("web")))
}

// watchOfOldPath: paths with /watch/ are deprecated and still served.
func watchOfOldPath(f *fixture) {
	made := f.createService(newService("web"))
	in := f.watching(f.client.CoreV1().RESTClient().Get().AbsPath("/api/v1/watch/namespaces", f.namespace, "services").Watch(f.Context()))
	f.expect(in, watch.Added, made)
	in = f.watching(f.client.CoreV1().RESTClient().Get().AbsPath("/api/v1/watch/namespaces", f.namespace, "services",
		"web").Watch(f.Context()))
	f.expect(in, watch.Added, made)
}

// watchByField: objects start and stop matching a field selector.
func watchByField(f *fixture) {
	resource := f.dynamic.Resource(corev1.SchemeGroupVersion.WithResource("services")).Namespace(f.namespace)
	in := f.watching(resource.Watch(f.Context(), metav1.ListOptions{FieldSelector: "spec.type=NodePort"}))
	f.createService(newService("web"))
	for _, step := range []struct {
		kind corev1.ServiceType
		want watch.EventType
	}{{corev1.ServiceTypeNodePort, watch.Added}, {corev1.ServiceTypeClusterIP, watch.Deleted}, {corev1.ServiceTypeNodePort, watch.Added}} {
		_, err := resource.Patch(f.Context(), "web", types.MergePatchType, fmt.Appendf(nil, `{"spec":{"type":%q}}`, step.kind),
			metav1.PatchOptions{})
		f.ok("patch", err)
		if seen := f.next(in, step.want).(*unstructured.Unstructured); seen.GetName() != "web" {
			f.Errorf("watched %+v", seen)
		}
	}
}

// watchByInformers: "should be requested by informers when WatchListClient is
// enabled". Most clients use informers.
func watchByInformers(f *fixture) {
	factory := informers.NewSharedInformerFactoryWithOptions(f.client, 0, informers.WithNamespace(f.namespace))
	services, slices := factory.Core().V1().Services(), factory.Discovery().V1().EndpointSlices()
	informer := services.Informer()
	slices.Informer()
	f.createService(newService("before"))
	factory.StartWithContext(f.Context())
	for kind, synced := range factory.WaitForCacheSync(f.Context().Done()) {
		if !synced {
			f.Errorf("%v does not come in", kind)
		}
	}
	if _, err := services.Lister().Services(f.namespace).Get("before"); err != nil || !informer.HasSynced() {
		f.Errorf("what was there before: %v", err)
	}
	f.createService(newService("after"))
	f.eventually("what comes later", func(context.Context) (bool, error) {
		_, err := services.Lister().Services(f.namespace).Get("after")
		return err == nil, err
	})
	f.ok("delete", f.services().Delete(f.Context(), "before", metav1.DeleteOptions{}))
	f.eventually("what goes", func(context.Context) (bool, error) {
		list, err := services.Lister().List(labels.Everything())
		return len(list) == 1 && list[0].Name == "after", err
	})
}
