package validation

import (
	"reflect"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// UncheckedFields returns the fields of a new Pod's specification that have values and that
// no rule here is about, although kube-apiserver has rules. The names are without indexes.
// The page artifacts/docs/compatibility.md lists them too.
func UncheckedFields(spec *corev1.PodSpec) []string {
	containers := containersOf(spec)
	some := func(set func(*corev1.Container) bool) bool {
		return slices.ContainsFunc(containers, func(container located) bool { return set(container.Container) })
	}
	var names []string
	for _, field := range []struct {
		name string
		set  bool
	}{
		{"affinity", spec.Affinity != nil},
		{"containers.env.valueFrom", some(hasReference)},
		{"containers.envFrom", some(func(c *corev1.Container) bool { return len(c.EnvFrom) > 0 })},
		{"containers.lifecycle.stopSignal", some(func(c *corev1.Container) bool { return c.Lifecycle != nil && c.Lifecycle.StopSignal != nil })},
		{"containers.resizePolicy", some(func(c *corev1.Container) bool { return len(c.ResizePolicy) > 0 })},
		{"containers.resources.claims", some(func(c *corev1.Container) bool { return len(c.Resources.Claims) > 0 })},
		{"containers.restartPolicyRules", some(func(c *corev1.Container) bool { return len(c.RestartPolicyRules) > 0 })},
		{"containers.securityContext", some(func(c *corev1.Container) bool { return isSet(c.SecurityContext) })},
		{"containers.volumeDevices", some(func(c *corev1.Container) bool { return len(c.VolumeDevices) > 0 })},
		{"resourceClaims", len(spec.ResourceClaims) > 0},
		{"resources", isSet(spec.Resources)},
		{"schedulingGroup", spec.SchedulingGroup != nil},
		{"securityContext", isSet(spec.SecurityContext)},
		{"topologySpreadConstraints", len(spec.TopologySpreadConstraints) > 0},
		{"volumes", slices.ContainsFunc(spec.Volumes, hasSource)},
	} {
		if field.set {
			names = append(names, field.name)
		}
	}
	return names
}

func hasReference(container *corev1.Container) bool {
	return slices.ContainsFunc(container.Env, func(variable corev1.EnvVar) bool { return variable.ValueFrom != nil })
}

// hasSource reports whether a volume is more than an empty directory without settings,
// which is the default.
func hasSource(volume corev1.Volume) bool {
	return !reflect.DeepEqual(volume.VolumeSource, corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}})
}

func isSet[T any](value *T) bool { return value != nil && !reflect.ValueOf(value).Elem().IsZero() }
