package customresourcedefinition

import (
	"context"

	"k8s.io/apiextensions-apiserver/pkg/registry/customresourcedefinition"
	"k8s.io/apiextensions-apiserver/pkg/registry/customresourcedefinition/tableconvertor"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/portolan-dev/portolan/pkg/registry/generic"
)

// TableConvertor has the library's columns.
var TableConvertor = tableconvertor.New()

// Attributes returns the labels and fields for selectors.
var Attributes = customresourcedefinition.GetAttrs

// served deletes a definition as the library does.
type served struct {
	generic.Store
}

// Serve returns the storage for clients of a store.
func Serve(store generic.Store) rest.Storage { return served{store} }

// Delete implements rest.GracefulDeleter. It marks the definition. The library's controller
// deletes the objects of the kind, and then the definition.
func (s served) Delete(ctx context.Context, name string, validate rest.ValidateObjectFunc,
	options *metav1.DeleteOptions) (runtime.Object, bool, error) {
	upstream := customresourcedefinition.REST{Store: s.Store.Store}
	return upstream.Delete(ctx, name, validate, options)
}
