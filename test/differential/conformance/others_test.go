package conformance

import (
	"encoding/json"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/utils/ptr"
)

// others are behaviors of kinds that components beside Services use.
func others() behaviors {
	return behaviors{
		"an event, in both its groups": eventLifecycle,
		"an event of old":              oldEvent,
		"an event that can't be":       refusedEvent,
		"a lease":                      leaseLifecycle,
		"the status of a node":         nodeStatus,
		"the status of an ingress":     ingressStatus,
	}
}

func (f *fixture) newEvent(name string) *eventsv1.Event {
	return &eventsv1.Event{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"constant": "true"}},
		Regarding:  corev1.ObjectReference{Namespace: f.namespace, Kind: "Service", Name: "web"},
		EventTime:  metav1.NewMicroTime(time.Unix(1505828956, 0)), Note: "This is " + name, Action: "Do", Reason: "Test",
		Type:                corev1.EventTypeNormal,
		ReportingController: "test-controller", ReportingInstance: "test-node",
	}
}

// eventLifecycle: "should ensure that an event can be fetched, patched, deleted,
// and listed".
func eventLifecycle(f *fixture) {
	ctx, client, old := f.Context(), f.client.EventsV1().Events(f.namespace), f.client.CoreV1().Events(f.namespace)
	_, err := client.Create(ctx, f.newEvent("event"), metav1.CreateOptions{})
	f.ok("create", err)
	listed, err := f.client.EventsV1().Events("").List(ctx, metav1.ListOptions{FieldSelector: "metadata.namespace=" + f.namespace})
	if err != nil || len(listed.Items) != 1 {
		f.Errorf("listed everywhere: %+v, error %v", listed, err)
	}
	for _, selector := range []string{"source=test-controller", "reportingComponent=test-controller", "involvedObject.name=web,reason=Test",
		"type=Normal"} {
		list, err := old.List(ctx, metav1.ListOptions{FieldSelector: selector})
		if err != nil || len(list.Items) != 1 || list.Items[0].Message != "This is event" {
			f.Errorf("%s: listed %+v, error %v", selector, list, err)
		}
	}
	for _, selector := range []string{"reportingController=test-controller", "regarding.kind=Service", "regarding.name=web,type=Normal"} {
		list, err := client.List(ctx, metav1.ListOptions{FieldSelector: selector})
		if err != nil || len(list.Items) != 1 || list.Items[0].Note != "This is event" {
			f.Errorf("%s: listed %+v, error %v", selector, list, err)
		}
	}
	got, err := client.Get(ctx, "event", metav1.GetOptions{})
	f.ok("get", err)
	before, err := json.Marshal(got)
	f.ok("encode", err)
	got.Series = &eventsv1.EventSeries{Count: 2, LastObservedTime: metav1.NewMicroTime(time.Unix(1505828951, 0))}
	after, err := json.Marshal(got)
	f.ok("encode", err)
	patch, err := strategicpatch.CreateTwoWayMergePatch(before, after, eventsv1.Event{})
	f.ok("patch", err)
	patched, err := client.Patch(ctx, "event", types.StrategicMergePatchType, patch, metav1.PatchOptions{})
	f.ok("patch", err)
	if !equality.Semantic.DeepEqual(patched.Series, got.Series) || patched.Note != got.Note || !f.older(got, patched) {
		f.Errorf("patched to %+v", patched)
	}
	patched.Series = &eventsv1.EventSeries{Count: 100, LastObservedTime: metav1.NewMicroTime(time.Unix(1505828956, 0))}
	updated, err := client.Update(ctx, patched, metav1.UpdateOptions{})
	if err != nil || updated.Series.Count != 100 {
		f.Errorf("updated to %+v, error %v", updated, err)
	}
	f.ok("delete", client.Delete(ctx, "event", metav1.DeleteOptions{}))
	for _, name := range []string{"event-1", "event-2", "event-3"} {
		_, err := client.Create(ctx, f.newEvent(name), metav1.CreateOptions{})
		f.ok("create", err)
	}
	f.ok("delete all", client.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: "constant=true"}))
	if list, err := old.List(ctx, metav1.ListOptions{}); err != nil || len(list.Items) != 0 {
		f.Errorf("left are %+v, error %v", list, err)
	}
}

// oldEvent: "should manage the lifecycle of an event", of the core group.
func oldEvent(f *fixture) {
	ctx, client := f.Context(), f.client.CoreV1().Events(f.namespace)
	made, err := client.Create(ctx, &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{Name: "event", Labels: map[string]string{"constant": "true"}}, Message: "This is a test event",
		Reason: "Test", Type: "Normal", Count: 1,
		InvolvedObject: corev1.ObjectReference{Namespace: f.namespace},
	}, metav1.CreateOptions{})
	f.ok("create", err)
	patched, err := client.Patch(ctx, "event", types.StrategicMergePatchType, []byte(`{"message":"This is a test event - patched"}`),
		metav1.PatchOptions{})
	if err != nil || patched.Message != "This is a test event - patched" || !f.older(made, patched) {
		f.Errorf("patched to %+v, error %v", patched, err)
	}
	patched.Series = &corev1.EventSeries{Count: 100, LastObservedTime: metav1.NewMicroTime(time.Unix(1505828956, 0))}
	patched.FirstTimestamp, patched.LastTimestamp = metav1.NewTime(time.Unix(1505828956, 0)), metav1.NewTime(time.Unix(1505828957, 0))
	updated, err := client.Update(ctx, patched, metav1.UpdateOptions{})
	if err != nil || updated.Series.Count != 100 || updated.LastTimestamp.Unix() != 1505828957 {
		f.Errorf("updated to %+v, error %v", updated, err)
	}
	f.ok("delete", client.Delete(ctx, "event", metav1.DeleteOptions{}))
}

// refusedEvent: an error about an Event has its kind without a group, in both
// groups.
func refusedEvent(f *fixture) {
	ctx, client := f.Context(), f.client.EventsV1().Events(f.namespace)
	event := f.newEvent("event")
	event.ReportingController = ""
	_, err := client.Create(ctx, event, metav1.CreateOptions{})
	if !apierrors.IsInvalid(err) || !strings.HasPrefix(err.Error(), `Event "event" is invalid: [reportingController: Required value`) {
		f.Errorf("no controller: %v", err)
	}
	made, err := client.Create(ctx, f.newEvent("event"), metav1.CreateOptions{})
	f.ok("create", err)
	made.Note = "Something else"
	if _, err := client.Update(ctx, made, metav1.UpdateOptions{}); !apierrors.IsInvalid(err) ||
		!strings.HasPrefix(err.Error(), `Event "event" is invalid: message: Invalid value: "Something else": field is immutable`) {
		f.Errorf("another note: %v", err)
	}
}

// leaseLifecycle: "lease API should be available".
func leaseLifecycle(f *fixture) {
	ctx := f.Context()
	spec := func(holder string, seconds, transitions int32, second int64) coordinationv1.LeaseSpec {
		at := metav1.NewMicroTime(time.Unix(second, 0))
		return coordinationv1.LeaseSpec{
			HolderIdentity: &holder, LeaseDurationSeconds: &seconds, AcquireTime: &at, RenewTime: &at, LeaseTransitions: &transitions,
		}
	}
	want := spec("holder", 30, 0, 2)
	made, err := f.leases().Create(ctx, &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: "lease"}, Spec: want},
		metav1.CreateOptions{})
	if err != nil || !equality.Semantic.DeepEqual(made.Spec, want) {
		f.Fatalf("made %+v, error %v", made, err)
	}
	made.Spec = spec("holder2", 30, 1, 20)
	updated, err := f.leases().Update(ctx, made, metav1.UpdateOptions{})
	if err != nil || !equality.Semantic.DeepEqual(updated.Spec, made.Spec) {
		f.Errorf("updated to %+v, error %v", updated, err)
	}
	patched, err := f.leases().Patch(ctx, "lease", types.StrategicMergePatchType,
		[]byte(`{"spec":{"holderIdentity":"holder3","leaseDurationSeconds":60,"leaseTransitions":2}}`), metav1.PatchOptions{})
	if err != nil || *patched.Spec.HolderIdentity != "holder3" || *patched.Spec.LeaseDurationSeconds != 60 ||
		!patched.Spec.AcquireTime.Equal(made.Spec.AcquireTime) {
		f.Errorf("patched to %+v, error %v", patched, err)
	}
	_, err = f.leases().Create(ctx,
		&coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: "lease2", Labels: map[string]string{"collection": "true"}},
			Spec: want}, metav1.CreateOptions{})
	f.ok("create", err)
	f.ok("delete all", f.leases().DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: "collection=true"}))
	if list, err := f.leases().List(ctx, metav1.ListOptions{}); err != nil || len(list.Items) != 1 || list.Items[0].Name != "lease" {
		f.Errorf("left are %+v, error %v", list, err)
	}
}

// nodeStatus is written by kubelets.
func nodeStatus(f *fixture) {
	ctx, client := f.Context(), f.client.CoreV1().Nodes()
	made, err := client.Create(ctx,
		&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: f.namespace}, Spec: corev1.NodeSpec{PodCIDR: "192.0.2.0/24"}}, metav1.CreateOptions{})
	f.ok("create", err)
	patch := `{"metadata":{"annotations":{"patched":"true"}},"status":{"conditions":[{"type":"Ready","status":"True"}],"addresses":[{"type":"InternalIP","address":"192.0.2.1"}]},"spec":{"unschedulable":true}}`
	patched, err := client.Patch(ctx, f.namespace, types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{}, "status")
	if err != nil || patched.Annotations["patched"] != "true" || len(patched.Status.Addresses) != 1 || patched.Spec.Unschedulable ||
		!f.older(made, patched) {
		f.Fatalf("patched to %+v, error %v", patched, err)
	}
	patched.Spec.Unschedulable, patched.Spec.ProviderID = true, "example://a"
	updated, err := client.Update(ctx, patched, metav1.UpdateOptions{})
	if err != nil || !updated.Spec.Unschedulable || len(updated.Status.Conditions) != 1 {
		f.Errorf("updated to %+v, error %v", updated, err)
	}
	if list, err := client.List(ctx, metav1.ListOptions{FieldSelector: "spec.unschedulable=true,metadata.name=" + f.namespace}); err != nil ||
		len(list.Items) != 1 {
		f.Errorf("listed %+v, error %v", list, err)
	}

	f.ok("delete", client.Delete(ctx, f.namespace, *metav1.NewPreconditionDeleteOptions(string(updated.UID))))
}

// ingressStatus: "should support creating Ingress API operations", its status.
func ingressStatus(f *fixture) {
	ctx, client := f.Context(), f.client.NetworkingV1().Ingresses(f.namespace)
	rule := networkingv1.IngressRule{Host: "foo.example.com",
		IngressRuleValue: networkingv1.IngressRuleValue{HTTP: &networkingv1.HTTPIngressRuleValue{
			Paths: []networkingv1.HTTPIngressPath{{
				Path: "/", PathType: ptr.To(networkingv1.PathTypePrefix),
				Backend: networkingv1.IngressBackend{
					Service: &networkingv1.IngressServiceBackend{Name: "web", Port: networkingv1.ServiceBackendPort{Number: 80}},
				},
			}},
		}}}
	made, err := client.Create(ctx,
		&networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{Name: "web"},
			Spec: networkingv1.IngressSpec{Rules: []networkingv1.IngressRule{rule}}}, metav1.CreateOptions{})
	if err != nil || made.Generation != 1 {
		f.Fatalf("made %+v, error %v", made, err)
	}
	patch := `{"metadata":{"annotations":{"patched":"true"}},"status":{"loadBalancer":{"ingress":[{"ip":"169.1.1.1"}]}}}`
	patched, err := client.Patch(ctx, "web", types.MergePatchType, []byte(patch), metav1.PatchOptions{}, "status")
	if err != nil || len(patched.Status.LoadBalancer.Ingress) != 1 || patched.Annotations["patched"] != "true" || patched.Generation != 1 {
		f.Fatalf("patched to %+v, error %v", patched, err)
	}
	patched.Status.LoadBalancer.Ingress[0].IP = "169.1.1.2"
	updated, err := client.UpdateStatus(ctx, patched, metav1.UpdateOptions{})
	if err != nil || updated.Status.LoadBalancer.Ingress[0].IP != "169.1.1.2" {
		f.Errorf("updated to %+v, error %v", updated, err)
	}
	updated.Spec.Rules[0].Host = "bar.example.com"
	if updated, err = client.Update(ctx, updated, metav1.UpdateOptions{}); err != nil || updated.Generation != 2 ||
		len(updated.Status.LoadBalancer.Ingress) != 1 {
		f.Errorf("updated to %+v, error %v", updated, err)
	}
	status, err := f.dynamic.Resource(networkingv1.SchemeGroupVersion.WithResource("ingresses")).Namespace(f.namespace).Get(ctx, "web",
		metav1.GetOptions{}, "status")
	if err != nil || status.GetUID() != made.UID {
		f.Errorf("the status is of %+v, error %v", status, err)
	}
}
