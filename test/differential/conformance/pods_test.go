package conformance

import (
	"context"
	"net/http"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/utils/ptr"
)

func pods() behaviors {
	return behaviors{
		"lifecycle":                podLifecycle,
		"status":                   podStatus,
		"generation":               podGeneration,
		"deadline":                 podDeadline,
		"fields to select by":      podFields,
		"deletion of a collection": podCollection,
		"logs and connections":     podConnections,
	}
}

func newPod(name string, changes ...func(*corev1.Pod)) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"static": "true"}},
		Spec: corev1.PodSpec{
			TerminationGracePeriodSeconds: ptr.To[int64](1), Containers: []corev1.Container{{Name: "c", Image: "registry.example/i:1"}},
		},
	}
	for _, change := range changes {
		change(pod)
	}
	return pod
}

// podLifecycle: "should run through the lifecycle of Pods and PodStatus"
// (without a kubelet).
func podLifecycle(f *fixture) {
	ctx, client := f.Context(), f.client.CoreV1().Pods(f.namespace)
	in := f.watching(client.Watch(ctx, metav1.ListOptions{LabelSelector: "static=true"}))
	f.createPod("web", "", corev1.ConditionTrue, nil, "192.0.2.1")
	made, err := client.Get(ctx, "web", metav1.GetOptions{})
	f.ok("get", err)
	if made.Status.Phase != corev1.PodRunning || made.Spec.RestartPolicy != corev1.RestartPolicyAlways ||
		made.Spec.DNSPolicy != corev1.DNSClusterFirst {
		f.Errorf("made %+v", made)
	}
	patch := `{"metadata":{"labels":{"static":"true","pod":"patched"}},"spec":{"containers":[{"name":"c","image":"registry.example/i:2"}]}}`
	patched, err := client.Patch(ctx, "web", types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{})
	if err != nil || patched.Labels["pod"] != "patched" || len(patched.Spec.Containers) != 1 ||
		patched.Spec.Containers[0].Image != "registry.example/i:2" {
		f.Errorf("patched to %+v, error %v", patched, err)
	}
	status, err := f.dynamic.Resource(corev1.SchemeGroupVersion.WithResource("pods")).Namespace(f.namespace).Get(ctx, "web",
		metav1.GetOptions{}, "status")
	if err != nil || status.GetResourceVersion() != patched.ResourceVersion {
		f.Errorf("the status is of %+v, error %v", status, err)
	}
	patched.Status.Conditions[0].Status = corev1.ConditionFalse
	patched.Spec.Containers[0].Image = "registry.example/i:3"
	updated, err := client.UpdateStatus(ctx, patched, metav1.UpdateOptions{})
	if err != nil || updated.Status.Conditions[0].Status != corev1.ConditionFalse ||
		updated.Spec.Containers[0].Image != "registry.example/i:2" {
		f.Errorf("updated to %+v, error %v", updated, err)
	}
	f.ok("delete", client.DeleteCollection(ctx, metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](0)},
		metav1.ListOptions{LabelSelector: "static=true"}))
	for event := range in.ResultChan() {
		if event.Type == watch.Deleted {
			break
		}
	}
	if _, err := client.Get(ctx, "web", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		f.Errorf("after the end: %v", err)
	}
}

// podStatus: "should patch a pod status".
func podStatus(f *fixture) {
	f.createPod("web", "web", corev1.ConditionTrue, nil, "192.0.2.1")
	patch := `{"metadata":{"annotations":{"patchedstatus":"true"}},"status":{"message":"Patched by a test","reason":"E2E"}}`
	got, err := f.client.CoreV1().Pods(f.namespace).Patch(f.Context(), "web", types.MergePatchType, []byte(patch), metav1.PatchOptions{},
		"status")
	if err != nil || got.Status.Message != "Patched by a test" || got.Status.Reason != "E2E" || got.Annotations["patchedstatus"] != "true" ||
		got.Status.PodIP != "192.0.2.1" {
		f.Errorf("patched to %+v, error %v", got, err)
	}
}

// podGeneration: "pod generation should start at 1 and increment per update".
func podGeneration(f *fixture) {
	ctx, client := f.Context(), f.client.CoreV1().Pods(f.namespace)
	pod, err := client.Create(ctx, newPod("web", func(pod *corev1.Pod) {
		pod.Generation = 100
		pod.Spec.InitContainers = []corev1.Container{{Name: "init", Image: "registry.example/init:1"}}
	}), metav1.CreateOptions{})
	f.ok("create", err)
	want := int64(1)
	for _, step := range []struct {
		what   string
		change func(*corev1.Pod)
		bumps  bool
	}{
		{"nothing", func(*corev1.Pod) {}, false},
		{"a toleration", func(pod *corev1.Pod) {
			pod.Spec.Tolerations = append(pod.Spec.Tolerations,
				corev1.Toleration{Key: "foo", Operator: corev1.TolerationOpEqual, Value: "bar", Effect: corev1.TaintEffectNoSchedule})
		}, true},
		{"a deadline", func(pod *corev1.Pod) { pod.Spec.ActiveDeadlineSeconds = ptr.To[int64](5000) }, true},
		{"an image", func(pod *corev1.Pod) { pod.Spec.Containers[0].Image = "registry.example/i:2" }, true},
		{"the first image", func(pod *corev1.Pod) { pod.Spec.InitContainers[0].Image = "registry.example/init:2" }, true},
		{"metadata", func(pod *corev1.Pod) { pod.Annotations = map[string]string{"key": "value"} }, false},
		{"the generation", func(pod *corev1.Pod) { pod.Generation = 1 }, false},
	} {
		step.change(pod)
		if pod, err = client.Update(ctx, pod, metav1.UpdateOptions{}); err != nil {
			f.Fatalf("%s: %v", step.what, err)
		}
		if step.bumps {
			want++
		}
		if pod.Generation != want {
			f.Errorf("%s: the generation is %d, want %d", step.what, pod.Generation, want)
		}
	}
	pod.Spec.Hostname = "another"
	if _, err := client.Update(ctx, pod, metav1.UpdateOptions{}); !apierrors.IsInvalid(err) ||
		!strings.Contains(err.Error(), "spec: Forbidden: pod updates may not change fields other than") {
		f.Errorf("another hostname: %v", err)
	}
}

// podDeadline: "should allow activeDeadlineSeconds to be updated".
func podDeadline(f *fixture) {
	ctx, client := f.Context(), f.client.CoreV1().Pods(f.namespace)
	pod, err := client.Create(ctx, newPod("web"), metav1.CreateOptions{})
	f.ok("create", err)
	pod.Spec.ActiveDeadlineSeconds = ptr.To[int64](5)
	pod, err = client.Update(ctx, pod, metav1.UpdateOptions{})
	if err != nil || *pod.Spec.ActiveDeadlineSeconds != 5 {
		f.Fatalf("updated to %+v, error %v", pod, err)
	}
	for want, seconds := range map[string]*int64{
		"spec.activeDeadlineSeconds: Invalid value: 6: must be less than or equal to previous value":            ptr.To[int64](6),
		"spec.activeDeadlineSeconds: Invalid value: -1: must be between 0 and 2147483647, inclusive":            ptr.To[int64](-1),
		"spec.activeDeadlineSeconds: Invalid value: null: must not update from a positive integer to nil value": nil,
	} {
		pod.Spec.ActiveDeadlineSeconds = seconds
		if _, err := client.Update(ctx, pod, metav1.UpdateOptions{}); !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), want) {
			f.Errorf("got %v, want %s", err, want)
		}
	}
}

// podFields are the fields that kubelets and controllers select Pods by.
func podFields(f *fixture) {
	f.createPod("a", "a", corev1.ConditionTrue, nil, "192.0.2.1")
	client := f.client.CoreV1().Pods(f.namespace)
	_, err := client.Create(f.Context(), newPod("b", func(pod *corev1.Pod) { pod.Spec.ServiceAccountName = "s" }), metav1.CreateOptions{})
	f.ok("create", err)
	for selector, want := range map[string]string{
		"metadata.name=a": "a", "spec.nodeName=": "b", "spec.nodeName=" + f.namespace: "a", "status.phase=Running": "a",
		"status.phase!=Running":  "b",
		"status.podIP=192.0.2.1": "a", "spec.restartPolicy=Always,metadata.name=b": "b",
		"spec.schedulerName=default-scheduler,status.phase=Pending": "b",
		"spec.serviceAccountName=s":                                 "b",
		"status.nominatedNodeName=,metadata.name=a":                 "a",
		"spec.hostNetwork=false,metadata.name=a":                    "a",
	} {
		f.eventually(selector, func(ctx context.Context) (bool, error) {
			list, err := client.List(ctx, metav1.ListOptions{FieldSelector: selector})
			return err == nil && len(list.Items) == 1 && list.Items[0].Name == want, err
		})
	}
	if _, err := client.List(f.Context(), metav1.ListOptions{FieldSelector: "spec.image=a"}); !apierrors.IsBadRequest(err) ||
		!strings.Contains(err.Error(), "field label not supported: spec.image") {
		f.Errorf("an unknown field: %v", err)
	}
}

// podCollection: "should delete a collection of pods".
func podCollection(f *fixture) {
	ctx, client := f.Context(), f.client.CoreV1().Pods(f.namespace)
	for _, name := range []string{"a", "b", "c"} {
		_, err := client.Create(ctx, newPod(name), metav1.CreateOptions{})
		f.ok("create", err)
	}
	f.ok("delete", client.DeleteCollection(ctx, metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](1)},
		metav1.ListOptions{LabelSelector: "static=true"}))
	f.eventually("no Pods", func(ctx context.Context) (bool, error) {
		list, err := client.List(ctx, metav1.ListOptions{})
		return err == nil && len(list.Items) == 0, err
	})
}

// podConnections are the answers about a Pod without a node: it has no log, and nothing to
// connect to.
func podConnections(f *fixture) {
	_, err := f.client.CoreV1().Pods(f.namespace).Create(f.Context(), newPod("web"), metav1.CreateOptions{})
	f.ok("create", err)
	path := "/api/v1/namespaces/" + f.namespace + "/pods/web/"
	if log := f.ask(http.MethodGet, path+"log?follow=true", nil); log.code != http.StatusNoContent || len(log.body) > 0 {
		f.Errorf("the log: %d %s", log.code, log.body)
	}
	for _, subresource := range []string{"exec?command=ls", "attach", "portforward?ports=80"} {
		f.expectStatus(subresource, f.ask(http.MethodPost, path+subresource, nil), http.StatusBadRequest, metav1.StatusReasonBadRequest,
			"pod web does not have a host assigned")
	}
	f.expectStatus("another container", f.ask(http.MethodGet, path+"log?container=x", nil), http.StatusBadRequest,
		metav1.StatusReasonBadRequest, "container x is not valid for pod web")
}
