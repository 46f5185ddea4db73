package conformance

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
)

func applies() behaviors {
	return behaviors{
		"creates a missing object":      applyCreates,
		"of a status":                   applyStatus,
		"removes a field it owns":       applyRemoves,
		"leaves a field others own":     applyLeaves,
		"conflicts, unless forced":      applyConflicts,
		"needs a manager":               applyNeedsManager,
		"managed fields are taken away": managedFieldsGo,
	}
}

func applied(name string, ports ...int32) *applycorev1.ServiceApplyConfiguration {
	spec := applycorev1.ServiceSpec()
	for _, port := range ports {
		spec.WithPorts(applycorev1.ServicePort().WithName(fmt.Sprint("p", port)).WithPort(port).WithProtocol(corev1.ProtocolTCP))
	}
	return applycorev1.Service(name, "").WithSpec(spec)
}

func (f *fixture) apply(svc *applycorev1.ServiceApplyConfiguration, manager string) *corev1.Service {
	f.Helper()
	svc.WithNamespace(f.namespace)
	got, err := f.services().Apply(f.Context(), svc, metav1.ApplyOptions{FieldManager: manager})
	f.ok("apply", err)
	return got
}

func portsOf(svc *corev1.Service) string {
	var numbers []string
	for _, port := range svc.Spec.Ports {
		numbers = append(numbers, fmt.Sprint(port.Port))
	}
	return strings.Join(numbers, " ")
}

// applyCreates: "should create an applied object if it does not already exist".
func applyCreates(f *fixture) {
	made := f.apply(applied("web", 80), "a")
	if made.Spec.ClusterIP == "" || portsOf(made) != "80" || len(made.ManagedFields) != 1 ||
		made.ManagedFields[0].Operation != metav1.ManagedFieldsOperationApply {
		f.Errorf("made %+v", made)
	}
	if again := f.apply(applied("web", 80), "a"); again.ResourceVersion != made.ResourceVersion {
		f.Errorf("the same again went from %s to %s", made.ResourceVersion, again.ResourceVersion)
	}
}

// applyStatus: "should work for subresources".
func applyStatus(f *fixture) {
	f.createService(newService("web", ofType(corev1.ServiceTypeLoadBalancer)))
	status := applycorev1.Service("web", f.namespace).WithStatus(applycorev1.ServiceStatus().WithLoadBalancer(
		applycorev1.LoadBalancerStatus().WithIngress(applycorev1.LoadBalancerIngress().WithIP("203.0.113.1"))))
	got, err := f.services().ApplyStatus(f.Context(), status, metav1.ApplyOptions{FieldManager: "a"})
	f.ok("apply", err)
	if len(got.Status.LoadBalancer.Ingress) != 1 {
		f.Errorf("applied %+v", got.Status)
	}
	for _, entry := range got.ManagedFields {
		if entry.Manager == "a" && entry.Subresource != "status" {
			f.Errorf("it is managed as %+v", entry)
		}
	}
}

// applyRemoves: "should remove a field if it is owned but removed in the apply
// request".
func applyRemoves(f *fixture) {
	f.apply(applied("web", 80, 443).WithLabels(map[string]string{"a": "b"}), "a")
	if got := f.apply(applied("web", 443), "a"); portsOf(got) != "443" || len(got.Labels) != 0 {
		f.Errorf("it has the ports %s and the labels %v", portsOf(got), got.Labels)
	}
}

// applyLeaves: "should not remove a field if an owner unsets the field but other
// managers still have ownership of the field".
func applyLeaves(f *fixture) {
	f.apply(applied("web", 80, 443), "a")
	f.apply(applied("web", 443), "b")
	if got := f.apply(applied("web", 80), "a"); portsOf(got) != "80 443" {
		f.Errorf("it has the ports %s", portsOf(got))
	}
}

// applyConflicts: "should ignore conflict errors if force apply is used" and
// "should give up ownership of a field if forced applied by a controller".
func applyConflicts(f *fixture) {
	affinity := func(kind corev1.ServiceAffinity) *applycorev1.ServiceApplyConfiguration {
		svc := applied("web", 80).WithNamespace(f.namespace)
		svc.Spec.WithSessionAffinity(kind)
		return svc
	}
	f.apply(affinity(corev1.ServiceAffinityClientIP), "a")
	_, err := f.services().Apply(f.Context(), affinity(corev1.ServiceAffinityNone), metav1.ApplyOptions{FieldManager: "b"})
	if !apierrors.IsConflict(err) || !apierrors.HasStatusCause(err, metav1.CauseTypeFieldManagerConflict) ||
		!strings.Contains(err.Error(), `conflict with "a": .spec.sessionAffinity`) {
		f.Errorf("a conflict: %v", err)
	}
	got, err := f.services().Apply(f.Context(), affinity(corev1.ServiceAffinityNone), metav1.ApplyOptions{FieldManager: "b", Force: true})
	if err != nil || got.Spec.SessionAffinity != corev1.ServiceAffinityNone {
		f.Fatalf("forced to %+v, error %v", got, err)
	}
	for _, entry := range got.ManagedFields {
		if entry.Manager == "a" && strings.Contains(entry.FieldsV1.GetRawString(), "f:sessionAffinity") {
			f.Errorf("it is still managed by %+v", entry)
		}
	}
}

// applyNeedsManager: apply without a field manager, or with another object's
// name, is rejected.
func applyNeedsManager(f *fixture) {
	body := []byte(`{"apiVersion":"v1","kind":"Service","metadata":{"name":"web"},"spec":{"ports":[{"port":80}]}}`)
	_, err := f.services().Patch(f.Context(), "web", types.ApplyPatchType, body, metav1.PatchOptions{})
	if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "fieldManager: Required value: is required for apply patch") {
		f.Errorf("no manager: %v", err)
	}
	_, err = f.services().Patch(f.Context(), "other", types.ApplyPatchType, body, metav1.PatchOptions{FieldManager: "a"})
	if !apierrors.IsBadRequest(err) {
		f.Errorf("another name: %v", err)
	}
	made := f.apply(applied("web", 80), "a")
	managed := fmt.Appendf(nil, `{"apiVersion":"v1","kind":"Service","metadata":{"name":"web","managedFields":[{"manager":"a","operation":"Apply","apiVersion":"v1","time":%q}]}}`, made.CreationTimestamp.Format("2006-01-02T15:04:05Z"))
	_, err = f.services().Patch(f.Context(), "web", types.ApplyPatchType, managed, metav1.PatchOptions{FieldManager: "a"})
	if !apierrors.IsBadRequest(err) || !strings.Contains(err.Error(), "metadata.managedFields must be nil") {
		f.Errorf("managed fields: %v", err)
	}
}

// managedFieldsGo: a patch can empty the managed fields.
func managedFieldsGo(f *fixture) {
	f.createService(newService("web"))
	got, err := f.services().Patch(f.Context(), "web", types.MergePatchType, []byte(`{"metadata":{"managedFields":[{}]}}`),
		metav1.PatchOptions{})
	if err != nil || len(got.ManagedFields) != 0 {
		f.Errorf("it is managed by %+v, error %v", got.ManagedFields, err)
	}
}
