package validation

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/intstr"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	portolanvalidation "github.com/portolan-dev/portolan/apis/portolan/validation"
)

var urlSchemes = []corev1.URIScheme{corev1.URISchemeHTTP, corev1.URISchemeHTTPS}

// action is what a probe or a hook does. One field is set.
type action struct {
	exec      *corev1.ExecAction
	httpGet   *corev1.HTTPGetAction
	tcpSocket *corev1.TCPSocketAction
	grpc      *corev1.GRPCAction
	sleep     *corev1.SleepAction
}

// validateHooks validates the hooks and probes of a container.
func validateHooks(container *corev1.Container, spec *corev1.PodSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if lifecycle := container.Lifecycle; lifecycle != nil {
		for _, hook := range []struct {
			name    string
			handler *corev1.LifecycleHandler
		}{{"postStart", lifecycle.PostStart}, {"preStop", lifecycle.PreStop}} {
			if h := hook.handler; h != nil {
				errs = append(errs, validateAction(action{h.Exec, h.HTTPGet, h.TCPSocket, nil, h.Sleep},
					ptr.Deref(spec.TerminationGracePeriodSeconds, 0), path.Child("lifecycle", hook.name))...)
			}
		}
	}
	if probe, path := container.LivenessProbe, path.Child("livenessProbe"); probe != nil {
		errs = append(errs, validateProbe(probe, path)...)
		errs = append(errs, oneSuccess(probe, path)...)
	}
	if probe, path := container.ReadinessProbe, path.Child("readinessProbe"); probe != nil {
		errs = append(errs, validateProbe(probe, path)...)
		if seconds := probe.TerminationGracePeriodSeconds; seconds != nil {
			errs = append(errs, field.Invalid(path.Child("terminationGracePeriodSeconds"), seconds, "must not be set for readinessProbes"))
		}
	}
	if probe, path := container.StartupProbe, path.Child("startupProbe"); probe != nil {
		errs = append(errs, validateProbe(probe, path)...)
		errs = append(errs, oneSuccess(probe, path)...)
	}
	return errs
}

func oneSuccess(probe *corev1.Probe, path *field.Path) field.ErrorList {
	if probe.SuccessThreshold == 1 {
		return nil
	}
	return field.ErrorList{field.Invalid(path.Child("successThreshold"), probe.SuccessThreshold, "must be 1")}
}

func validateProbe(probe *corev1.Probe, path *field.Path) field.ErrorList {
	errs := validateAction(action{probe.Exec, probe.HTTPGet, probe.TCPSocket, probe.GRPC, nil}, 0, path)
	for _, number := range []struct {
		name  string
		value int32
	}{
		{"initialDelaySeconds", probe.InitialDelaySeconds}, {"timeoutSeconds", probe.TimeoutSeconds},
		{"periodSeconds", probe.PeriodSeconds}, {"successThreshold", probe.SuccessThreshold}, {"failureThreshold", probe.FailureThreshold},
	} {
		errs = append(errs, apivalidation.ValidateNonnegativeField(int64(number.value), path.Child(number.name))...)
	}
	if seconds := probe.TerminationGracePeriodSeconds; seconds != nil && *seconds <= 0 {
		errs = append(errs, field.Invalid(path.Child("terminationGracePeriodSeconds"), *seconds, "must be greater than 0"))
	}
	return errs
}

// validateAction wants exactly one action. The first one counts.
func validateAction(a action, gracePeriod int64, path *field.Path) field.ErrorList {
	found := false
	var errs field.ErrorList
	one := func(name string, set bool, validate func(*field.Path) field.ErrorList) {
		switch {
		case !set:
		case found:
			errs = append(errs, field.Forbidden(path.Child(name), "may not specify more than 1 handler type"))
		default:
			found = true
			errs = append(errs, validate(path.Child(name))...)
		}
	}
	one("exec", a.exec != nil, func(path *field.Path) field.ErrorList {
		if len(a.exec.Command) > 0 {
			return nil
		}
		return field.ErrorList{field.Required(path.Child("command"), "")}
	})
	one("httpGet", a.httpGet != nil, func(path *field.Path) field.ErrorList { return validateHTTPGet(a.httpGet, path) })
	one("tcpSocket", a.tcpSocket != nil, func(path *field.Path) field.ErrorList {
		return validateTargetPort(a.tcpSocket.Port, path.Child("port"))
	})
	one("grpc", a.grpc != nil, func(path *field.Path) field.ErrorList {
		return validateTargetPort(intstr.FromInt32(a.grpc.Port), path.Child("port"))
	})
	one("sleep", a.sleep != nil, func(path *field.Path) field.ErrorList {
		if a.sleep.Seconds >= 0 && a.sleep.Seconds <= gracePeriod {
			return nil
		}
		return field.ErrorList{field.Invalid(path, a.sleep.Seconds,
			fmt.Sprintf("must be non-negative and less than terminationGracePeriodSeconds (%d)", gracePeriod))}
	})
	if !found {
		errs = append(errs, field.Required(path, "must specify a handler type"))
	}
	return errs
}

func validateHTTPGet(get *corev1.HTTPGetAction, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if get.Path == "" {
		errs = append(errs, field.Required(path.Child("path"), ""))
	}
	errs = append(errs, validateTargetPort(get.Port, path.Child("port"))...)
	errs = append(errs, supported(get.Scheme, urlSchemes, path.Child("scheme"))...)
	for _, header := range get.HTTPHeaders {
		errs = append(errs, portolanvalidation.Invalid(path.Child("httpHeaders"), header.Name, utilvalidation.IsHTTPHeaderName(header.Name))...)
	}
	return errs
}

// validateTargetPort validates the number or name of a container's port.
func validateTargetPort(port intstr.IntOrString, path *field.Path) field.ErrorList {
	if port.Type == intstr.String {
		return portolanvalidation.Invalid(path, port.StrVal, utilvalidation.IsValidPortName(port.StrVal))
	}
	return portolanvalidation.Invalid(path, port.IntValue(), utilvalidation.IsValidPortNum(port.IntValue()))
}
