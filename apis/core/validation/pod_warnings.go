package validation

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// maxWarnings is how many warnings about one Pod there are at most. Their headers have a
// limit of size, and the comparison of ports takes time quadratic in their number.
const maxWarnings = 20

// PodWarnings returns the warnings about a new Pod: upstream's (pkg/api/pod), as far as
// their fields are validated here, and one about fields that are not.
func PodWarnings(pod *corev1.Pod) []string {
	var warnings []string
	if messages := utilvalidation.IsDNS1123Label(pod.Name); len(messages) > 0 {
		warnings = append(warnings, fmt.Sprintf("metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; a DNS label is recommended: %v", messages))
	}
	aliases := sets.New[string]()
	for i, alias := range pod.Spec.HostAliases {
		if aliases.Has(alias.IP) {
			warnings = append(warnings, fmt.Sprintf("%s: duplicate ip %q", specPath.Child("hostAliases").Index(i).Child("ip"), alias.IP))
		}
		aliases.Insert(alias.IP)
	}
	containers := containersOf(&pod.Spec)
	for _, container := range containers {
		warnings = append(warnings, fractionWarnings(container)...)
		warnings = append(warnings, variableWarnings(container)...)
	}
	warnings = append(warnings, portWarnings(containers)...)
	if config := pod.Spec.DNSConfig; config != nil {
		for i, server := range config.Nameservers {
			warnings = append(warnings, utilvalidation.GetWarningsForIP(specPath.Child("dnsConfig", "nameservers").Index(i), server)...)
		}
	}
	for i, alias := range pod.Spec.HostAliases {
		warnings = append(warnings, utilvalidation.GetWarningsForIP(specPath.Child("hostAliases").Index(i).Child("ip"), alias.IP)...)
	}
	warnings = warnings[:min(len(warnings), maxWarnings)]
	if unchecked := UncheckedFields(&pod.Spec); len(unchecked) > 0 {
		warnings = append(warnings, "stored without validation, because this server runs no Pods: "+strings.Join(unchecked, ", "))
	}
	return warnings
}

// PodStatusWarnings returns the warnings about the addresses of a Pod's status.
func PodStatusWarnings(status *corev1.PodStatus) []string {
	var warnings []string
	for i, ip := range status.PodIPs {
		warnings = append(warnings, utilvalidation.GetWarningsForIP(podIPsPath.Index(i).Child("ip"), ip.IP)...)
	}
	for i, ip := range status.HostIPs {
		warnings = append(warnings, utilvalidation.GetWarningsForIP(hostIPsPath.Index(i).Child("ip"), ip.IP)...)
	}
	return warnings
}

// located is a container and its path.
type located struct {
	*corev1.Container
	path *field.Path
}

// containersOf returns all containers of a new Pod, in upstream's order.
func containersOf(spec *corev1.PodSpec) []located {
	var containers []located
	for i := range spec.InitContainers {
		containers = append(containers, located{&spec.InitContainers[i], initContainersPath.Index(i)})
	}
	for i := range spec.Containers {
		containers = append(containers, located{&spec.Containers[i], containersPath.Index(i)})
	}
	return containers
}

// fractionWarnings warns about parts of bytes.
func fractionWarnings(container located) []string {
	var warnings []string
	for _, name := range []corev1.ResourceName{corev1.ResourceMemory, corev1.ResourceEphemeralStorage} {
		for _, list := range []struct {
			name      string
			resources corev1.ResourceList
		}{{"limits", container.Resources.Limits}, {"requests", container.Resources.Requests}} {
			if quantity := list.resources[name]; quantity.MilliValue()%1000 != 0 {
				warnings = append(warnings, fmt.Sprintf("%s: fractional byte value %q is invalid, must be an integer",
					container.path.Child("resources", list.name).Key(string(name)), quantity.String()))
			}
		}
	}
	return warnings
}

// variableWarnings warns about variables that replace others of the name. One that refers
// to the other extends it.
func variableWarnings(container located) []string {
	var warnings []string
	names := sets.New[string]()
	for i, variable := range container.Env {
		reference := "$(" + variable.Name + ")"
		extends := variable.ValueFrom == nil && variable.Value != reference && strings.Contains(variable.Value, reference)
		if names.Has(variable.Name) && !extends {
			warnings = append(warnings, fmt.Sprintf("%s: hides previous definition of %q, which may be dropped when using apply",
				container.path.Child("env").Index(i), variable.Name))
		}
		names.Insert(variable.Name)
	}
	return warnings
}

// portWarnings warns about ports that more than one container has, or with one name. It
// stops at maxWarnings, and compares a port with as many others.
func portWarnings(containers []located) []string {
	type socket struct {
		port     int32
		protocol corev1.Protocol
	}
	type definition struct {
		corev1.ContainerPort
		path *field.Path
	}
	var warnings, ofNames []string
	ports, names := map[socket][]definition{}, map[string]*field.Path{}
	for _, container := range containers {
		for i, port := range container.Ports {
			if len(warnings)+len(ofNames) >= maxWarnings {
				return append(warnings, ofNames...)
			}
			path, at := container.path.Child("ports").Index(i), socket{port.ContainerPort, port.Protocol}
			if port.HostIP != "" && port.HostPort == 0 {
				warnings = append(warnings, fmt.Sprintf("%s: hostIP set without hostPort: %+v", path, port))
			}
			for _, other := range ports[at] {
				if kind := conflict(port, other.ContainerPort); kind != "" {
					warnings = append(warnings, fmt.Sprintf("%s: %s port definition with %s", path, kind, other.path))
				}
			}
			if len(ports[at]) < maxWarnings {
				ports[at] = append(ports[at], definition{port, path})
			}
			if other, found := names[port.Name]; found {
				ofNames = append(ofNames, fmt.Sprintf("%s: duplicate port name %q with %s, services and probes that select ports by name will use %s",
					path, port.Name, other, other))
			} else if port.Name != "" {
				names[port.Name] = path
			}
		}
	}
	return append(warnings, ofNames...)
}

// conflict returns how the definitions of one port and protocol conflict, or nothing.
func conflict(a, b corev1.ContainerPort) string {
	switch {
	case a.HostIP == b.HostIP && a.HostPort == b.HostPort:
		return "duplicate"
	case a.HostPort == 0 || b.HostPort == 0:
		return "overlapping"
	case a.HostPort == b.HostPort && (a.HostIP == "" || b.HostIP == ""):
		return "dangerously ambiguous"
	}
	return ""
}
