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

	"github.com/portolan-dev/portolan/test/framework"
)

// operations: "should support creating EndpointSlice API operations", "should
// support IPAddress API operations", "should test the lifecycle of an Endpoint"
// and "should delete a collection of events" require the same of several kinds.
func operations() behaviors {
	all := behaviors{}
	for _, k := range kinds() {
		all[k.id()] = func(f *fixture) { apiOperations(f, k) }
		all[k.id()+" by a generated name"] = func(f *fixture) { generatedName(f, k) }
	}
	return all
}

// apiOperations creates, reads, changes and deletes objects, and watches that.
func apiOperations(f *fixture, k kind) {
	ctx, client := f.Context(), f.resource(k)
	mine := metav1.ListOptions{LabelSelector: f.label()}
	in := f.watching(client.Watch(ctx, mine))
	var made []*unstructured.Unstructured
	for n := range 3 {
		obj, err := client.Create(ctx, f.object(k, n), metav1.CreateOptions{FieldManager: "test"})
		f.ok("create", err)
		if obj.GetUID() == "" || obj.GetCreationTimestamp() == (metav1.Time{}) || len(obj.GetManagedFields()) != 1 ||
			obj.GetManagedFields()[0].Manager != "test" {
			f.Errorf("made %+v", obj.Object)
		}
		if seen := f.next(in, watch.Added).(*unstructured.Unstructured); seen.GetUID() != obj.GetUID() ||
			seen.GetResourceVersion() != obj.GetResourceVersion() {
			f.Errorf("watched %+v, made %+v", seen, obj)
		}
		made = append(made, obj)
	}
	if !f.older(made[0], made[1]) || !f.older(made[1], made[2]) {
		f.Errorf("the versions are %s, %s and %s", made[0].GetResourceVersion(), made[1].GetResourceVersion(), made[2].GetResourceVersion())
	}
	_, err := client.Create(ctx, f.object(k, 0), metav1.CreateOptions{})
	if !apierrors.IsAlreadyExists(err) || err.Error() != fmt.Sprintf("%s %q already exists", k.id(), made[0].GetName()) {
		f.Errorf("a name twice: %v", err)
	}
	got, err := client.Get(ctx, made[0].GetName(), metav1.GetOptions{})
	if err != nil || got.GetUID() != made[0].GetUID() || got.GroupVersionKind() != k.GroupVersion().WithKind(k.name) {
		f.Errorf("got %+v, error %v", got, err)
	}
	for scope, list := range map[string]func() (*unstructured.UnstructuredList, error){
		"here": func() (*unstructured.UnstructuredList, error) { return client.List(ctx, mine) },
		"everywhere": func() (*unstructured.UnstructuredList, error) {
			return f.dynamic.Resource(k.GroupVersionResource).List(ctx, mine)
		},
	} {
		if list, err := list(); err != nil || len(list.Items) != 3 || list.GetKind() != k.name+"List" {
			f.Errorf("listed %s: %+v, error %v", scope, list, err)
		}
	}
	changeObject(f, k, made[0], in)
	deleteObjects(f, k, made, in)
}

// changeObject changes an object in every way, with and without effect.
func changeObject(f *fixture, k kind, made *unstructured.Unstructured, in watch.Interface) {
	ctx, client, name := f.Context(), f.resource(k), made.GetName()
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
		f.ok(patch.annotation, err)
		if patched.GetAnnotations()[patch.annotation] != "true" || !f.older(made, patched) || patched.GetUID() != made.GetUID() {
			f.Errorf("%s: patched to %+v", patch.annotation, patched)
		}
		if seen := f.next(in, watch.Modified).(*unstructured.Unstructured); seen.GetResourceVersion() != patched.GetResourceVersion() ||
			seen.GetAnnotations()[patch.annotation] != "true" {
			f.Errorf("%s: watched %+v", patch.annotation, seen)
		}
		made = patched
	}
	changed, err := client.Get(ctx, name, metav1.GetOptions{})
	f.ok("get", err)
	same, err := client.Update(ctx, changed, metav1.UpdateOptions{})
	if err != nil || same.GetResourceVersion() != changed.GetResourceVersion() {
		f.Errorf("an update to the same went from %s to %+v, error %v", changed.GetResourceVersion(), same, err)
	}
	changed.SetAnnotations(map[string]string{"updated": "true"})
	updated, err := client.Update(ctx, changed, metav1.UpdateOptions{})
	if err != nil || len(updated.GetAnnotations()) != 1 || !f.older(changed, updated) {
		f.Errorf("updated to %+v, error %v", updated, err)
	}
	f.next(in, watch.Modified)
	_, err = client.Update(ctx, changed, metav1.UpdateOptions{})
	want := fmt.Sprintf("Operation cannot be fulfilled on %s %q: the object has been modified; please apply your changes to the latest version and try again", k.id(), name)
	if !apierrors.IsConflict(err) || err.Error() != want {
		f.Errorf("a stale update: %v", err)
	}
	_, err = client.Patch(ctx, name, types.JSONPatchType, []byte(`[{"op":"test","path":"/metadata/name","value":"x"}]`), metav1.PatchOptions{})
	if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "the server rejected our request due to an error in our request") {
		f.Errorf("a patch whose test fails: %v", err)
	}
}

// deleteObjects deletes one object, and then the others.
func deleteObjects(f *fixture, k kind, made []*unstructured.Unstructured, in watch.Interface) {
	ctx, client := f.Context(), f.resource(k)
	mine := metav1.ListOptions{LabelSelector: f.label()}
	f.ok("delete", client.Delete(ctx, made[0].GetName(), metav1.DeleteOptions{}))
	if ended := f.nextEnd(in); ended.GetUID() != made[0].GetUID() {
		f.Errorf("watched the end of %+v", ended)
	}
	_, err := client.Get(ctx, made[0].GetName(), metav1.GetOptions{})
	if want := fmt.Sprintf("%s %q not found", k.id(), made[0].GetName()); !apierrors.IsNotFound(err) || err.Error() != want {
		f.Errorf("after the end: %v", err)
	}
	if err := client.Delete(ctx, made[0].GetName(), metav1.DeleteOptions{}); !apierrors.IsNotFound(err) {
		f.Errorf("a second end: %v", err)
	}
	if list, err := client.List(ctx, mine); err != nil || len(list.Items) != 2 {
		f.Errorf("left are %+v, error %v", list, err)
	}
	f.ok("delete all", client.DeleteCollection(ctx, metav1.DeleteOptions{}, mine))
	for range 2 {
		f.nextEnd(in)
	}
	if list, err := client.List(ctx, mine); err != nil || len(list.Items) != 0 {
		f.Errorf("left are %+v, error %v", list, err)
	}
}

// nextEnd returns the object of the next deletion event. Pods may have an event
// when their deletion starts: upstream emits it even for Pods without a
// kubelet.
func (f *fixture) nextEnd(in watch.Interface) *unstructured.Unstructured {
	f.Helper()
	for {
		select {
		case event, open := <-in.ResultChan():
			obj, ok := event.Object.(*unstructured.Unstructured)
			if !open || !ok || event.Type != watch.Deleted && obj.GetDeletionTimestamp() == nil {
				f.Fatalf("got %s of %+v (the watch is open: %t), want the end of something", event.Type, event.Object, open)
			}
			if event.Type == watch.Deleted {
				return obj
			}
		case <-time.After(framework.Patience):
			f.Fatal("nothing is told, want the end of something")
		}
	}
}

// generatedName has the server generate a name, if any name is valid.
func generatedName(f *fixture, k kind) {
	obj := f.object(k, 0)
	obj.SetName("")
	obj.SetGenerateName("conformance-example-")
	made, err := f.resource(k).Create(f.Context(), obj, metav1.CreateOptions{})
	if k.named != nil {
		if !apierrors.IsInvalid(err) {
			f.Errorf("made %+v, error %v", made, err)
		}
		return
	}
	f.ok("create", err)
	const length = len("conformance-example-") + 5
	if name := made.GetName(); len(name) != length || !strings.HasPrefix(name, "conformance-example-") ||
		made.GetGenerateName() != "conformance-example-" {
		f.Errorf("it is called %s", name)
	}
	f.ok("delete", f.resource(k).Delete(f.Context(), made.GetName(), metav1.DeleteOptions{}))
}
