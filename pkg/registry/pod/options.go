package pod

import (
	"fmt"
	"net/url"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/conversion"
	"k8s.io/apimachinery/pkg/runtime"
)

// AddToScheme registers the options of the subresources, with the conversions from a query.
// Only the server needs them; clients send a query.
func AddToScheme(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(corev1.SchemeGroupVersion, &corev1.PodLogOptions{}, &corev1.PodExecOptions{}, &corev1.PodAttachOptions{},
		&corev1.PodPortForwardOptions{})
	for _, err := range []error{
		fromQuery(scheme, func(o *corev1.PodLogOptions) []parameter {
			return []parameter{
				{"container", &o.Container}, {"follow", &o.Follow}, {"previous", &o.Previous}, {"sinceSeconds", &o.SinceSeconds},
				{"sinceTime", &o.SinceTime}, {"timestamps", &o.Timestamps}, {"tailLines", &o.TailLines}, {"limitBytes", &o.LimitBytes},
				{"insecureSkipTLSVerifyBackend", &o.InsecureSkipTLSVerifyBackend}, {"stream", &o.Stream},
			}
		}),
		fromQuery(scheme, func(o *corev1.PodExecOptions) []parameter {
			return []parameter{
				{"stdin", &o.Stdin}, {"stdout", &o.Stdout}, {"stderr", &o.Stderr}, {"tty", &o.TTY}, {"container", &o.Container},
				{"command", &o.Command},
			}
		}),
		fromQuery(scheme, func(o *corev1.PodAttachOptions) []parameter {
			return []parameter{
				{"stdin", &o.Stdin}, {"stdout", &o.Stdout}, {"stderr", &o.Stderr}, {"tty", &o.TTY}, {"container", &o.Container},
			}
		}),
		fromQuery(scheme, func(o *corev1.PodPortForwardOptions) []parameter { return []parameter{{"ports", &o.Ports}} }),
	} {
		if err != nil {
			return err
		}
	}
	return nil
}

// parameter is a parameter of a query, and a pointer to the field for it.
type parameter struct {
	name  string
	field any
}

func fromQuery[T any](scheme *runtime.Scheme, parameters func(*T) []parameter) error {
	return scheme.AddConversionFunc((*url.Values)(nil), (*T)(nil), func(query, options any, scope conversion.Scope) error {
		for _, p := range parameters(options.(*T)) {
			values := (*query.(*url.Values))[p.name]
			if len(values) == 0 {
				continue
			}
			if err := p.set(values, scope); err != nil {
				return err
			}
		}
		return nil
	})
}

// set sets the field as the conversions do that are generated for upstream.
func (p parameter) set(values []string, scope conversion.Scope) error {
	switch field := p.field.(type) {
	case *string:
		return runtime.Convert_Slice_string_To_string(&values, field, scope)
	case **string:
		*field = &values[0]
		return nil
	case *[]string:
		*field = values
		return nil
	case *bool:
		return runtime.Convert_Slice_string_To_bool(&values, field, scope)
	case **int64:
		return runtime.Convert_Slice_string_To_Pointer_int64(&values, field, scope)
	case *[]int32:
		return metav1.Convert_Slice_string_To_Slice_int32(&values, field, scope)
	case **metav1.Time:
		return metav1.Convert_Slice_string_To_Pointer_v1_Time(&values, field, scope)
	default:
		return fmt.Errorf("no conversion to %T", field)
	}
}
