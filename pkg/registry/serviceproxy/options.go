package serviceproxy

import (
	"net/url"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/conversion"
	"k8s.io/apimachinery/pkg/runtime"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

// AddToScheme registers upstream's ServiceProxyOptions in portolan.dev/v1 and in core
// v1, with the conversion from a query. Only the server needs it; clients send a path.
func AddToScheme(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(v1.SchemeGroupVersion, &corev1.ServiceProxyOptions{})
	scheme.AddKnownTypes(corev1.SchemeGroupVersion, &corev1.ServiceProxyOptions{})
	return scheme.AddConversionFunc((*url.Values)(nil), (*corev1.ServiceProxyOptions)(nil),
		func(query, options any, _ conversion.Scope) error {
			options.(*corev1.ServiceProxyOptions).Path = query.(*url.Values).Get("path")
			return nil
		})
}
