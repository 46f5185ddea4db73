package writeback

import (
	"sync"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// Resources that a clientset has no types for.
var (
	definitions = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
	apiServices = schema.GroupVersionResource{Group: "apiregistration.k8s.io", Version: "v1", Resource: "apiservices"}
)

// referencesOf returns the Services that an object makes kube-apiserver connect to.
func referencesOf(obj any) []types.NamespacedName {
	var found []types.NamespacedName
	add := func(config admissionregistrationv1.WebhookClientConfig) {
		if config.Service != nil {
			found = append(found, types.NamespacedName{Namespace: config.Service.Namespace, Name: config.Service.Name})
		}
	}
	switch o := obj.(type) {
	case *admissionregistrationv1.ValidatingWebhookConfiguration:
		for i := range o.Webhooks {
			add(o.Webhooks[i].ClientConfig)
		}
	case *admissionregistrationv1.MutatingWebhookConfiguration:
		for i := range o.Webhooks {
			add(o.Webhooks[i].ClientConfig)
		}
	case *unstructured.Unstructured:
		for _, path := range [][]string{{"spec", "service"}, {"spec", "conversion", "webhook", "clientConfig", "service"}} {
			service, ok, _ := unstructured.NestedMap(o.Object, path...)
			if !ok {
				continue
			}
			namespace, _ := service["namespace"].(string)
			name, _ := service["name"].(string)
			if namespace != "" && name != "" {
				found = append(found, types.NamespacedName{Namespace: namespace, Name: name})
			}
		}
	}
	return found
}

// trim removes the schemas of CustomResourceDefinitions, which are large and not read.
func trim(obj any) (any, error) {
	o, ok := obj.(*unstructured.Unstructured)
	if !ok {
		return obj, nil
	}
	trimmed := &unstructured.Unstructured{Object: map[string]any{}}
	trimmed.SetAPIVersion(o.GetAPIVersion())
	trimmed.SetKind(o.GetKind())
	trimmed.SetName(o.GetName())
	trimmed.SetUID(o.GetUID())
	trimmed.SetResourceVersion(o.GetResourceVersion())
	for _, field := range []string{"service", "conversion"} {
		value, found, _ := unstructured.NestedMap(o.Object, "spec", field)
		if !found {
			continue
		}
		if err := unstructured.SetNestedMap(trimmed.Object, value, "spec", field); err != nil {
			return nil, err
		}
	}
	return trimmed, nil
}

// references counts, for each Service, the objects that refer to it.
type references struct {
	mu sync.Mutex
	// of has the references of each object, from which set derives the change.
	of    map[object][]types.NamespacedName
	count map[types.NamespacedName]int
}

// object identifies an object that refers to Services.
type object struct {
	kind, name string
}

func newReferences() *references {
	return &references{of: map[object][]types.NamespacedName{}, count: map[types.NamespacedName]int{}}
}

// set records the references of an object and returns the Services that it refers to or
// referred to.
func (r *references) set(key object, now []types.NamespacedName) (changed []types.NamespacedName) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.of[key]
	for _, name := range now {
		r.count[name]++
	}
	for _, name := range before {
		if r.count[name]--; r.count[name] == 0 {
			delete(r.count, name)
		}
	}
	if r.of[key] = now; len(now) == 0 {
		delete(r.of, key)
	}
	return append(append([]types.NamespacedName(nil), before...), now...)
}

// has reports whether any object refers to a Service.
func (r *references) has(name types.NamespacedName) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.count[name] > 0
}

func keyOf(obj runtime.Object) object {
	switch o := obj.(type) {
	case *admissionregistrationv1.ValidatingWebhookConfiguration:
		return object{"validating", o.Name}
	case *admissionregistrationv1.MutatingWebhookConfiguration:
		return object{"mutating", o.Name}
	case *unstructured.Unstructured:
		return object{o.GetKind(), o.GetName()}
	}
	return object{}
}
