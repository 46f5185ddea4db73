// Command models-schema prints Portolan's OpenAPI definitions as one OpenAPI v2
// document. From it applyconfiguration-gen learns the merge keys of lists, which
// clients need to extract the fields of a field manager.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/validation/spec"

	"github.com/portolan-dev/portolan/generated/openapi"
)

func main() {
	document := spec.Swagger{SwaggerProps: spec.SwaggerProps{
		Swagger:     "2.0",
		Info:        &spec.Info{InfoProps: spec.InfoProps{Title: "Portolan", Version: "unversioned"}},
		Definitions: definitions(),
	}}
	if err := json.NewEncoder(os.Stdout).Encode(&document); err != nil {
		fmt.Fprintln(os.Stderr, "models-schema:", err)
		os.Exit(1)
	}
}

func definitions() spec.Definitions {
	schemas := spec.Definitions{}
	for name, definition := range openapi.GetOpenAPIDefinitions(reference) {
		schemas[name] = definition.Schema
		// Types such as IntOrString have a separate schema for v2.
		if v2, ok := definition.Schema.Extensions[common.ExtensionV2Schema].(spec.Schema); ok {
			schemas[name] = v2
		}
	}
	return schemas
}

func reference(name string) spec.Ref {
	return spec.MustCreateRef("#/definitions/" + name)
}
