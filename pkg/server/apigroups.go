package server

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/kube-openapi/pkg/validation/spec"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/registry"
)

// namer names models and says of which kinds they are.
type namer func(model string) (string, spec.Extensions)

// kindsExtension lists the kinds of a model.
const kindsExtension = "x-kubernetes-group-version-kind"

// installGroups installs the API groups: portolan.dev and, where they are served, the
// core API groups on the same stores.
//
// Groups that are installed together share a converter of managed fields. It must know
// a kind in every group that serves it: it silently drops the field managers of a group
// that it does not know, and an apply over their fields succeeds. Core v1 can only be
// installed by itself. Meanwhile its models also carry the kinds of the same models in
// portolan.dev, and the other way round; the fields are the same.
func (c CompletedConfig) installGroups(generic *genericapiserver.GenericAPIServer, storage *registry.Storage) error {
	own, legacy, others := storage.Groups(c.Extra.Scheme, c.Extra.Codecs)
	if legacy == nil {
		return generic.InstallAPIGroup(own)
	}
	models := c.Generic.OpenAPIV3Config
	published := models.GetDefinitionName
	models.GetDefinitionName = withTwins(published)
	defer func() { models.GetDefinitionName = published }()
	// Where nothing else says so, clients prefer what is installed first.
	if err := generic.InstallLegacyAPIGroup(genericapiserver.DefaultLegacyAPIPrefix, legacy); err != nil {
		return err
	}
	return generic.InstallAPIGroups(append(others, own)...)
}

// withTwins adds to the kinds of the models of Service and Endpoints the kinds of the
// same models in the other group.
func withTwins(names namer) namer {
	twins := map[string]string{}
	for core, own := range map[string]string{
		corev1.Service{}.OpenAPIModelName():   v1.Service{}.OpenAPIModelName(),
		corev1.Endpoints{}.OpenAPIModelName(): v1.Endpoints{}.OpenAPIModelName(),
	} {
		twins[core], twins[own] = own, core
	}
	return func(model string) (string, spec.Extensions) {
		name, extensions := names(model)
		twin, ok := twins[model]
		if !ok {
			return name, extensions
		}
		_, more := names(twin)
		return name, spec.Extensions{kindsExtension: slices.Concat(kindsOf(extensions), kindsOf(more))}
	}
}

// externalKinds leaves the internal versions out, which no client can name.
func externalKinds(names namer) namer {
	return func(model string) (string, spec.Extensions) {
		name, extensions := names(model)
		kinds := slices.DeleteFunc(slices.Clone(kindsOf(extensions)), func(kind any) bool {
			fields, ok := kind.(map[string]any)
			return ok && fields["version"] == runtime.APIVersionInternal
		})
		if len(kinds) == 0 {
			return name, nil
		}
		return name, spec.Extensions{kindsExtension: kinds}
	}
}

func kindsOf(extensions spec.Extensions) []any {
	kinds, _ := extensions[kindsExtension].([]any)
	return kinds
}
