package apigroups

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/endpoints/openapi"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/kube-openapi/pkg/validation/spec"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	generatedopenapi "github.com/portolan-dev/portolan/generated/openapi"
)

// definitionNamer returns the published name of a model, and its extensions, which list
// the model's kinds.
type definitionNamer func(model string) (string, spec.Extensions)

// kindsExtension is the extension that lists the kinds of a model.
const kindsExtension = "x-kubernetes-group-version-kind"

// SetOpenAPI sets a server's OpenAPI v2 and v3 configuration. The server installs the
// documents itself.
func SetOpenAPI(config *genericapiserver.Config, scheme *runtime.Scheme) {
	definitions := openapi.NewDefinitionNamer(scheme)
	const title = "Portolan"
	config.SkipOpenAPIInstallation = true
	config.OpenAPIConfig = genericapiserver.DefaultOpenAPIConfig(generatedopenapi.GetOpenAPIDefinitions, definitions)
	config.OpenAPIConfig.Info.Title = title
	config.OpenAPIConfig.GetDefinitionName = externalKinds(definitions.GetDefinitionName)
	config.OpenAPIV3Config = genericapiserver.DefaultOpenAPIV3Config(generatedopenapi.GetOpenAPIDefinitions, definitions)
	config.OpenAPIV3Config.Info.Title = title
	config.OpenAPIV3Config.GetDefinitionName = externalKinds(definitions.GetDefinitionName)
}

// withSharedKinds makes the models of Service and Endpoints carry the kinds of the same
// models in the other group too.
func withSharedKinds(inner definitionNamer) definitionNamer {
	others := map[string]string{}
	for core, portolan := range map[string]string{
		corev1.Service{}.OpenAPIModelName():   v1.Service{}.OpenAPIModelName(),
		corev1.Endpoints{}.OpenAPIModelName(): v1.Endpoints{}.OpenAPIModelName(),
	} {
		others[core], others[portolan] = portolan, core
	}
	return func(model string) (string, spec.Extensions) {
		name, extensions := inner(model)
		other, ok := others[model]
		if !ok {
			return name, extensions
		}
		_, more := inner(other)
		return name, spec.Extensions{kindsExtension: slices.Concat(kindsOf(extensions), kindsOf(more))}
	}
}

// externalKinds omits the internal versions, which clients cannot name.
func externalKinds(inner definitionNamer) definitionNamer {
	return func(model string) (string, spec.Extensions) {
		name, extensions := inner(model)
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
