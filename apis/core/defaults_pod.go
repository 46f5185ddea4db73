package core

import (
	"maps"
	"reflect"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
)

// setPodDefaults applies the part of upstream's defaults (pkg/apis/core/v1) that clients
// compare with or that affects a Pod's ports. It omits the defaults of volumes,
// resources and hooks, because Portolan does not run Pods.
func setPodDefaults(pod *corev1.Pod) {
	capQuantities(reflect.ValueOf(&pod.Spec))
	capQuantities(reflect.ValueOf(&pod.Status))
	setPodSpecDefaults(&pod.Spec)
	pod.Status.PodIP, pod.Status.PodIPs = alike(pod.Status.PodIP, pod.Status.PodIPs,
		func(ip *corev1.PodIP) *string { return &ip.IP })
}

func setPodSpecDefaults(spec *corev1.PodSpec) {
	setDefault(&spec.DNSPolicy, corev1.DNSClusterFirst)
	setDefault(&spec.RestartPolicy, corev1.RestartPolicyAlways)
	setDefault(&spec.SchedulerName, corev1.DefaultSchedulerName)
	if spec.SecurityContext == nil {
		spec.SecurityContext = &corev1.PodSecurityContext{}
	}
	if spec.TerminationGracePeriodSeconds == nil {
		spec.TerminationGracePeriodSeconds = ptr.To[int64](corev1.DefaultTerminationGracePeriodSeconds)
	}
	if spec.EnableServiceLinks == nil {
		spec.EnableServiceLinks = ptr.To(corev1.DefaultEnableServiceLinks)
	}
	// Older clients use the deprecated field.
	setDefault(&spec.ServiceAccountName, spec.DeprecatedServiceAccount)
	spec.DeprecatedServiceAccount = spec.ServiceAccountName
	for _, containers := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range containers {
			setContainerDefaults(&containers[i], spec.HostNetwork)
		}
	}
}

func setContainerDefaults(container *corev1.Container, hostNetwork bool) {
	setDefault(&container.TerminationMessagePath, corev1.TerminationMessagePathDefault)
	setDefault(&container.TerminationMessagePolicy, corev1.TerminationMessageReadFile)
	policy := corev1.PullIfNotPresent
	if isLatest(container.Image) {
		policy = corev1.PullAlways
	}
	setDefault(&container.ImagePullPolicy, policy)
	for i := range container.Ports {
		port := &container.Ports[i]
		setDefault(&port.Protocol, corev1.ProtocolTCP)
		if hostNetwork {
			setDefault(&port.HostPort, port.ContainerPort)
		}
	}
	for _, probe := range []*corev1.Probe{container.LivenessProbe, container.ReadinessProbe, container.StartupProbe} {
		if probe != nil {
			setProbeDefaults(probe)
		}
	}
}

// isLatest reports whether an image has the tag latest. An image without tag and digest
// has it too.
func isLatest(image string) bool {
	if image == "" || strings.Contains(image, "@") {
		return false
	}
	_, tag, tagged := strings.Cut(image[strings.LastIndex(image, "/")+1:], ":")
	return !tagged || tag == "latest"
}

func setProbeDefaults(probe *corev1.Probe) {
	setDefault(&probe.TimeoutSeconds, 1)
	setDefault(&probe.PeriodSeconds, 10)
	setDefault(&probe.SuccessThreshold, 1)
	setDefault(&probe.FailureThreshold, 3)
	if get := probe.HTTPGet; get != nil {
		setDefault(&get.Path, "/")
		setDefault(&get.Scheme, corev1.URISchemeHTTP)
	}
	if probe.GRPC != nil && probe.GRPC.Service == nil {
		probe.GRPC.Service = ptr.To("")
	}
}

// setNodeDefaults applies upstream's defaults.
func setNodeDefaults(node *corev1.Node) {
	capQuantities(reflect.ValueOf(&node.Status))
	node.Spec.PodCIDR, node.Spec.PodCIDRs = alike(node.Spec.PodCIDR, node.Spec.PodCIDRs, func(cidr *string) *string { return cidr })
	if node.Status.Allocatable == nil && node.Status.Capacity != nil {
		node.Status.Allocatable = maps.Clone(node.Status.Capacity)
	}
}

// alike makes a singular field and the list that replaced it agree, as upstream's
// conversions do. If they differ, the singular field wins, because some clients know
// only that one.
func alike[T any](old string, list []T, text func(*T) *string) (string, []T) {
	if old != "" && (len(list) == 0 || *text(&list[0]) != old) {
		var only T
		*text(&only) = old
		return old, []T{only}
	}
	if len(list) > 0 {
		return *text(&list[0]), list
	}
	return old, list
}

func setDefault[T comparable](field *T, value T) {
	var unset T
	if *field == unset {
		*field = value
	}
}
