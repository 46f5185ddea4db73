package rules

import (
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/net"

	"github.com/portolan-dev/portolan/apis/portolan/validation"
)

// Usable removes the values of a Pod that are invalid in endpoints: addresses that the
// API rejects, malformed names, ports out of range. It returns the Pod itself if all
// values are valid, and a copy otherwise; errs lists the removed values. Addresses in
// the given loopback networks are valid.
//
// The endpoints of all Pods of a Service are written together, and one invalid value
// fails the write. Upstream keeps such values, so that one Pod blocks the endpoints of
// its Service.
func Usable(pod *corev1.Pod, loopback []netip.Prefix) (usable *corev1.Pod, errs field.ErrorList) {
	status, spec := field.NewPath("status"), field.NewPath("spec")
	for i, podIP := range pod.Status.PodIPs {
		errs = append(errs, validateAddress(podIP.IP, loopback, status.Child("podIPs").Index(i).Child("ip"))...)
	}
	if len(pod.Status.PodIPs) == 0 && pod.Status.PodIP != "" {
		errs = append(errs, validateAddress(pod.Status.PodIP, loopback, status.Child("podIP"))...)
	}
	errs = append(errs, validateName(pod.Spec.NodeName, utilvalidation.IsDNS1123Subdomain, spec.Child("nodeName"))...)
	errs = append(errs, validateName(pod.Spec.Hostname, utilvalidation.IsDNS1123Label, spec.Child("hostname"))...)
	errs = append(errs, validatePorts(pod.Spec.Containers, spec.Child("containers"))...)
	errs = append(errs, validatePorts(pod.Spec.InitContainers, spec.Child("initContainers"))...)
	if len(errs) == 0 {
		return pod, nil
	}
	usable = pod.DeepCopy()
	usable.Status.PodIPs = slices.DeleteFunc(usable.Status.PodIPs, func(podIP corev1.PodIP) bool {
		return len(validateAddress(podIP.IP, loopback, nil)) > 0
	})
	if len(validateAddress(usable.Status.PodIP, loopback, nil)) > 0 {
		usable.Status.PodIP = ""
		if len(usable.Status.PodIPs) > 0 {
			usable.Status.PodIP = usable.Status.PodIPs[0].IP
		}
	}
	if len(utilvalidation.IsDNS1123Subdomain(usable.Spec.NodeName)) > 0 {
		usable.Spec.NodeName = ""
	}
	if len(utilvalidation.IsDNS1123Label(usable.Spec.Hostname)) > 0 {
		usable.Spec.Hostname = ""
	}
	dropInvalidPorts(usable.Spec.Containers)
	dropInvalidPorts(usable.Spec.InitContainers)
	return usable, errs
}

// AllUsable calls Usable for all Pods of a Service. The paths of the errors begin with
// the Pod's name.
func AllUsable(pods []*corev1.Pod, loopback []netip.Prefix) (usable []*corev1.Pod, errs field.ErrorList) {
	usable = make([]*corev1.Pod, len(pods))
	for i, pod := range pods {
		var podErrs field.ErrorList
		usable[i], podErrs = Usable(pod, loopback)
		for _, err := range podErrs {
			err.Field = pod.Name + ": " + err.Field
		}
		errs = append(errs, podErrs...)
	}
	// A lister returns Pods in random order.
	slices.SortStableFunc(errs, func(a, b *field.Error) int { return strings.Compare(a.Field, b.Field) })
	return usable, errs
}

// validateAddress accepts irregular forms, because endpoints get the canonical form.
func validateAddress(address string, loopback []netip.Prefix, path *field.Path) field.ErrorList {
	if ip := net.ParseIPSloppy(address); ip != nil {
		address = ip.String()
	}
	return validation.ValidateEndpointIP(address, loopback, path)
}

func validateName(name string, check func(string) []string, path *field.Path) field.ErrorList {
	if name == "" {
		return nil
	}
	return validation.Invalid(path, name, check(name))
}

func validatePorts(containers []corev1.Container, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i := range containers {
		for j, port := range containers[i].Ports {
			errs = append(errs, validation.Invalid(path.Index(i).Child("ports").Index(j).Child("containerPort"), port.ContainerPort,
				utilvalidation.IsValidPortNum(int(port.ContainerPort)))...)
		}
	}
	return errs
}

func dropInvalidPorts(containers []corev1.Container) {
	for i := range containers {
		containers[i].Ports = slices.DeleteFunc(containers[i].Ports, func(port corev1.ContainerPort) bool {
			return len(utilvalidation.IsValidPortNum(int(port.ContainerPort))) > 0
		})
	}
}
