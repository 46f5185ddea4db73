package admission

import (
	"fmt"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/informers"
)

// Informers returns the informers for plugins. Policies watch their parameters with informers
// of their own. Where the factory has an informer for the kind, the framework (policy/generic,
// policy_source.go) would share it, and stop it with the last policy of the kind: the next
// policy would get the stopped informer and its old objects. A stop of the factory would also
// wait for it, and it would wait for the end of all requests.
func Informers(factory informers.SharedInformerFactory) informers.SharedInformerFactory {
	return pluginInformers{factory}
}

type pluginInformers struct {
	informers.SharedInformerFactory
}

// ForResource implements informers.SharedInformerFactory.
func (pluginInformers) ForResource(resource schema.GroupVersionResource) (informers.GenericInformer, error) {
	return nil, fmt.Errorf("plugins share no informer for %v", resource)
}
