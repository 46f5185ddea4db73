package server

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	informers "k8s.io/apiextensions-apiserver/pkg/client/informers/externalversions/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"

	"github.com/portolan-dev/portolan/pkg/controllers/garbagecollector"
	"github.com/portolan-dev/portolan/pkg/registry"
)

// garbageCollector returns the configuration of the garbage collector.
func (c CompletedConfig) garbageCollector(storage *registry.Storage, definitions informers.CustomResourceDefinitionInformer) (
	*garbagecollector.Config, error) {
	config := unlimited(c.Generic.LoopbackClientConfig)
	// Every answer about Endpoints has a warning that they are deprecated.
	config.WarningHandlerWithContext = rest.NoWarnings{}
	client, err := metadata.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("client of the server itself: %w", err)
	}
	kinds, err := collectedKinds(storage, c.Extra.Scheme)
	return &garbagecollector.Config{Client: client, Kinds: kinds, Definitions: definitions}, err
}

// collectedKinds returns all kinds of the table, each one once.
func collectedKinds(storage *registry.Storage, typer runtime.ObjectTyper) ([]garbagecollector.Kind, error) {
	var kinds []garbagecollector.Kind
	for _, kind := range registry.Kinds() {
		names, _, err := typer.ObjectKinds(kind.New())
		if err != nil {
			return nil, err
		}
		collected := garbagecollector.Kind{
			Resource:   kind.CoreGroup().WithResource(kind.Resource.Resource),
			Namespaced: kind.DeletionOrder > 0,
			Source:     storage.Store(kind.Resource),
			Ignored:    kind.Resource == corev1.Resource("events"),
		}
		collected.Names = append(collected.Names, kind.CoreGroup().WithKind(names[0].Kind))
		for _, group := range kind.Groups {
			if group.GroupVersion != kind.CoreGroup() {
				collected.Names = append(collected.Names, group.WithKind(names[0].Kind))
			}
		}
		kinds = append(kinds, collected)
	}
	return kinds, nil
}
