package validation

import (
	"fmt"
	"math"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/diff"
	"k8s.io/apimachinery/pkg/util/sets"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	netutils "k8s.io/utils/net"

	portolanvalidation "github.com/portolan-dev/portolan/apis/portolan/validation"
)

var (
	specPath   = field.NewPath("spec")
	statusPath = field.NewPath("status")

	portProtocols   = []corev1.Protocol{corev1.ProtocolSCTP, corev1.ProtocolTCP, corev1.ProtocolUDP}
	restartPolicies = []corev1.RestartPolicy{corev1.RestartPolicyAlways, corev1.RestartPolicyOnFailure, corev1.RestartPolicyNever}
	dnsPolicies     = []corev1.DNSPolicy{corev1.DNSClusterFirstWithHostNet, corev1.DNSClusterFirst, corev1.DNSDefault, corev1.DNSNone}
)

// ValidatePod validates the parts of a Pod that Services, their endpoints and DNS depend
// on: its metadata, node and names, and the names, images and ports of its containers.
//
// Portolan does not run Pods. ValidatePod therefore does not validate how to run one:
// volumes, mounts, the environment, resources, probes, hooks, security contexts,
// affinity, tolerations, ephemeral containers and annotations.
func ValidatePod(pod *corev1.Pod) field.ErrorList {
	errs := portolanvalidation.ValidateObjectMeta(&pod.ObjectMeta, true, apivalidation.NameIsDNSSubdomain, metadataPath)
	spec := &pod.Spec
	names := sets.New[string]()
	if len(spec.Containers) == 0 {
		errs = append(errs, field.Required(specPath.Child("containers"), ""))
	}
	errs = append(errs, validateContainers(spec.Containers, names, spec.HostNetwork, specPath.Child("containers"))...)
	errs = append(errs, validateContainers(spec.InitContainers, names, spec.HostNetwork, specPath.Child("initContainers"))...)
	errs = append(errs, supported(spec.RestartPolicy, restartPolicies, specPath.Child("restartPolicy"))...)
	errs = append(errs, supported(spec.DNSPolicy, dnsPolicies, specPath.Child("dnsPolicy"))...)
	for _, name := range []struct {
		path, value string
		check       func(string) []string
	}{
		{"hostname", spec.Hostname, utilvalidation.IsDNS1123Label},
		{"subdomain", spec.Subdomain, utilvalidation.IsDNS1123Label},
		{"nodeName", spec.NodeName, utilvalidation.IsDNS1123Subdomain},
		{"serviceAccountName", spec.ServiceAccountName, utilvalidation.IsDNS1123Subdomain},
	} {
		if name.value != "" {
			errs = append(errs, invalid(specPath.Child(name.path), name.value, name.check(name.value))...)
		}
	}
	for i, gate := range spec.ReadinessGates {
		errs = append(errs, invalid(specPath.Child("readinessGates").Index(i).Child("conditionType"), gate.ConditionType,
			utilvalidation.IsQualifiedName(string(gate.ConditionType)))...)
	}
	return portolanvalidation.Bounded(errs)
}

// validateContainers validates containers and adds their names to names, which holds all
// names of the Pod.
func validateContainers(containers []corev1.Container, names sets.Set[string], hostNetwork bool, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i := range containers {
		container, path := &containers[i], path.Index(i)
		namePath := path.Child("name")
		switch {
		case container.Name == "":
			errs = append(errs, field.Required(namePath, ""))
		case names.Has(container.Name):
			errs = append(errs, field.Duplicate(namePath, container.Name))
		default:
			errs = append(errs, invalid(namePath, container.Name, utilvalidation.IsDNS1123Label(container.Name))...)
		}
		names.Insert(container.Name)
		if container.Image == "" {
			errs = append(errs, field.Required(path.Child("image"), ""))
		}
		errs = append(errs, validateContainerPorts(container.Ports, hostNetwork, path.Child("ports"))...)
	}
	return errs
}

func validateContainerPorts(ports []corev1.ContainerPort, hostNetwork bool, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	names := sets.New[string]()
	for i, port := range ports {
		path := path.Index(i)
		if port.Name != "" {
			messages := utilvalidation.IsValidPortName(port.Name)
			errs = append(errs, invalid(path.Child("name"), port.Name, messages)...)
			if len(messages) == 0 && names.Has(port.Name) {
				errs = append(errs, field.Duplicate(path.Child("name"), port.Name))
			}
			names.Insert(port.Name)
		}
		if port.ContainerPort == 0 {
			errs = append(errs, field.Required(path.Child("containerPort"), ""))
		} else {
			errs = append(errs, invalid(path.Child("containerPort"), port.ContainerPort, utilvalidation.IsValidPortNum(int(port.ContainerPort)))...)
		}
		if port.HostPort != 0 {
			errs = append(errs, invalid(path.Child("hostPort"), port.HostPort, utilvalidation.IsValidPortNum(int(port.HostPort)))...)
		}
		if hostNetwork && port.HostPort != port.ContainerPort {
			errs = append(errs, field.Invalid(path.Child("hostPort"), port.HostPort, "must match `containerPort` when `hostNetwork` is true"))
		}
		errs = append(errs, supported(port.Protocol, portProtocols, path.Child("protocol"))...)
	}
	return errs
}

// ValidatePodUpdate validates an update of a Pod. The fields that can change are
// upstream's. The one difference is that tolerations can change in any way, because
// Portolan does not use them.
func ValidatePodUpdate(pod, old *corev1.Pod) field.ErrorList {
	errs := portolanvalidation.ValidateObjectMetaUpdate(&pod.ObjectMeta, &old.ObjectMeta, metadataPath)
	errs = append(errs, sameContainers(pod.Spec.Containers, old.Spec.Containers, specPath.Child("containers"))...)
	errs = append(errs, sameContainers(pod.Spec.InitContainers, old.Spec.InitContainers, specPath.Child("initContainers"))...)
	errs = append(errs, earlierDeadline(pod.Spec.ActiveDeadlineSeconds, old.Spec.ActiveDeadlineSeconds,
		specPath.Child("activeDeadlineSeconds"))...)
	if len(errs) > 0 {
		return portolanvalidation.Bounded(errs)
	}
	kept := pod.Spec.DeepCopy()
	keepImages(kept.Containers, old.Spec.Containers)
	keepImages(kept.InitContainers, old.Spec.InitContainers)
	kept.ActiveDeadlineSeconds = old.Spec.ActiveDeadlineSeconds
	kept.Tolerations, kept.SchedulingGates = old.Spec.Tolerations, old.Spec.SchedulingGates
	if !equality.Semantic.DeepEqual(*kept, old.Spec) {
		errs = append(errs, field.Forbidden(specPath, fmt.Sprintf("pod updates may not change fields other than %s\n%v",
			strings.Join(changeable, ","), diff.Diff(old.Spec, *kept))))
	}
	return append(errs, ValidatePod(pod)...)
}

// changeable lists the fields of a spec that can change, in upstream's words.
var changeable = []string{
	"`spec.containers[*].image`",
	"`spec.initContainers[*].image`",
	"`spec.activeDeadlineSeconds`",
	"`spec.tolerations` (only additions to existing tolerations)",
	"`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)",
}

// earlierDeadline allows to set a deadline or to bring it forward.
func earlierDeadline(seconds, old *int64, path *field.Path) field.ErrorList {
	switch {
	case seconds == nil && old != nil:
		return field.ErrorList{field.Invalid(path, seconds, "must not update from a positive integer to nil value")}
	case seconds != nil && (*seconds < 0 || *seconds > math.MaxInt32):
		return field.ErrorList{field.Invalid(path, *seconds, utilvalidation.InclusiveRangeError(0, math.MaxInt32))}
	case seconds != nil && old != nil && *seconds > *old:
		return field.ErrorList{field.Invalid(path, *seconds, "must be less than or equal to previous value")}
	}
	return nil
}

func sameContainers(containers, old []corev1.Container, path *field.Path) field.ErrorList {
	if len(containers) != len(old) {
		return field.ErrorList{field.Forbidden(path, "pod updates may not add or remove containers")}
	}
	return nil
}

func keepImages(containers, old []corev1.Container) {
	for i := range containers {
		containers[i].Image = old[i].Image
	}
}

// ValidatePodStatusUpdate validates an update of a Pod's status: its addresses,
// conditions and nominated node, and the metadata. It does not validate the statuses of
// containers.
func ValidatePodStatusUpdate(pod, old *corev1.Pod) field.ErrorList {
	errs := portolanvalidation.ValidateObjectMetaUpdate(&pod.ObjectMeta, &old.ObjectMeta, metadataPath)
	for i, condition := range pod.Status.Conditions {
		switch condition.Type {
		case corev1.PodScheduled, corev1.PodReady, corev1.PodInitialized:
		default:
			// The capital letter is upstream's.
			errs = append(errs, invalid(statusPath.Child("conditions").Index(i).Child("Type"), string(condition.Type),
				utilvalidation.IsQualifiedName(string(condition.Type)))...)
		}
	}
	if name := pod.Status.NominatedNodeName; name != "" && name != old.Status.NominatedNodeName {
		errs = append(errs, invalid(statusPath.Child("nominatedNodeName"), name, utilvalidation.IsDNS1123Subdomain(name))...)
	}
	return portolanvalidation.Bounded(append(errs, validatePodIPs(pod, old)...))
}

// validatePodIPs accepts addresses that are already stored.
func validatePodIPs(pod, old *corev1.Pod) field.ErrorList {
	var errs field.ErrorList
	path := statusPath.Child("podIPs")
	var stored, ips []string
	several := field.ErrorList{field.Invalid(path, pod.Status.PodIPs, "may specify no more than one IP for each IP family")}
	if len(pod.Status.PodIPs) > 2 {
		return several
	}
	for _, ip := range old.Status.PodIPs {
		stored = append(stored, ip.IP)
	}
	for i, ip := range pod.Status.PodIPs {
		ips = append(ips, ip.IP)
		errs = append(errs, utilvalidation.IsValidIPForLegacyField(path.Index(i), ip.IP, true, stored)...)
	}
	if len(errs) > 0 || len(ips) < 2 {
		return errs
	}
	if dual, err := netutils.IsDualStackIPStrings(ips); err != nil || !dual {
		return several
	}
	return nil
}

// supported wants one of the given values. The field is required.
func supported[T ~string](value T, values []T, path *field.Path) field.ErrorList {
	switch {
	case slices.Contains(values, value):
		return nil
	case value == "":
		return field.ErrorList{field.Required(path, "")}
	default:
		return field.ErrorList{field.NotSupported(path, value, values)}
	}
}

// invalid makes an error of each message of one of apimachinery's checks.
func invalid(path *field.Path, value any, messages []string) field.ErrorList {
	var errs field.ErrorList
	for _, message := range messages {
		errs = append(errs, field.Invalid(path, value, message))
	}
	return errs
}
