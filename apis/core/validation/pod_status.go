package validation

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/sets"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	netutils "k8s.io/utils/net"

	portolanvalidation "github.com/portolan-dev/portolan/apis/portolan/validation"
)

var (
	podIPsPath  = statusPath.Child("podIPs")
	hostIPsPath = statusPath.Child("hostIPs")
)

// ValidatePodStatusUpdate validates an update of a Pod's status: its addresses, conditions,
// nominated node and class of service, and the metadata. It does not validate the statuses
// of containers and resource claims.
func ValidatePodStatusUpdate(pod, old *corev1.Pod) field.ErrorList {
	errs := portolanvalidation.ValidateObjectMetaUpdate(&pod.ObjectMeta, &old.ObjectMeta, metadataPath)
	errs = append(errs, validateMirrorUpdate(pod, old)...)
	errs = append(errs, validatePodAnnotations(pod)...)
	errs = append(errs, validatePodConditions(pod.Status.Conditions)...)
	errs = append(errs, validateNominatedNode(pod, old)...)
	if generation := pod.Status.ObservedGeneration; generation < 0 {
		errs = append(errs, field.Invalid(statusPath.Child("observedGeneration"), generation, "must be a non-negative integer"))
	}
	if old.Status.QOSClass != "" {
		errs = append(errs, apivalidation.ValidateImmutableField(pod.Status.QOSClass, old.Status.QOSClass, statusPath.Child("qosClass"))...)
	}
	errs = append(errs, validateAddresses(podIPsPath, pod.Status.PodIPs, old.Status.PodIPs, func(ip corev1.PodIP) string { return ip.IP })...)
	if ips := pod.Status.HostIPs; len(ips) > 0 && ips[0].IP != pod.Status.HostIP {
		errs = append(errs, field.Invalid(hostIPsPath.Index(0).Child("ip"), ips[0].IP, "must be equal to `hostIP`"))
	}
	errs = append(errs, validateAddresses(hostIPsPath, pod.Status.HostIPs, old.Status.HostIPs,
		func(ip corev1.HostIP) string { return ip.IP })...)
	return portolanvalidation.Bounded(errs)
}

func validatePodConditions(conditions []corev1.PodCondition) field.ErrorList {
	var errs field.ErrorList
	for i, condition := range conditions {
		path := statusPath.Child("conditions").Index(i)
		if condition.ObservedGeneration < 0 {
			errs = append(errs, field.Invalid(path.Child("observedGeneration"), condition.ObservedGeneration, "must be a non-negative integer"))
		}
		switch condition.Type {
		case corev1.PodScheduled, corev1.PodReady, corev1.PodInitialized:
		default:
			// The capital letter is upstream's.
			errs = append(errs, portolanvalidation.Invalid(path.Child("Type"), string(condition.Type),
				utilvalidation.IsQualifiedName(string(condition.Type)))...)
		}
	}
	return errs
}

// validateNominatedNode validates the node that a scheduler has in mind for a Pod that is
// not on one.
func validateNominatedNode(pod, old *corev1.Pod) field.ErrorList {
	name, path := pod.Status.NominatedNodeName, statusPath.Child("nominatedNodeName")
	if name == "" || name == old.Status.NominatedNodeName {
		return nil
	}
	errs := portolanvalidation.Invalid(path, name, apivalidation.NameIsDNSSubdomain(name, false))
	if old.Spec.NodeName != "" {
		errs = append(errs, field.Forbidden(path, "may not be set on pods that are already bound to a node"))
	}
	return errs
}

// validateAddresses wants one address of each family at most. It accepts malformed addresses
// that are stored.
func validateAddresses[T any](path *field.Path, given, old []T, address func(T) string) field.ErrorList {
	stored := sets.New[string]()
	for _, ip := range old {
		stored.Insert(address(ip))
	}
	var errs field.ErrorList
	var ips []string
	for i, ip := range given {
		ips = append(ips, address(ip))
		if !stored.Has(ips[i]) {
			errs = append(errs, utilvalidation.IsValidIPForLegacyField(path.Index(i), ips[i], true, nil)...)
		}
	}
	if len(ips) < 2 {
		return errs
	}
	dual, err := netutils.IsDualStackIPStrings(ips)
	if err != nil {
		errs = append(errs, field.InternalError(path, fmt.Errorf("failed to check for dual stack with error:%w", err)))
	}
	if !dual || len(ips) > 2 {
		// Clients see the names of the fields in upstream's source code.
		shown := make([]struct{ IP string }, len(ips))
		for i := range shown {
			shown[i].IP = ips[i]
		}
		errs = append(errs, field.Invalid(path, shown, "may specify no more than one IP for each IP family"))
	}
	return errs
}
