package registry

import (
	"slices"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	"github.com/portolan-dev/portolan/pkg/registry/customresourcedefinition"
	"github.com/portolan-dev/portolan/pkg/registry/generic"
)

// extensionKinds returns the kinds of objects with which users extend the API.
func extensionKinds() []Kind {
	return []Kind{
		{
			Kind: generic.Kind{
				Resource: apiextensions.Resource("customresourcedefinitions"), Singular: "customresourcedefinition",
				New: object[apiextensions.CustomResourceDefinition], NewList: object[apiextensions.CustomResourceDefinitionList],
				Table: customresourcedefinition.TableConvertor, Attributes: customresourcedefinition.Attributes,
			},
			Rules: func(in Inputs) generic.Rules { return customresourcedefinition.Rules(in.Typer, isOwnGroup) },
			Groups: []generic.Group{{
				GroupVersion: apiextensionsv1.SchemeGroupVersion,
				Names:        generic.Names{Short: []string{"crd", "crds"}, Sets: []string{"api-extensions"}},
			}},
			Serve: serve(customresourcedefinition.Serve),
		},
	}
}

// isOwnGroup reports whether a server has kinds or reviews in an API group.
func isOwnGroup(group string) bool {
	return slices.ContainsFunc(Kinds(), func(kind Kind) bool {
		return slices.ContainsFunc(kind.Groups, func(g generic.Group) bool { return g.Group == group })
	}) || slices.ContainsFunc(Reviews(), func(review Review) bool { return review.GroupVersion.Group == group })
}
