package rules

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/net"
	"k8s.io/utils/ptr"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

// SelectsPods reports whether a Service gets its endpoints from Pods. The endpoints of a copy
// are copies too.
func SelectsPods(service *corev1.Service) bool {
	return service.Spec.Type != corev1.ServiceTypeExternalName && service.Spec.Selector != nil && !v1.IsMirrored(service)
}

// Subsets returns the subsets of a Service's Endpoints in canonical form. Pods are those
// that its selector matches. All addresses are of the Service's first IP family.
func Subsets(service *corev1.Service, pods []*corev1.Pod) []corev1.EndpointSubset {
	var subsets []corev1.EndpointSubset
	for _, pod := range pods {
		if !Eligible(pod) || pod.DeletionTimestamp != nil && !service.Spec.PublishNotReadyAddresses {
			continue
		}
		address, ok := addressOf(service, pod)
		if !ok {
			continue
		}
		ports, ok := portsOf(service, pod)
		if !ok {
			continue
		}
		subset := corev1.EndpointSubset{Ports: ports}
		if service.Spec.PublishNotReadyAddresses || Ready(pod) {
			subset.Addresses = []corev1.EndpointAddress{address}
		} else {
			subset.NotReadyAddresses = []corev1.EndpointAddress{address}
		}
		subsets = append(subsets, subset)
	}
	return Repack(subsets)
}

// Eligible reports whether a Pod can be an endpoint, ready or not. It must have an
// address, and must not have terminated.
func Eligible(pod *corev1.Pod) bool {
	ended := pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded
	return !ended && (pod.Status.PodIP != "" || len(pod.Status.PodIPs) > 0)
}

// Ready reports whether a Pod's condition Ready is true.
func Ready(pod *corev1.Pod) bool {
	for i := range pod.Status.Conditions {
		if condition := &pod.Status.Conditions[i]; condition.Type == corev1.PodReady {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return false
}

// addressOf returns the Pod's address in the Service's IP family, if it has one.
func addressOf(service *corev1.Service, pod *corev1.Pod) (corev1.EndpointAddress, bool) {
	wantIPv6 := isIPv6Service(service, pod)
	for _, podIP := range pod.Status.PodIPs {
		// Formatting the parsed address makes an irregular form canonical.
		ip := net.ParseIPSloppy(podIP.IP)
		if ip == nil || net.IsIPv6(ip) != wantIPv6 {
			continue
		}
		address := corev1.EndpointAddress{
			IP: ip.String(),
			TargetRef: &corev1.ObjectReference{
				Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID,
			},
		}
		// Upstream writes an empty name, which its own API server rejects.
		if pod.Spec.NodeName != "" {
			address.NodeName = ptr.To(pod.Spec.NodeName)
		}
		if pod.Spec.Hostname != "" && pod.Spec.Subdomain == service.Name {
			address.Hostname = pod.Spec.Hostname
		}
		return address, true
	}
	return corev1.EndpointAddress{}, false
}

// isIPv6Service reports whether the Service's first IP family is IPv6. Services stored
// by old releases can lack a family; then the cluster IP decides, or the Pod's address.
func isIPv6Service(service *corev1.Service, pod *corev1.Pod) bool {
	switch {
	case len(service.Spec.IPFamilies) > 0:
		return service.Spec.IPFamilies[0] == corev1.IPv6Protocol
	case hasClusterIP(service):
		return net.IsIPv6String(service.Spec.ClusterIP)
	default:
		return net.IsIPv6String(pod.Status.PodIP)
	}
}

func hasClusterIP(service *corev1.Service) bool {
	return service.Spec.ClusterIP != "" && service.Spec.ClusterIP != corev1.ClusterIPNone
}

// portsOf returns the Service's ports that the Pod offers. If it offers none, ok is
// false, except for a headless Service without ports.
func portsOf(service *corev1.Service, pod *corev1.Pod) (ports []corev1.EndpointPort, ok bool) {
	if len(service.Spec.Ports) == 0 {
		return nil, service.Spec.ClusterIP == corev1.ClusterIPNone
	}
	for i := range service.Spec.Ports {
		port := &service.Spec.Ports[i]
		if number, found := targetPort(pod, port); found {
			ports = append(ports, corev1.EndpointPort{
				Name: port.Name, Port: number, Protocol: port.Protocol, AppProtocol: port.AppProtocol,
			})
		}
	}
	return ports, len(ports) > 0
}

// targetPort returns the number of a Service port's target in the Pod. It looks up a
// name in the containers first, then in the sidecars.
func targetPort(pod *corev1.Pod, port *corev1.ServicePort) (int32, bool) {
	if port.TargetPort.Type == intstr.Int {
		return port.TargetPort.IntVal, true
	}
	for i := range pod.Spec.Containers {
		if number, found := namedPort(&pod.Spec.Containers[i], port); found {
			return number, true
		}
	}
	for i := range pod.Spec.InitContainers {
		container := &pod.Spec.InitContainers[i]
		if ptr.Deref(container.RestartPolicy, "") != corev1.ContainerRestartPolicyAlways {
			continue
		}
		if number, found := namedPort(container, port); found {
			return number, true
		}
	}
	return 0, false
}

func namedPort(container *corev1.Container, port *corev1.ServicePort) (int32, bool) {
	for i := range container.Ports {
		if p := &container.Ports[i]; p.Name == port.TargetPort.StrVal && p.Protocol == port.Protocol {
			return p.ContainerPort, true
		}
	}
	return 0, false
}
