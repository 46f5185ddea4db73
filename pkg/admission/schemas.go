package admission

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/openapi"
	"k8s.io/client-go/rest"
)

// WithSchemas returns a client for the plugins of a standalone server, whose own API groups
// are builtIn. It lists the OpenAPI v3 documents without reading the list, as long as there
// are no custom resources. The plugin MutatingAdmissionPolicy lists them every five seconds
// (framework, policy/mutating/patch/typeconverter.go). The list that the server serves has a
// hash of every document, so a server would build all of them when it starts and keep them:
// 27 MB. The documents of its own groups do not change.
func WithSchemas(client kubernetes.Interface, builtIn []schema.GroupVersion) kubernetes.Interface {
	paths := map[string]openapi.GroupVersion{}
	reader := client.Discovery().RESTClient()
	for _, gv := range builtIn {
		path := "apis/" + gv.String()
		if gv.Group == "" {
			path = "api/" + gv.Version
		}
		paths[path] = document{reader, "/openapi/v3/" + path}
	}
	return schemaClient{client, schemas{client.Discovery(), builtIn, paths}}
}

type schemaClient struct {
	kubernetes.Interface
	schemas schemas
}

// Discovery implements kubernetes.Interface.
func (c schemaClient) Discovery() discovery.DiscoveryInterfaces { return c.schemas }

type schemas struct {
	discovery.DiscoveryInterfaces
	builtIn []schema.GroupVersion
	paths   map[string]openapi.GroupVersion
}

// OpenAPIV3 implements discovery.DiscoveryInterface.
func (s schemas) OpenAPIV3() openapi.Client { return s }

// Paths implements openapi.Client.
func (s schemas) Paths() (map[string]openapi.GroupVersion, error) {
	raw, err := s.RESTClient().Get().AbsPath("/apis").SetHeader("Accept", runtime.ContentTypeJSON).Do(context.Background()).Raw()
	if err != nil {
		return nil, err
	}
	var served metav1.APIGroupList
	if err := json.Unmarshal(raw, &served); err != nil {
		return nil, fmt.Errorf("list of API groups: %w", err)
	}
	for _, group := range served.Groups {
		if !slices.ContainsFunc(s.builtIn, func(gv schema.GroupVersion) bool { return gv.Group == group.Name }) {
			return s.DiscoveryInterfaces.OpenAPIV3().Paths()
		}
	}
	return s.paths, nil
}

// document is the OpenAPI v3 document of an API group's version.
type document struct {
	client rest.Interface
	path   string
}

var _ openapi.GroupVersion = document{}

// Schema implements openapi.GroupVersion.
func (d document) Schema(contentType string) ([]byte, error) {
	return d.client.Get().AbsPath(d.path).SetHeader("Accept", contentType).Do(context.Background()).Raw()
}

// ServerRelativeURL implements openapi.GroupVersion.
func (d document) ServerRelativeURL() string { return d.path }
