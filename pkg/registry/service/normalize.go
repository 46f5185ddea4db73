package service

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/service"
)

// Families returns the IP families of the cluster, the default one first.
type Families func() []corev1.IPFamily

// normalize brings a Service that an older release stored, or each one in a list, into
// today's form. See service.NormalizeOnRead.
func normalize(obj runtime.Object, families Families) {
	switch obj := obj.(type) {
	case *v1.Service:
		if len(obj.Spec.IPFamilies) == 0 {
			service.NormalizeOnRead(obj, families())
		}
	case *v1.ServiceList:
		for i := range obj.Items {
			normalize(&obj.Items[i], families)
		}
	}
}
