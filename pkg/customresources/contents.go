package customresources

import (
	"context"
	"fmt"

	"k8s.io/apiextensions-apiserver/pkg/apihelpers"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/client/clientset/clientset"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	apirequest "k8s.io/apiserver/pkg/endpoints/request"
	apirest "k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"

	"github.com/portolan-dev/portolan/pkg/registry"
)

// NewContents returns a function that returns the custom resources that namespaces hold. The
// configuration is that of a client of the server.
func NewContents(config *rest.Config) (func(context.Context) ([]registry.NamespacedResource, error), error) {
	definitions, err := clientset.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("client of custom resources: %w", err)
	}
	objects, err := metadata.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("client of custom resources: %w", err)
	}
	return func(ctx context.Context) ([]registry.NamespacedResource, error) {
		list, err := definitions.ApiextensionsV1().CustomResourceDefinitions().List(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, err
		}
		var resources []registry.NamespacedResource
		for i := range list.Items {
			definition := &list.Items[i]
			version, served := servedVersion(definition)
			if definition.Spec.Scope != apiextensionsv1.NamespaceScoped || !served ||
				!apihelpers.IsCRDConditionTrue(definition, apiextensionsv1.Established) {
				continue
			}
			resource := schema.GroupResource{Group: definition.Spec.Group, Resource: definition.Spec.Names.Plural}
			resources = append(resources, registry.NamespacedResource{
				GroupResource: resource, Objects: contents{objects.Resource(resource.WithVersion(version))},
			})
		}
		return resources, nil
	}, nil
}

// servedVersion returns a version in which clients may use the kind of a definition.
func servedVersion(definition *apiextensionsv1.CustomResourceDefinition) (version string, served bool) {
	for _, v := range definition.Spec.Versions {
		if v.Served {
			return v.Name, true
		}
	}
	return "", false
}

// contents are the objects of a resource in the namespace of the context.
type contents struct {
	client metadata.Getter
}

// List implements registry.Lister.
func (c contents) List(ctx context.Context, _ *metainternalversion.ListOptions) (runtime.Object, error) {
	return c.client.Namespace(apirequest.NamespaceValue(ctx)).List(ctx, metav1.ListOptions{})
}

// DeleteCollection implements rest.CollectionDeleter.
func (c contents) DeleteCollection(ctx context.Context, _ apirest.ValidateObjectFunc, options *metav1.DeleteOptions,
	_ *metainternalversion.ListOptions) (runtime.Object, error) {
	return nil, c.client.Namespace(apirequest.NamespaceValue(ctx)).DeleteCollection(ctx, *options, metav1.ListOptions{})
}
