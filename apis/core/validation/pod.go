package validation

import (
	"math"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	portolanvalidation "github.com/portolan-dev/portolan/apis/portolan/validation"
)

var (
	specPath        = field.NewPath("spec")
	statusPath      = field.NewPath("status")
	annotationsPath = metadataPath.Child("annotations")

	portProtocols      = []corev1.Protocol{corev1.ProtocolSCTP, corev1.ProtocolTCP, corev1.ProtocolUDP}
	restartPolicies    = []corev1.RestartPolicy{corev1.RestartPolicyAlways, corev1.RestartPolicyOnFailure, corev1.RestartPolicyNever}
	dnsPolicies        = []corev1.DNSPolicy{corev1.DNSClusterFirstWithHostNet, corev1.DNSClusterFirst, corev1.DNSDefault, corev1.DNSNone}
	preemptionPolicies = []corev1.PreemptionPolicy{corev1.PreemptLowerPriority, corev1.PreemptNever}
	systems            = []corev1.OSName{corev1.Linux, corev1.Windows}
)

// ValidatePod validates a new Pod. Its rules are upstream's (pkg/apis/core/validation).
//
// Portolan does not run Pods. It has the rules for what Services, their endpoints and DNS
// depend on, and the simple ones of the rest. UncheckedFields returns the fields of a Pod
// that no rule is about.
func ValidatePod(pod *corev1.Pod) field.ErrorList {
	errs := portolanvalidation.ValidateObjectMeta(&pod.ObjectMeta, true, apivalidation.NameIsDNSSubdomain, metadataPath)
	errs = append(errs, validatePodAnnotations(pod)...)
	errs = append(errs, validatePodSpec(&pod.Spec)...)
	if len(pod.Spec.EphemeralContainers) > 0 {
		errs = append(errs, field.Forbidden(specPath.Child("ephemeralContainers"), "cannot be set on create"))
	}
	if pod.Spec.NodeName != "" && len(pod.Spec.SchedulingGates) > 0 {
		errs = append(errs, field.Forbidden(specPath.Child("nodeName"), "cannot be set until all schedulingGates have been cleared"))
	}
	return portolanvalidation.Bounded(errs)
}

// validatePodAnnotations validates the annotations that concern more than how to run the
// Pod.
func validatePodAnnotations(pod *corev1.Pod) field.ErrorList {
	var errs field.ErrorList
	if value, found := pod.Annotations[corev1.MirrorPodAnnotationKey]; found && pod.Spec.NodeName == "" {
		errs = append(errs, field.Invalid(annotationsPath.Key(corev1.MirrorPodAnnotationKey), value,
			"must set spec.nodeName if mirror pod annotation is set"))
	}
	if cost, found := pod.Annotations[corev1.PodDeletionCost]; found {
		if _, err := strconv.ParseInt(cost, 10, 32); err != nil || cost[0] == '+' || cost[0] == '0' && cost != "0" {
			errs = append(errs, field.Invalid(annotationsPath.Key(corev1.PodDeletionCost), cost, "must be a 32bit integer"))
		}
	}
	return errs
}

// validatePodSpec validates what create and update have in common.
func validatePodSpec(spec *corev1.PodSpec) field.ErrorList {
	volumes, errs := validateVolumes(spec.Volumes)
	errs = append(errs, validateContainers(spec, volumes)...)
	errs = append(errs, validateInitContainers(spec, volumes)...)
	errs = append(errs, validateHostPorts(spec)...)
	errs = append(errs, supported(spec.RestartPolicy, restartPolicies, specPath.Child("restartPolicy"))...)
	errs = append(errs, supported(spec.DNSPolicy, dnsPolicies, specPath.Child("dnsPolicy"))...)
	errs = append(errs, metav1validation.ValidateLabels(spec.NodeSelector, specPath.Child("nodeSelector"))...)
	if spec.HostPID && ptr.Deref(spec.ShareProcessNamespace, false) {
		errs = append(errs, field.Invalid(specPath.Child("securityContext", "shareProcessNamespace"), true,
			"ShareProcessNamespace and HostPID cannot both be enabled"))
	}
	errs = append(errs, validateDNSConfig(spec)...)
	for i, gate := range spec.ReadinessGates {
		path, name := specPath.Child("readinessGates").Index(i).Child("conditionType"), string(gate.ConditionType)
		errs = append(errs, portolanvalidation.Invalid(path, name, utilvalidation.IsQualifiedName(name))...)
	}
	errs = append(errs, validateSchedulingGates(spec.SchedulingGates)...)
	errs = append(errs, validateHostUsers(spec)...)
	errs = append(errs, validateHostnameOverride(spec)...)
	errs = append(errs, validateReferences(spec)...)
	if seconds := spec.ActiveDeadlineSeconds; seconds != nil && (*seconds < 1 || *seconds > math.MaxInt32) {
		errs = append(errs, field.Invalid(deadlinePath, *seconds, utilvalidation.InclusiveRangeError(1, math.MaxInt32)))
	}
	errs = append(errs, validateHostname(spec)...)
	errs = append(errs, validateTolerations(spec.Tolerations)...)
	errs = append(errs, validateHostAliases(spec.HostAliases)...)
	errs = append(errs, validateClasses(spec)...)
	errs = append(errs, validateResources(&corev1.ResourceRequirements{Limits: spec.Overhead}, specPath.Child("overhead"))...)
	if spec.OS != nil {
		switch path := specPath.Child("os"); {
		case spec.OS.Name == "":
			errs = append(errs, field.Required(path.Child("name"), ""))
		default:
			errs = append(errs, supported(spec.OS.Name, systems, path)...)
		}
	}
	return append(errs, validateImages(spec)...)
}

// validateReferences validates the names of the ServiceAccount and the Node.
func validateReferences(spec *corev1.PodSpec) field.ErrorList {
	var errs field.ErrorList
	if name := spec.ServiceAccountName; name != "" {
		errs = append(errs, portolanvalidation.Invalid(specPath.Child("serviceAccountName"), name,
			apivalidation.ValidateServiceAccountName(name, false))...)
	}
	if name := spec.NodeName; name != "" {
		errs = append(errs, portolanvalidation.Invalid(specPath.Child("nodeName"), name, apivalidation.NameIsDNSSubdomain(name, false))...)
	}
	return errs
}

// validateHostUsers rejects a user namespace of the Pod's own beside other namespaces of the
// host.
func validateHostUsers(spec *corev1.PodSpec) field.ErrorList {
	if ptr.Deref(spec.HostUsers, true) {
		return nil
	}
	var errs field.ErrorList
	// Two of the names have upstream's capitals.
	for _, namespace := range []struct {
		name   string
		shared bool
	}{{"hostNetwork", spec.HostNetwork}, {"HostPID", spec.HostPID}, {"HostIPC", spec.HostIPC}} {
		if namespace.shared {
			errs = append(errs, field.Forbidden(specPath.Child(namespace.name), "when `hostUsers` is false"))
		}
	}
	return errs
}

// validateClasses validates the names of classes, and what to do with Pods of lower
// priority.
func validateClasses(spec *corev1.PodSpec) field.ErrorList {
	var errs field.ErrorList
	if name := spec.PriorityClassName; name != "" {
		errs = append(errs, portolanvalidation.Invalid(specPath.Child("priorityClassName"), name,
			apivalidation.NameIsDNSSubdomain(name, false))...)
	}
	if name := spec.RuntimeClassName; name != nil {
		errs = append(errs, portolanvalidation.Invalid(specPath.Child("runtimeClassName"), *name,
			apivalidation.NameIsDNSSubdomain(*name, false))...)
	}
	if policy := spec.PreemptionPolicy; policy != nil {
		errs = append(errs, supported(*policy, preemptionPolicies, specPath.Child("preemptionPolicy"))...)
	}
	return errs
}
