package validation

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	portolanvalidation "github.com/portolan-dev/portolan/apis/portolan/validation"
)

var (
	containersPath     = specPath.Child("containers")
	initContainersPath = specPath.Child("initContainers")

	messagePolicies = []corev1.TerminationMessagePolicy{
		corev1.TerminationMessageReadFile, corev1.TerminationMessageFallbackToLogsOnError,
	}
	pullPolicies             = []corev1.PullPolicy{corev1.PullAlways, corev1.PullIfNotPresent, corev1.PullNever}
	containerRestartPolicies = []corev1.ContainerRestartPolicy{
		corev1.ContainerRestartPolicyAlways, corev1.ContainerRestartPolicyNever, corev1.ContainerRestartPolicyOnFailure,
	}
)

func validateContainers(spec *corev1.PodSpec, volumes sets.Set[string]) field.ErrorList {
	if len(spec.Containers) == 0 {
		return field.ErrorList{field.Required(containersPath, "")}
	}
	var errs field.ErrorList
	names := sets.New[string]()
	for i := range spec.Containers {
		container, path := &spec.Containers[i], containersPath.Index(i)
		errs = append(errs, validateContainer(container, volumes, path)...)
		if names.Has(container.Name) {
			errs = append(errs, field.Duplicate(path.Child("name"), container.Name))
		}
		names.Insert(container.Name)
		errs = append(errs, validateHooks(container, spec, path)...)
		errs = append(errs, validateContainerRestartPolicy(container, path)...)
	}
	return append(errs, validateUniqueHostPorts(spec.Containers, containersPath)...)
}

// validateInitContainers validates init containers. Those that restart always are sidecars,
// which can have hooks and probes.
func validateInitContainers(spec *corev1.PodSpec, volumes sets.Set[string]) field.ErrorList {
	var errs field.ErrorList
	names := sets.New[string]()
	for _, container := range spec.Containers {
		names.Insert(container.Name)
	}
	for i := range spec.InitContainers {
		container, path := &spec.InitContainers[i], initContainersPath.Index(i)
		errs = append(errs, validateContainer(container, volumes, path)...)
		errs = append(errs, validateContainerRestartPolicy(container, path)...)
		if names.Has(container.Name) {
			errs = append(errs, field.Duplicate(path.Child("name"), container.Name))
		}
		if container.Name != "" {
			names.Insert(container.Name)
		}
		// Init containers run one after the other, so they can use the same ports. The paths
		// of upstream begin with the first container.
		errs = append(errs, validateUniqueHostPorts(spec.InitContainers[i:i+1], initContainersPath)...)
		if ptr.Deref(container.RestartPolicy, "") == corev1.ContainerRestartPolicyAlways {
			errs = append(errs, validateHooks(container, spec, path)...)
			continue
		}
		for _, hook := range []struct {
			name string
			set  bool
		}{
			{"lifecycle", container.Lifecycle != nil}, {"livenessProbe", container.LivenessProbe != nil},
			{"readinessProbe", container.ReadinessProbe != nil}, {"startupProbe", container.StartupProbe != nil},
		} {
			if hook.set {
				errs = append(errs, field.Forbidden(path.Child(hook.name), "may not be set for init containers without restartPolicy=Always"))
			}
		}
	}
	return errs
}

// validateContainer validates what all containers have in common.
func validateContainer(container *corev1.Container, volumes sets.Set[string], path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if container.Name == "" {
		errs = append(errs, field.Required(path.Child("name"), ""))
	} else {
		errs = append(errs, portolanvalidation.Invalid(path.Child("name"), container.Name, utilvalidation.IsDNS1123Label(container.Name))...)
	}
	if container.Image == "" {
		errs = append(errs, field.Required(path.Child("image"), ""))
	}
	errs = append(errs, supported(container.TerminationMessagePolicy, messagePolicies, path.Child("terminationMessagePolicy"))...)
	errs = append(errs, validateContainerPorts(container.Ports, path.Child("ports"))...)
	for i, variable := range container.Env {
		path := path.Child("env").Index(i).Child("name")
		if variable.Name == "" {
			errs = append(errs, field.Required(path, ""))
		} else {
			errs = append(errs, portolanvalidation.Invalid(path, variable.Name, utilvalidation.IsRelaxedEnvVarName(variable.Name))...)
		}
	}
	errs = append(errs, validateVolumeMounts(container, volumes, path.Child("volumeMounts"))...)
	errs = append(errs, supported(container.ImagePullPolicy, pullPolicies, path.Child("imagePullPolicy"))...)
	return append(errs, validateResources(&container.Resources, path.Child("resources"))...)
}

func validateContainerPorts(ports []corev1.ContainerPort, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	names := sets.New[string]()
	for i, port := range ports {
		path := path.Index(i)
		if port.Name != "" {
			messages := utilvalidation.IsValidPortName(port.Name)
			errs = append(errs, portolanvalidation.Invalid(path.Child("name"), port.Name, messages)...)
			if len(messages) == 0 && names.Has(port.Name) {
				errs = append(errs, field.Duplicate(path.Child("name"), port.Name))
			}
			names.Insert(port.Name)
		}
		if port.ContainerPort == 0 {
			errs = append(errs, field.Required(path.Child("containerPort"), ""))
		} else {
			errs = append(errs, portolanvalidation.Invalid(path.Child("containerPort"), port.ContainerPort,
				utilvalidation.IsValidPortNum(int(port.ContainerPort)))...)
		}
		if port.HostPort != 0 {
			errs = append(errs, portolanvalidation.Invalid(path.Child("hostPort"), port.HostPort,
				utilvalidation.IsValidPortNum(int(port.HostPort)))...)
		}
		errs = append(errs, supported(port.Protocol, portProtocols, path.Child("protocol"))...)
	}
	return errs
}

// validateUniqueHostPorts rejects a port of the node that the containers name twice.
func validateUniqueHostPorts(containers []corev1.Container, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	used := sets.New[string]()
	for i, container := range containers {
		for j, port := range container.Ports {
			if port.HostPort == 0 {
				continue
			}
			socket := fmt.Sprintf("%s/%s/%d", port.Protocol, port.HostIP, port.HostPort)
			if used.Has(socket) {
				errs = append(errs, field.Duplicate(path.Index(i).Child("ports").Index(j).Child("hostPort"), socket))
			}
			used.Insert(socket)
		}
	}
	return errs
}

// validateHostPorts wants the ports of containers in the node's network to be the node's.
func validateHostPorts(spec *corev1.PodSpec) field.ErrorList {
	if !spec.HostNetwork {
		return nil
	}
	var errs field.ErrorList
	for i, container := range spec.Containers {
		for j, port := range container.Ports {
			if port.HostPort != port.ContainerPort {
				errs = append(errs, field.Invalid(containersPath.Index(i).Child("ports").Index(j).Child("hostPort"), port.HostPort,
					"must match `containerPort` when `hostNetwork` is true"))
			}
		}
	}
	return errs
}

// validateContainerRestartPolicy validates the restart policy of a container. It does not
// validate the rules that are exceptions to it.
func validateContainerRestartPolicy(container *corev1.Container, path *field.Path) field.ErrorList {
	path = path.Child("restartPolicy")
	switch {
	case container.RestartPolicy == nil && len(container.RestartPolicyRules) > 0:
		return field.ErrorList{field.Required(path, "must specify restartPolicy when restart rules are used")}
	case container.RestartPolicy != nil && !slices.Contains(containerRestartPolicies, *container.RestartPolicy):
		return field.ErrorList{field.NotSupported(path, *container.RestartPolicy, containerRestartPolicies)}
	}
	return nil
}

// validateImages rejects white space around the names of images.
func validateImages(spec *corev1.PodSpec) field.ErrorList {
	var errs field.ErrorList
	validate := func(containers []corev1.Container, path *field.Path) {
		for i, container := range containers {
			if strings.TrimSpace(container.Image) != container.Image {
				errs = append(errs, field.Invalid(path.Index(i).Child("image"), container.Image, "must not have leading or trailing whitespace"))
			}
		}
	}
	validate(spec.Containers, containersPath)
	validate(spec.InitContainers, initContainersPath)
	return errs
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
