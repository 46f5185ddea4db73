package conformance

import (
	"context"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	clientcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
)

func namespaces() behaviors {
	return behaviors{
		"patch and update":         namespaceChanges,
		"status":                   namespaceStatus,
		"finalizers":               namespaceFinalizers,
		"what is in it goes along": namespaceContents,
		"watch":                    namespaceWatch,
		"what it may be":           whatNamespacesAre,
		"many are gone soon":       manyNamespaces,
	}
}

func (w *world) namespaces() clientcorev1.NamespaceInterface { return w.client.CoreV1().Namespaces() }

// another makes a second namespace.
func (w *world) another(suffix string) *corev1.Namespace {
	w.Helper()
	made, err := w.namespaces().Create(w.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name: w.namespace + suffix, Labels: map[string]string{"behavior": w.namespace},
	}}, metav1.CreateOptions{})
	w.ok("create", err)
	return made
}

// goes waits until a namespace is gone.
func (w *world) goes(client kubernetes.Interface, name string) {
	w.Helper()
	w.eventually(name+" is gone", func(ctx context.Context) (bool, error) {
		list, err := client.CoreV1().Namespaces().List(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + name})
		return err == nil && len(list.Items) == 0, err
	})
}

// namespaceChanges: "should patch a Namespace" and "should apply an update to a
// Namespace".
func namespaceChanges(w *world) {
	made, err := w.namespaces().Get(w.Context(), w.namespace, metav1.GetOptions{})
	w.ok("get", err)
	if made.Labels[corev1.LabelMetadataName] != w.namespace || made.Status.Phase != corev1.NamespaceActive ||
		!slices.Equal(made.Spec.Finalizers, []corev1.FinalizerName{corev1.FinalizerKubernetes}) {
		w.Errorf("made %+v", made)
	}
	patched, err := w.namespaces().Patch(w.Context(), w.namespace, types.StrategicMergePatchType,
		[]byte(`{"metadata":{"labels":{"testLabel":"testValue"}}}`), metav1.PatchOptions{})
	if err != nil || patched.Labels["testLabel"] != "testValue" || !w.older(made, patched) {
		w.Errorf("patched to %+v, error %v", patched, err)
	}
	patched.Labels["updated"] = "true"
	updated, err := w.namespaces().Update(w.Context(), patched, metav1.UpdateOptions{})
	if err != nil || updated.Labels["updated"] != "true" || updated.Labels[corev1.LabelMetadataName] != w.namespace {
		w.Errorf("updated to %+v, error %v", updated, err)
	}
}

// namespaceStatus: "should apply changes to a namespace status".
func namespaceStatus(w *world) {
	ctx := w.Context()
	resource := w.dynamic.Resource(corev1.SchemeGroupVersion.WithResource("namespaces"))
	if status, err := resource.Get(ctx, w.namespace, metav1.GetOptions{}, "status"); err != nil || status.GetName() != w.namespace ||
		status.GetKind() != "Namespace" {
		w.Errorf("the status is of %+v, error %v", status, err)
	}
	patch := `{"metadata":{"annotations":{"patched":"true"}},"status":{"conditions":[{"type":"StatusPatch","status":"True","reason":"E2E","message":"Patched by a test"}]}}`
	patched, err := w.namespaces().Patch(ctx, w.namespace, types.MergePatchType, []byte(patch), metav1.PatchOptions{}, "status")
	if err != nil || patched.Annotations["patched"] != "true" || len(patched.Status.Conditions) != 1 ||
		patched.Status.Conditions[0].Message != "Patched by a test" {
		w.Fatalf("patched to %+v, error %v", patched, err)
	}
	patched.Status.Conditions = append(patched.Status.Conditions,
		corev1.NamespaceCondition{Type: "StatusUpdate", Status: corev1.ConditionTrue, Reason: "E2E", Message: "Updated by a test"})
	updated, err := w.namespaces().UpdateStatus(ctx, patched, metav1.UpdateOptions{})
	if err != nil || len(updated.Status.Conditions) != 2 || updated.Status.Conditions[1].Type != "StatusUpdate" {
		w.Errorf("updated to %+v, error %v", updated, err)
	}
}

// namespaceFinalizers: "should apply a finalizer to a Namespace". It stays as long
// as that is there.
func namespaceFinalizers(w *world) {
	ctx := w.Context()
	const finalizer corev1.FinalizerName = "e2e.example.com/fake"
	made := w.another("-2")
	made.Spec.Finalizers = append(made.Spec.Finalizers, finalizer)
	with, err := w.namespaces().Finalize(ctx, made, metav1.UpdateOptions{})
	if err != nil || !slices.Contains(with.Spec.Finalizers, finalizer) {
		w.Fatalf("with a finalizer it is %+v, error %v", with, err)
	}
	w.ok("delete", w.namespaces().Delete(ctx, made.Name, metav1.DeleteOptions{}))
	w.eventually("the finalizer alone is left", func(ctx context.Context) (bool, error) {
		with, err = w.namespaces().Get(ctx, made.Name, metav1.GetOptions{})
		return err == nil && slices.Equal(with.Spec.Finalizers, []corev1.FinalizerName{finalizer}) &&
			with.Status.Phase == corev1.NamespaceTerminating, err
	})
	with.Spec.Finalizers = nil
	if _, err := w.namespaces().Finalize(ctx, with, metav1.UpdateOptions{}); err != nil && !apierrors.IsConflict(err) {
		w.Fatal(err)
	}
	w.goes(w.client, made.Name)
}

// namespaceContents: "should ensure that all services are removed when a namespace
// is deleted", and all Pods, and all else. What comes in the meantime is refused.
func namespaceContents(w *world) {
	ctx := w.Context()
	for _, k := range kinds() {
		if k.namespaced {
			obj := w.object(k, 0)
			obj.SetFinalizers([]string{"e2e.example.com/wait"})
			if k.Resource != "services" {
				obj.SetFinalizers(nil)
			}
			_, err := w.resource(k).Create(ctx, obj, metav1.CreateOptions{})
			if k.id() == "events.events.k8s.io" && apierrors.IsAlreadyExists(err) {
				continue
			}
			w.ok("create "+k.id(), err)
		}
	}
	w.ok("delete", w.namespaces().Delete(ctx, w.namespace, metav1.DeleteOptions{}))
	_, err := w.services().Create(ctx, newService("late"), metav1.CreateOptions{})
	if !apierrors.IsForbidden(err) || !apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) ||
		!strings.Contains(err.Error(), "unable to create new content in namespace "+w.namespace+" because it is being terminated") {
		w.Errorf("a late Service: %v", err)
	}
	w.eventually("it says what it waits for", func(ctx context.Context) (bool, error) {
		found, err := w.namespaces().Get(ctx, w.namespace, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		return slices.ContainsFunc(found.Status.Conditions, func(condition corev1.NamespaceCondition) bool {
			return condition.Type == corev1.NamespaceFinalizersRemaining && condition.Status == corev1.ConditionTrue &&
				condition.Message == "Some content in the namespace has finalizers remaining: e2e.example.com/wait in 1 resource instances"
		}), nil
	})
	_, err = w.services().Patch(ctx, w.namespace+"-0", types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{})
	w.ok("patch", err)
	w.goes(w.client, w.namespace)
	again, err := w.namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.namespace}}, metav1.CreateOptions{})
	w.ok("create", err)
	for _, k := range kinds() {
		if list, err := w.resource(k).List(ctx, metav1.ListOptions{LabelSelector: w.label()}); k.namespaced &&
			(err != nil || len(list.Items) != 0) {
			w.Errorf("%s: left in %s are %+v, error %v", k.id(), again.Name, list, err)
		}
	}
}

// namespaceWatch tells of the end as it comes.
func namespaceWatch(w *world) {
	in := w.watching(w.namespaces().Watch(w.Context(), metav1.ListOptions{LabelSelector: w.label()}))
	made := w.another("-2")
	w.next(in, watch.Added)
	w.ok("delete", w.namespaces().Delete(w.Context(), made.Name, metav1.DeleteOptions{}))
	if seen := w.next(in, watch.Modified).(*corev1.Namespace); seen.Status.Phase != corev1.NamespaceTerminating ||
		seen.DeletionTimestamp == nil {
		w.Errorf("watched %+v", seen)
	}
	for event := range in.ResultChan() {
		if event.Type == watch.Deleted {
			return
		}
	}
	w.Error("the end is not told")
}

// whatNamespacesAre: their names, and which ones stay.
func whatNamespacesAre(w *world) {
	_, err := w.namespaces().Create(w.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "a.b"}}, metav1.CreateOptions{})
	if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), `metadata.name: Invalid value: "a.b"`) {
		w.Errorf("a bad name: %v", err)
	}
	for _, name := range []string{"default", "kube-system", "kube-public"} {
		if err := w.namespaces().Delete(w.Context(), name, metav1.DeleteOptions{}); !apierrors.IsForbidden(err) ||
			!strings.Contains(err.Error(), "this namespace may not be deleted") {
			w.Errorf("%s: %v", name, err)
		}
	}
	got := w.ask("DELETE", "/api/v1/namespaces", nil)
	w.expectStatus("all at once", got, 405, metav1.StatusReasonMethodNotAllowed,
		"the server does not allow this method on the requested resource")
}

// manyNamespaces: "should delete fast enough", without a time.
func manyNamespaces(w *world) {
	for suffix := range strings.FieldsSeq("-a -b -c -d -e -f -g -h -i -j") {
		name := w.another(suffix).Name
		_, err := w.client.CoreV1().Services(name).Create(w.Context(), newService("web"), metav1.CreateOptions{})
		w.ok("create", err)
		w.ok("delete", w.namespaces().Delete(w.Context(), name, metav1.DeleteOptions{}))
	}
	w.eventually("all are gone", func(ctx context.Context) (bool, error) {
		list, err := w.namespaces().List(ctx, metav1.ListOptions{LabelSelector: w.label()})
		return err == nil && len(list.Items) == 0, err
	})
}
