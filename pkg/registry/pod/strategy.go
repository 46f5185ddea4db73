// Package pod is the registry of Pods. They are what selectors select: where a
// Pod is, what its ports are called and whether it is ready. Nothing here runs
// them; whoever does writes their status.
package pod

import (
	"context"
	"fmt"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	apigeneric "k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/rest"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/portolan-dev/portolan/apis/core/validation"
	"github.com/portolan-dev/portolan/pkg/registry/generic"
)

var (
	_ rest.RESTCreateStrategy  = strategy{}
	_ rest.RESTUpdateStrategy  = strategy{}
	_ rest.RESTDeleteStrategy  = strategy{}
	_ rest.ResetFieldsStrategy = strategy{}
)

// strategy follows upstream's podStrategy (pkg/registry/core/pod), but for the
// end: there, a Pod of a node stays until the node's kubelet has ended it and
// says so. Here nobody would. A Pod that is deleted is gone at once; whoever has
// something to end first keeps it with a finalizer.
type strategy struct {
	generic.DefaultStrategy
}

// Rules returns the rules of Pods.
func Rules(typer runtime.ObjectTyper) generic.Rules {
	main := strategy{generic.NewDefaultStrategy(typer)}
	return generic.Rules{Strategy: main, Status: statusStrategy{main}}
}

func (strategy) NamespaceScoped() bool { return true }

func (strategy) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return generic.ResetCoreFields(fieldpath.MakePathOrDie("status"))
}

func (strategy) PrepareForCreate(_ context.Context, object runtime.Object) {
	pod := object.(*corev1.Pod)
	pod.Generation = 1
	pod.Status = corev1.PodStatus{Phase: corev1.PodPending}
}

func (strategy) PrepareForUpdate(_ context.Context, object, old runtime.Object) {
	pod, oldPod := object.(*corev1.Pod), old.(*corev1.Pod)
	pod.Status = oldPod.Status
	pod.Generation = oldPod.Generation
	if !equality.Semantic.DeepEqual(pod.Spec, oldPod.Spec) {
		pod.Generation++
	}
}

func (strategy) Validate(_ context.Context, object runtime.Object) field.ErrorList {
	return validation.ValidatePod(object.(*corev1.Pod))
}

func (strategy) ValidateUpdate(_ context.Context, object, old runtime.Object) field.ErrorList {
	return validation.ValidatePodUpdate(object.(*corev1.Pod), old.(*corev1.Pod))
}

func (strategy) WarningsOnCreate(_ context.Context, object runtime.Object) []string {
	messages := utilvalidation.IsDNS1123Label(object.(*corev1.Pod).Name)
	if len(messages) == 0 {
		return nil
	}
	return []string{fmt.Sprintf("metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; a DNS label is recommended: %v", messages)}
}

// statusStrategy follows upstream's podStatusStrategy.
type statusStrategy struct {
	strategy
}

func (statusStrategy) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return generic.ResetCoreFields(fieldpath.MakePathOrDie("spec"), fieldpath.MakePathOrDie("metadata", "deletionTimestamp"),
		fieldpath.MakePathOrDie("metadata", "ownerReferences"))
}

func (statusStrategy) PrepareForUpdate(_ context.Context, object, old runtime.Object) {
	pod, oldPod := object.(*corev1.Pod), old.(*corev1.Pod)
	pod.Spec = oldPod.Spec
	pod.DeletionTimestamp = nil
	pod.OwnerReferences = oldPod.OwnerReferences
}

func (statusStrategy) ValidateUpdate(_ context.Context, object, old runtime.Object) field.ErrorList {
	return validation.ValidatePodStatusUpdate(object.(*corev1.Pod), old.(*corev1.Pod))
}

func (statusStrategy) WarningsOnUpdate(_ context.Context, object, _ runtime.Object) []string {
	var warnings []string
	for i, ip := range object.(*corev1.Pod).Status.PodIPs {
		warnings = append(warnings, utilvalidation.GetWarningsForIP(field.NewPath("status", "podIPs").Index(i).Child("ip"), ip.IP)...)
	}
	return warnings
}

// Attributes returns what Pods are selected by.
func Attributes(object runtime.Object) (labels.Set, fields.Set, error) {
	pod, ok := object.(*corev1.Pod)
	if !ok {
		return nil, nil, fmt.Errorf("the store of Pods was handed a %T", object)
	}
	set := apigeneric.ObjectMetaFieldsSet(&pod.ObjectMeta, true)
	set["spec.nodeName"] = pod.Spec.NodeName
	set["spec.restartPolicy"] = string(pod.Spec.RestartPolicy)
	set["spec.schedulerName"] = pod.Spec.SchedulerName
	set["spec.serviceAccountName"] = pod.Spec.ServiceAccountName
	set["spec.hostNetwork"] = strconv.FormatBool(pod.Spec.HostNetwork)
	set["status.phase"] = string(pod.Status.Phase)
	set["status.podIP"] = pod.Status.PodIP
	set["status.nominatedNodeName"] = pod.Status.NominatedNodeName
	return pod.Labels, set, nil
}
