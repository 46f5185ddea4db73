//go:build e2e

package delegation

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/portolan-dev/portolan/test/framework"
)

// TestGatewaySchemas compares the schemas of what a gateway serves with those of the
// cluster, whose release differs from that of Portolan's libraries. Clients read the
// cluster's. A field that only one of the two has must be dropped from requests and
// answers, as kube-apiserver drops the fields of disabled features.
func TestGatewaySchemas(t *testing.T) {
	kube := framework.StartKube(t)
	own := framework.Start(t, nil)
	compared := 0
	for document, roots := range map[string][]string{
		"api/v1":                    {"core.v1.Service", "core.v1.ServiceList", "core.v1.Endpoints", "core.v1.EndpointsList"},
		"apis/discovery.k8s.io/v1":  {"discovery.v1.EndpointSlice", "discovery.v1.EndpointSliceList"},
		"apis/networking.k8s.io/v1": {"networking.v1.ServiceCIDRList", "networking.v1.IPAddressList"},
	} {
		ours, theirs := schemas(t, own.Config, document), schemas(t, kube.Config, document)
		seen := map[string]bool{}
		for _, root := range roots {
			compared += compareSchemas(t, "io.k8s.api."+root, ours, theirs, seen)
		}
	}
	if compared < 30 {
		t.Errorf("only %d schemas were compared", compared)
	}
}

// compareSchemas compares a schema and those that it refers to, and returns how many.
func compareSchemas(t *testing.T, name string, ours, theirs map[string]any, seen map[string]bool) int {
	t.Helper()
	if seen[name] {
		return 0
	}
	seen[name] = true
	if ours[name] == nil || theirs[name] == nil {
		t.Errorf("%s: ours %t, the cluster's %t", name, ours[name] != nil, theirs[name] != nil)
		return 0
	}
	var refs []string
	own := plain(ours[name], &refs)
	if other := plain(theirs[name], new([]string)); !reflect.DeepEqual(own, other) {
		t.Errorf("%s:\nours          %s\nthe cluster's %s", name, text(t, own), text(t, other))
	}
	compared := 1
	for _, ref := range refs {
		compared += compareSchemas(t, ref, ours, theirs, seen)
	}
	return compared
}

// plain removes from a schema the descriptions, what lists the groups that share it, and
// the defaults of empty values, which generators of releases write or leave out. It
// collects the names of other schemas.
func plain(schema any, refs *[]string) any {
	switch schema := schema.(type) {
	case map[string]any:
		made := map[string]any{}
		for key, value := range schema {
			switch key {
			case "description":
				if _, property := value.(map[string]any); !property {
					continue
				}
			case "x-kubernetes-group-version-kind":
				continue
			case "default":
				if value == "" || reflect.DeepEqual(value, map[string]any{}) {
					continue
				}
			case "$ref":
				if ref, is := value.(string); is {
					*refs = append(*refs, strings.TrimPrefix(ref, "#/components/schemas/"))
				}
			}
			made[key] = plain(value, refs)
		}
		if all, is := made["allOf"].([]any); is && len(all) == 1 && len(made) == 1 {
			return all[0]
		}
		return made
	case []any:
		var made []any
		for _, value := range schema {
			made = append(made, plain(value, refs))
		}
		return made
	default:
		return schema
	}
}

func schemas(t *testing.T, config *rest.Config, document string) map[string]any {
	t.Helper()
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := client.RESTClient().Get().AbsPath("/openapi/v3", document).Do(t.Context()).Raw()
	if err != nil {
		t.Fatal(err)
	}
	var read struct {
		Components struct {
			Schemas map[string]any `json:"schemas"`
		} `json:"components"`
	}
	if err := json.Unmarshal(raw, &read); err != nil {
		t.Fatal(err)
	}
	return read.Components.Schemas
}

func text(t *testing.T, schema any) string {
	t.Helper()
	data, err := json.Marshal(schema)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
