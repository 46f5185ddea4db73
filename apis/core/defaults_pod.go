package core

import (
	"maps"
	"reflect"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
)

// setPodDefaults applies upstream's defaults (pkg/apis/core/v1), except those of the
// resources of a whole Pod (KEP-2837). Two changes of upstream's conversion belong to them.
func setPodDefaults(pod *corev1.Pod) {
	capQuantities(reflect.ValueOf(&pod.Spec))
	capQuantities(reflect.ValueOf(&pod.Status))
	dropInitAnnotations(pod)
	if seconds := pod.Spec.TerminationGracePeriodSeconds; seconds != nil && *seconds < 0 {
		pod.Spec.TerminationGracePeriodSeconds = ptr.To[int64](1)
	}
	setPodSpecDefaults(&pod.Spec)
	pod.Status.PodIP, pod.Status.PodIPs = alike(pod.Status.PodIP, pod.Status.PodIPs,
		func(ip *corev1.PodIP) *string { return &ip.IP })
}

// dropInitAnnotations removes the annotations that were init containers before Kubernetes
// 1.8. It copies the map, because other objects can share it.
func dropInitAnnotations(pod *corev1.Pod) {
	old := map[string]bool{
		"pod.beta.kubernetes.io/init-containers": true, "pod.alpha.kubernetes.io/init-containers": true,
		"pod.beta.kubernetes.io/init-container-statuses": true, "pod.alpha.kubernetes.io/init-container-statuses": true,
	}
	isOld := func(key, _ string) bool { return old[key] }
	for key := range pod.Annotations {
		if old[key] {
			pod.Annotations = maps.Clone(pod.Annotations)
			maps.DeleteFunc(pod.Annotations, isOld)
			return
		}
	}
}

func setPodSpecDefaults(spec *corev1.PodSpec) {
	setDefault(&spec.DNSPolicy, corev1.DNSClusterFirst)
	setDefault(&spec.RestartPolicy, corev1.RestartPolicyAlways)
	setDefault(&spec.SchedulerName, corev1.DefaultSchedulerName)
	setMissing(&spec.SecurityContext, corev1.PodSecurityContext{})
	setMissing(&spec.TerminationGracePeriodSeconds, corev1.DefaultTerminationGracePeriodSeconds)
	setMissing(&spec.EnableServiceLinks, corev1.DefaultEnableServiceLinks)
	// Older clients use the deprecated field.
	setDefault(&spec.ServiceAccountName, spec.DeprecatedServiceAccount)
	spec.DeprecatedServiceAccount = spec.ServiceAccountName
	for i := range spec.Volumes {
		setVolumeDefaults(&spec.Volumes[i].VolumeSource)
	}
	for _, containers := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range containers {
			container := &containers[i]
			setContainerDefaults(container)
			setRequestDefaults(&container.Resources)
			if spec.HostNetwork {
				for i := range container.Ports {
					setDefault(&container.Ports[i].HostPort, container.Ports[i].ContainerPort)
				}
			}
		}
	}
	for i := range spec.EphemeralContainers {
		setContainerDefaults((*corev1.Container)(&spec.EphemeralContainers[i].EphemeralContainerCommon))
	}
}

func setContainerDefaults(container *corev1.Container) {
	setDefault(&container.TerminationMessagePath, corev1.TerminationMessagePathDefault)
	setDefault(&container.TerminationMessagePolicy, corev1.TerminationMessageReadFile)
	setDefault(&container.ImagePullPolicy, pullPolicyOf(container.Image))
	for i := range container.Ports {
		setDefault(&container.Ports[i].Protocol, corev1.ProtocolTCP)
	}
	for i := range container.Env {
		if from := container.Env[i].ValueFrom; from != nil {
			setFieldRefDefaults(from.FieldRef)
			if from.FileKeyRef != nil {
				setMissing(&from.FileKeyRef.Optional, false)
			}
		}
	}
	for _, probe := range []*corev1.Probe{container.LivenessProbe, container.ReadinessProbe, container.StartupProbe} {
		if probe != nil {
			setProbeDefaults(probe)
		}
	}
	if lifecycle := container.Lifecycle; lifecycle != nil {
		for _, hook := range []*corev1.LifecycleHandler{lifecycle.PostStart, lifecycle.PreStop} {
			if hook != nil {
				setHTTPGetDefaults(hook.HTTPGet)
			}
		}
	}
}

// setRequestDefaults requests what is limited.
func setRequestDefaults(resources *corev1.ResourceRequirements) {
	if resources.Limits == nil {
		return
	}
	requests := maps.Clone(resources.Limits)
	maps.Copy(requests, resources.Requests)
	resources.Requests = requests
}

// pullPolicyOf returns the default policy for an image. An image without tag and digest has
// the tag latest. The name of an image has no capitals and spaces; something else is not
// pulled for its tag.
func pullPolicyOf(image string) corev1.PullPolicy {
	name, tag, tagged := strings.Cut(image[strings.LastIndex(image, "/")+1:], ":")
	named := name != "" && name == strings.ToLower(name) && !strings.ContainsAny(image, " @")
	if named && (!tagged || tag == "latest") {
		return corev1.PullAlways
	}
	return corev1.PullIfNotPresent
}

func setFieldRefDefaults(ref *corev1.ObjectFieldSelector) {
	if ref != nil {
		setDefault(&ref.APIVersion, "v1")
	}
}

func setProbeDefaults(probe *corev1.Probe) {
	setDefault(&probe.TimeoutSeconds, 1)
	setDefault(&probe.PeriodSeconds, 10)
	setDefault(&probe.SuccessThreshold, 1)
	setDefault(&probe.FailureThreshold, 3)
	setHTTPGetDefaults(probe.HTTPGet)
	if probe.GRPC != nil {
		setMissing(&probe.GRPC.Service, "")
	}
}

func setHTTPGetDefaults(get *corev1.HTTPGetAction) {
	if get != nil {
		setDefault(&get.Path, "/")
		setDefault(&get.Scheme, corev1.URISchemeHTTP)
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

func setMissing[T any](field **T, value T) {
	if *field == nil {
		*field = &value
	}
}
