package validation

import (
	"fmt"
	"math"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/diff"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	portolanvalidation "github.com/portolan-dev/portolan/apis/portolan/validation"
)

var deadlinePath = specPath.Child("activeDeadlineSeconds")

// changeable lists the fields of a spec that can change, in upstream's words.
var changeable = []string{
	"`spec.containers[*].image`",
	"`spec.initContainers[*].image`",
	"`spec.activeDeadlineSeconds`",
	"`spec.tolerations` (only additions to existing tolerations)",
	"`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)",
}

// ValidatePodUpdate validates an update of a Pod. It does not validate a spec that stays as
// it is: releases before this one had fewer rules.
func ValidatePodUpdate(pod, old *corev1.Pod) field.ErrorList {
	errs := portolanvalidation.ValidateObjectMetaUpdate(&pod.ObjectMeta, &old.ObjectMeta, metadataPath)
	errs = append(errs, validatePodAnnotations(pod)...)
	errs = append(errs, validateMirrorUpdate(pod, old)...)
	if !equality.Semantic.DeepEqual(pod.Spec, old.Spec) {
		errs = append(errs, validatePodSpec(&pod.Spec)...)
		errs = append(errs, validatePodSpecUpdate(&pod.Spec, &old.Spec)...)
	}
	return portolanvalidation.Bounded(errs)
}

// validateMirrorUpdate keeps the annotation with which a kubelet marks a Pod that its node
// defines.
func validateMirrorUpdate(pod, old *corev1.Pod) field.ErrorList {
	path := annotationsPath.Key(corev1.MirrorPodAnnotationKey)
	value, found := pod.Annotations[corev1.MirrorPodAnnotationKey]
	stored, wasFound := old.Annotations[corev1.MirrorPodAnnotationKey]
	switch {
	case wasFound && (!found || value != stored):
		return field.ErrorList{field.Forbidden(path, "may not remove or update mirror pod annotation")}
	case found && !wasFound:
		return field.ErrorList{field.Forbidden(path, "may not add mirror pod annotation")}
	}
	return nil
}

// validatePodSpecUpdate allows the changes of upstream, except that it does not allow more
// of them for Pods with scheduling gates.
func validatePodSpecUpdate(spec, old *corev1.PodSpec) field.ErrorList {
	for _, list := range []struct {
		name        string
		now, before int
	}{{"containers", len(spec.Containers), len(old.Containers)}, {"initContainers", len(spec.InitContainers), len(old.InitContainers)}} {
		if list.now != list.before {
			return field.ErrorList{field.Forbidden(specPath.Child(list.name), "pod updates may not add or remove containers")}
		}
	}
	errs, final := validateDeadlineUpdate(spec.ActiveDeadlineSeconds, old.ActiveDeadlineSeconds)
	if final {
		return errs
	}
	errs = append(errs, validateTolerationsUpdate(spec.Tolerations, old.Tolerations)...)
	errs = append(errs, validateGatesUpdate(spec.SchedulingGates, old.SchedulingGates)...)
	kept := spec.DeepCopy()
	keepImages(kept.Containers, old.Containers)
	keepImages(kept.InitContainers, old.InitContainers)
	kept.ActiveDeadlineSeconds = old.ActiveDeadlineSeconds
	kept.Tolerations, kept.SchedulingGates = old.Tolerations, old.SchedulingGates
	if !equality.Semantic.DeepEqual(*kept, *old) {
		errs = append(errs, field.Forbidden(specPath, fmt.Sprintf("pod updates may not change fields other than %s\n%v",
			strings.Join(changeable, ","), diff.Diff(*old, *kept))))
	}
	return errs
}

// validateDeadlineUpdate allows to set a deadline or to bring it forward. If final is true,
// upstream reports no errors beside these.
func validateDeadlineUpdate(seconds, old *int64) (errs field.ErrorList, final bool) {
	switch {
	case seconds == nil && old != nil:
		return field.ErrorList{field.Invalid(deadlinePath, seconds, "must not update from a positive integer to nil value")}, false
	case seconds != nil && (*seconds < 0 || *seconds > math.MaxInt32):
		return field.ErrorList{field.Invalid(deadlinePath, *seconds, utilvalidation.InclusiveRangeError(0, math.MaxInt32))}, true
	case seconds != nil && *seconds > ptr.Deref(old, math.MaxInt32):
		return field.ErrorList{field.Invalid(deadlinePath, *seconds, "must be less than or equal to previous value")}, true
	}
	return nil, false
}

func keepImages(containers, old []corev1.Container) {
	for i := range containers {
		containers[i].Image = old[i].Image
	}
}
