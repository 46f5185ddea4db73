// Package customresourcedefinition is the registry of CustomResourceDefinitions. Their rules
// are those of k8s.io/apiextensions-apiserver. Package customresources serves the kinds that
// they define.
package customresourcedefinition

import (
	"context"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	"k8s.io/apiextensions-apiserver/pkg/registry/customresourcedefinition"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/portolan-dev/portolan/pkg/registry/generic"
)

// Rules returns the rules of CustomResourceDefinitions. own reports whether the server has
// kinds of its own in an API group.
func Rules(typer runtime.ObjectTyper, own func(group string) bool) generic.Rules {
	return generic.Rules{
		Strategy: strategy{customresourcedefinition.NewStrategy(typer), own},
		Status:   customresourcedefinition.NewStatusStrategy(typer),
	}
}

// upstream is what the library's strategy implements.
type upstream interface {
	generic.Strategy
	rest.ResetFieldsStrategy
}

type strategy struct {
	upstream
	own func(group string) bool
}

// Validate also rejects definitions in an API group of the server's own kinds. kube-apiserver
// accepts them, and then serves its own kind of the name, or none in the version.
func (s strategy) Validate(ctx context.Context, obj runtime.Object) field.ErrorList {
	errs := s.upstream.Validate(ctx, obj)
	if group := obj.(*apiextensions.CustomResourceDefinition).Spec.Group; s.own(group) {
		errs = append(errs, field.Invalid(field.NewPath("spec", "group"), group, "the server has kinds of its own in this group"))
	}
	return errs
}
