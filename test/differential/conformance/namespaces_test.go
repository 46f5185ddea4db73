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
		"patch and update":     namespaceChanges,
		"status":               namespaceStatus,
		"finalizers":           namespaceFinalizers,
		"deletes its contents": namespaceContents,
		"watch":                namespaceWatch,
		"validation":           namespaceRules,
		"many are gone soon":   manyNamespaces,
	}
}

func (f *fixture) namespaces() clientcorev1.NamespaceInterface { return f.client.CoreV1().Namespaces() }

// another creates a second namespace.
func (f *fixture) another(suffix string) *corev1.Namespace {
	f.Helper()
	made, err := f.namespaces().Create(f.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name: f.namespace + suffix, Labels: map[string]string{"behavior": f.namespace},
	}}, metav1.CreateOptions{})
	f.ok("create", err)
	return made
}

// goes waits until a namespace is gone.
func (f *fixture) goes(client kubernetes.Interface, name string) {
	f.Helper()
	f.eventually(name+" is gone", func(ctx context.Context) (bool, error) {
		list, err := client.CoreV1().Namespaces().List(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + name})
		return err == nil && len(list.Items) == 0, err
	})
}

// namespaceChanges: "should patch a Namespace" and "should apply an update to a
// Namespace".
func namespaceChanges(f *fixture) {
	made, err := f.namespaces().Get(f.Context(), f.namespace, metav1.GetOptions{})
	f.ok("get", err)
	if made.Labels[corev1.LabelMetadataName] != f.namespace || made.Status.Phase != corev1.NamespaceActive ||
		!slices.Equal(made.Spec.Finalizers, []corev1.FinalizerName{corev1.FinalizerKubernetes}) {
		f.Errorf("made %+v", made)
	}
	patched, err := f.namespaces().Patch(f.Context(), f.namespace, types.StrategicMergePatchType,
		[]byte(`{"metadata":{"labels":{"testLabel":"testValue"}}}`), metav1.PatchOptions{})
	if err != nil || patched.Labels["testLabel"] != "testValue" || !f.older(made, patched) {
		f.Errorf("patched to %+v, error %v", patched, err)
	}
	patched.Labels["updated"] = "true"
	updated, err := f.namespaces().Update(f.Context(), patched, metav1.UpdateOptions{})
	if err != nil || updated.Labels["updated"] != "true" || updated.Labels[corev1.LabelMetadataName] != f.namespace {
		f.Errorf("updated to %+v, error %v", updated, err)
	}
}

// namespaceStatus: "should apply changes to a namespace status".
func namespaceStatus(f *fixture) {
	ctx := f.Context()
	resource := f.dynamic.Resource(corev1.SchemeGroupVersion.WithResource("namespaces"))
	if status, err := resource.Get(ctx, f.namespace, metav1.GetOptions{}, "status"); err != nil || status.GetName() != f.namespace ||
		status.GetKind() != "Namespace" {
		f.Errorf("the status is of %+v, error %v", status, err)
	}
	patch := `{"metadata":{"annotations":{"patched":"true"}},"status":{"conditions":[{"type":"StatusPatch","status":"True","reason":"E2E","message":"Patched by a test"}]}}`
	patched, err := f.namespaces().Patch(ctx, f.namespace, types.MergePatchType, []byte(patch), metav1.PatchOptions{}, "status")
	if err != nil || patched.Annotations["patched"] != "true" || len(patched.Status.Conditions) != 1 ||
		patched.Status.Conditions[0].Message != "Patched by a test" {
		f.Fatalf("patched to %+v, error %v", patched, err)
	}
	patched.Status.Conditions = append(patched.Status.Conditions,
		corev1.NamespaceCondition{Type: "StatusUpdate", Status: corev1.ConditionTrue, Reason: "E2E", Message: "Updated by a test"})
	updated, err := f.namespaces().UpdateStatus(ctx, patched, metav1.UpdateOptions{})
	if err != nil || len(updated.Status.Conditions) != 2 || updated.Status.Conditions[1].Type != "StatusUpdate" {
		f.Errorf("updated to %+v, error %v", updated, err)
	}
}

// namespaceFinalizers: "should apply a finalizer to a Namespace". The namespace
// remains as long as the finalizer does.
func namespaceFinalizers(f *fixture) {
	ctx := f.Context()
	const finalizer corev1.FinalizerName = "e2e.example.com/fake"
	made := f.another("-2")
	made.Spec.Finalizers = append(made.Spec.Finalizers, finalizer)
	with, err := f.namespaces().Finalize(ctx, made, metav1.UpdateOptions{})
	if err != nil || !slices.Contains(with.Spec.Finalizers, finalizer) {
		f.Fatalf("with a finalizer it is %+v, error %v", with, err)
	}
	f.ok("delete", f.namespaces().Delete(ctx, made.Name, metav1.DeleteOptions{}))
	f.eventually("the finalizer alone is left", func(ctx context.Context) (bool, error) {
		with, err = f.namespaces().Get(ctx, made.Name, metav1.GetOptions{})
		return err == nil && slices.Equal(with.Spec.Finalizers, []corev1.FinalizerName{finalizer}) &&
			with.Status.Phase == corev1.NamespaceTerminating, err
	})
	with.Spec.Finalizers = nil
	if _, err := f.namespaces().Finalize(ctx, with, metav1.UpdateOptions{}); err != nil && !apierrors.IsConflict(err) {
		f.Fatal(err)
	}
	f.goes(f.client, made.Name)
}

// namespaceContents: "should ensure that all services are removed when a
// namespace is deleted", and all Pods, and all other objects. Creates in the
// meantime are rejected.
func namespaceContents(f *fixture) {
	ctx := f.Context()
	for _, k := range kinds() {
		if k.namespaced {
			obj := f.object(k, 0)
			obj.SetFinalizers([]string{"e2e.example.com/wait"})
			if k.Resource != "services" {
				obj.SetFinalizers(nil)
			}
			_, err := f.resource(k).Create(ctx, obj, metav1.CreateOptions{})
			if k.id() == "events.events.k8s.io" && apierrors.IsAlreadyExists(err) {
				continue
			}
			f.ok("create "+k.id(), err)
		}
	}
	f.ok("delete", f.namespaces().Delete(ctx, f.namespace, metav1.DeleteOptions{}))
	_, err := f.services().Create(ctx, newService("late"), metav1.CreateOptions{})
	if f.learnsOfNamespaces && err == nil {
		f.eventually("it learns of the deletion", func(ctx context.Context) (bool, error) {
			_, err = f.services().Create(ctx, newService("late"), metav1.CreateOptions{})
			return apierrors.IsForbidden(err), nil
		})
	}
	if !apierrors.IsForbidden(err) || !apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) ||
		!strings.Contains(err.Error(), "unable to create new content in namespace "+f.namespace+" because it is being terminated") {
		f.Errorf("a late Service: %v", err)
	}
	f.eventually("it says what it waits for", func(ctx context.Context) (bool, error) {
		found, err := f.namespaces().Get(ctx, f.namespace, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		return slices.ContainsFunc(found.Status.Conditions, func(condition corev1.NamespaceCondition) bool {
			return condition.Type == corev1.NamespaceFinalizersRemaining && condition.Status == corev1.ConditionTrue &&
				condition.Message == "Some content in the namespace has finalizers remaining: e2e.example.com/wait in 1 resource instances"
		}), nil
	})
	_, err = f.services().Patch(ctx, f.namespace+"-0", types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{})
	f.ok("patch", err)
	f.goes(f.client, f.namespace)
	again, err := f.namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: f.namespace}}, metav1.CreateOptions{})
	f.ok("create", err)
	for _, k := range kinds() {
		if list, err := f.resource(k).List(ctx, metav1.ListOptions{LabelSelector: f.label()}); k.namespaced &&
			(err != nil || len(list.Items) != 0) {
			f.Errorf("%s: left in %s are %+v, error %v", k.id(), again.Name, list, err)
		}
	}
}

// namespaceWatch shows each step of a deletion.
func namespaceWatch(f *fixture) {
	in := f.watching(f.namespaces().Watch(f.Context(), metav1.ListOptions{LabelSelector: f.label()}))
	made := f.another("-2")
	f.next(in, watch.Added)
	f.ok("delete", f.namespaces().Delete(f.Context(), made.Name, metav1.DeleteOptions{}))
	if seen := f.next(in, watch.Modified).(*corev1.Namespace); seen.Status.Phase != corev1.NamespaceTerminating ||
		seen.DeletionTimestamp == nil {
		f.Errorf("watched %+v", seen)
	}
	for event := range in.ResultChan() {
		if event.Type == watch.Deleted {
			return
		}
	}
	f.Error("the end is not told")
}

// namespaceRules: names are validated, and some namespaces cannot be deleted.
func namespaceRules(f *fixture) {
	_, err := f.namespaces().Create(f.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "a.b"}}, metav1.CreateOptions{})
	if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), `metadata.name: Invalid value: "a.b"`) {
		f.Errorf("a bad name: %v", err)
	}
	for _, name := range []string{"default", "kube-system", "kube-public"} {
		if err := f.namespaces().Delete(f.Context(), name, metav1.DeleteOptions{}); !apierrors.IsForbidden(err) ||
			!strings.Contains(err.Error(), "this namespace may not be deleted") {
			f.Errorf("%s: %v", name, err)
		}
	}
	got := f.ask("DELETE", "/api/v1/namespaces", nil)
	f.expectStatus("all at once", got, 405, metav1.StatusReasonMethodNotAllowed,
		"the server does not allow this method on the requested resource")
}

// manyNamespaces: "should delete fast enough", without a time limit.
func manyNamespaces(f *fixture) {
	for suffix := range strings.FieldsSeq("-a -b -c -d -e -f -g -h -i -j") {
		name := f.another(suffix).Name
		_, err := f.client.CoreV1().Services(name).Create(f.Context(), newService("web"), metav1.CreateOptions{})
		f.ok("create", err)
		f.ok("delete", f.namespaces().Delete(f.Context(), name, metav1.DeleteOptions{}))
	}
	f.eventually("all are gone", func(ctx context.Context) (bool, error) {
		list, err := f.namespaces().List(ctx, metav1.ListOptions{LabelSelector: f.label()})
		return err == nil && len(list.Items) == 0, err
	})
}
