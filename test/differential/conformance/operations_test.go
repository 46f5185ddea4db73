package conformance

import (
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
)

// operations: "should support creating EndpointSlice API operations", "should
// support IPAddress API operations", "should test the lifecycle of an Endpoint"
// and "should delete a collection of events" ask the same of several kinds.
func operations() behaviors {
	all := behaviors{}
	for _, k := range kinds() {
		all[k.id()] = func(w *world) { apiOperations(w, k) }
		all[k.id()+" by a generated name"] = func(w *world) { generatedName(w, k) }
	}
	return all
}

// apiOperations creates, reads, changes and deletes, and watches that.
func apiOperations(w *world, k kind) {
	ctx, client := w.Context(), w.resource(k)
	mine := metav1.ListOptions{LabelSelector: w.label()}
	in := w.watching(client.Watch(ctx, mine))
	var made []*unstructured.Unstructured
	for n := range 3 {
		obj, err := client.Create(ctx, w.object(k, n), metav1.CreateOptions{FieldManager: "test"})
		w.ok("create", err)
		if obj.GetUID() == "" || obj.GetCreationTimestamp() == (metav1.Time{}) || len(obj.GetManagedFields()) != 1 ||
			obj.GetManagedFields()[0].Manager != "test" {
			w.Errorf("made %+v", obj.Object)
		}
		if seen := w.next(in, watch.Added).(*unstructured.Unstructured); seen.GetUID() != obj.GetUID() ||
			seen.GetResourceVersion() != obj.GetResourceVersion() {
			w.Errorf("watched %+v, made %+v", seen, obj)
		}
		made = append(made, obj)
	}
	if !w.older(made[0], made[1]) || !w.older(made[1], made[2]) {
		w.Errorf("the versions are %s, %s and %s", made[0].GetResourceVersion(), made[1].GetResourceVersion(), made[2].GetResourceVersion())
	}
	_, err := client.Create(ctx, w.object(k, 0), metav1.CreateOptions{})
	if !apierrors.IsAlreadyExists(err) || err.Error() != fmt.Sprintf("%s %q already exists", k.id(), made[0].GetName()) {
		w.Errorf("a name twice: %v", err)
	}
	got, err := client.Get(ctx, made[0].GetName(), metav1.GetOptions{})
	if err != nil || got.GetUID() != made[0].GetUID() || got.GroupVersionKind() != k.GroupVersion().WithKind(k.name) {
		w.Errorf("got %+v, error %v", got, err)
	}
	for scope, list := range map[string]func() (*unstructured.UnstructuredList, error){
		"here": func() (*unstructured.UnstructuredList, error) { return client.List(ctx, mine) },
		"everywhere": func() (*unstructured.UnstructuredList, error) {
			return w.dynamic.Resource(k.GroupVersionResource).List(ctx, mine)
		},
	} {
		if list, err := list(); err != nil || len(list.Items) != 3 || list.GetKind() != k.name+"List" {
			w.Errorf("listed %s: %+v, error %v", scope, list, err)
		}
	}
	changeObject(w, k, made[0], in)
	deleteObjects(w, k, made, in)
}

// changeObject changes an object in every way, with and without effect.
func changeObject(w *world, k kind, made *unstructured.Unstructured, in watch.Interface) {
	ctx, client, name := w.Context(), w.resource(k), made.GetName()
	apply := fmt.Sprintf(`{"apiVersion":%q,"kind":%q,"metadata":{"name":%q,"annotations":{"apply":"true"}}}`, k.GroupVersion(), k.name, name)
	for _, patch := range []struct {
		annotation, body string
		kind             types.PatchType
	}{
		{"merge", `{"metadata":{"annotations":{"merge":"true"}}}`, types.MergePatchType},
		{"strategic", `{"metadata":{"annotations":{"strategic":"true"}}}`, types.StrategicMergePatchType},
		{"json", `[{"op":"test","path":"/metadata/name","value":"` + name + `"},{"op":"add","path":"/metadata/annotations/json","value":"true"}]`,
			types.JSONPatchType},
		{"apply", apply, types.ApplyPatchType},
	} {
		patched, err := client.Patch(ctx, name, patch.kind, []byte(patch.body), metav1.PatchOptions{FieldManager: "patcher"})
		w.ok(patch.annotation, err)
		if patched.GetAnnotations()[patch.annotation] != "true" || !w.older(made, patched) || patched.GetUID() != made.GetUID() {
			w.Errorf("%s: patched to %+v", patch.annotation, patched)
		}
		if seen := w.next(in, watch.Modified).(*unstructured.Unstructured); seen.GetResourceVersion() != patched.GetResourceVersion() ||
			seen.GetAnnotations()[patch.annotation] != "true" {
			w.Errorf("%s: watched %+v", patch.annotation, seen)
		}
		made = patched
	}
	changed, err := client.Get(ctx, name, metav1.GetOptions{})
	w.ok("get", err)
	same, err := client.Update(ctx, changed, metav1.UpdateOptions{})
	if err != nil || same.GetResourceVersion() != changed.GetResourceVersion() {
		w.Errorf("an update to the same went from %s to %+v, error %v", changed.GetResourceVersion(), same, err)
	}
	changed.SetAnnotations(map[string]string{"updated": "true"})
	updated, err := client.Update(ctx, changed, metav1.UpdateOptions{})
	if err != nil || len(updated.GetAnnotations()) != 1 || !w.older(changed, updated) {
		w.Errorf("updated to %+v, error %v", updated, err)
	}
	w.next(in, watch.Modified)
	_, err = client.Update(ctx, changed, metav1.UpdateOptions{})
	want := fmt.Sprintf("Operation cannot be fulfilled on %s %q: the object has been modified; please apply your changes to the latest version and try again", k.id(), name)
	if !apierrors.IsConflict(err) || err.Error() != want {
		w.Errorf("a stale update: %v", err)
	}
	_, err = client.Patch(ctx, name, types.JSONPatchType, []byte(`[{"op":"test","path":"/metadata/name","value":"x"}]`), metav1.PatchOptions{})
	if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "the server rejected our request due to an error in our request") {
		w.Errorf("a patch whose test fails: %v", err)
	}
}

// deleteObjects deletes one, and then what is left.
func deleteObjects(w *world, k kind, made []*unstructured.Unstructured, in watch.Interface) {
	ctx, client := w.Context(), w.resource(k)
	mine := metav1.ListOptions{LabelSelector: w.label()}
	w.ok("delete", client.Delete(ctx, made[0].GetName(), metav1.DeleteOptions{}))
	if ended := w.nextEnd(in); ended.GetUID() != made[0].GetUID() {
		w.Errorf("watched the end of %+v", ended)
	}
	_, err := client.Get(ctx, made[0].GetName(), metav1.GetOptions{})
	if want := fmt.Sprintf("%s %q not found", k.id(), made[0].GetName()); !apierrors.IsNotFound(err) || err.Error() != want {
		w.Errorf("after the end: %v", err)
	}
	if err := client.Delete(ctx, made[0].GetName(), metav1.DeleteOptions{}); !apierrors.IsNotFound(err) {
		w.Errorf("a second end: %v", err)
	}
	if list, err := client.List(ctx, mine); err != nil || len(list.Items) != 2 {
		w.Errorf("left are %+v, error %v", list, err)
	}
	w.ok("delete all", client.DeleteCollection(ctx, metav1.DeleteOptions{}, mine))
	for range 2 {
		w.nextEnd(in)
	}
	if list, err := client.List(ctx, mine); err != nil || len(list.Items) != 0 {
		w.Errorf("left are %+v, error %v", list, err)
	}
}

// nextEnd is the next object that is told to be gone. Pods may be told to be going
// first: upstream does that even for those that no kubelet has.
func (w *world) nextEnd(in watch.Interface) *unstructured.Unstructured {
	w.Helper()
	for {
		select {
		case event, open := <-in.ResultChan():
			obj, ok := event.Object.(*unstructured.Unstructured)
			if !open || !ok || event.Type != watch.Deleted && obj.GetDeletionTimestamp() == nil {
				w.Fatalf("got %s of %+v (the watch is open: %t), want the end of something", event.Type, event.Object, open)
			}
			if event.Type == watch.Deleted {
				return obj
			}
		case <-time.After(patience):
			w.Fatal("nothing is told, want the end of something")
		}
	}
}

// generatedName has the server choose a name, for what may have any.
func generatedName(w *world, k kind) {
	obj := w.object(k, 0)
	obj.SetName("")
	obj.SetGenerateName("conformance-example-")
	made, err := w.resource(k).Create(w.Context(), obj, metav1.CreateOptions{})
	if k.named != nil {
		if !apierrors.IsInvalid(err) {
			w.Errorf("made %+v, error %v", made, err)
		}
		return
	}
	w.ok("create", err)
	const length = len("conformance-example-") + 5
	if name := made.GetName(); len(name) != length || !strings.HasPrefix(name, "conformance-example-") ||
		made.GetGenerateName() != "conformance-example-" {
		w.Errorf("it is called %s", name)
	}
	w.ok("delete", w.resource(k).Delete(w.Context(), made.GetName(), metav1.DeleteOptions{}))
}
