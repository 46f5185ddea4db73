package core

import (
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/runtime"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

// addDefaults registers the defaults of portolan/v1 for upstream's types. The
// kinds of networking.k8s.io have none.
func addDefaults(scheme *runtime.Scheme) {
	scheme.AddTypeDefaultingFunc(&corev1.Service{}, func(obj any) { v1.SetDefaults_Service((*v1.Service)(obj.(*corev1.Service))) })
	scheme.AddTypeDefaultingFunc(&corev1.ServiceList{}, func(obj any) {
		items := obj.(*corev1.ServiceList).Items
		for i := range items {
			v1.SetDefaults_Service((*v1.Service)(&items[i]))
		}
	})
	scheme.AddTypeDefaultingFunc(&corev1.Endpoints{}, func(obj any) { v1.SetDefaults_Endpoints((*v1.Endpoints)(obj.(*corev1.Endpoints))) })
	scheme.AddTypeDefaultingFunc(&corev1.EndpointsList{}, func(obj any) {
		items := obj.(*corev1.EndpointsList).Items
		for i := range items {
			v1.SetDefaults_Endpoints((*v1.Endpoints)(&items[i]))
		}
	})
	scheme.AddTypeDefaultingFunc(&discoveryv1.EndpointSlice{}, func(obj any) {
		v1.SetDefaults_EndpointSlice((*v1.EndpointSlice)(obj.(*discoveryv1.EndpointSlice)))
	})
	scheme.AddTypeDefaultingFunc(&discoveryv1.EndpointSliceList{}, func(obj any) {
		items := obj.(*discoveryv1.EndpointSliceList).Items
		for i := range items {
			v1.SetDefaults_EndpointSlice((*v1.EndpointSlice)(&items[i]))
		}
	})
}
