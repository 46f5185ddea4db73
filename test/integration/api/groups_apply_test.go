package api

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/test/framework"
)

// appliedTwice are two configurations of one object that want one field
// otherwise. %s is for its name.
type appliedTwice struct {
	group, path, first, second, field string
}

func appliedTwices() []appliedTwice {
	return []appliedTwice{
		{
			"", "/namespaces/default/services/%s",
			`"kind":"Service","metadata":{"name":"%s"},"spec":{"ports":[{"name":"a","port":80}]}`,
			`"kind":"Service","metadata":{"name":"%s"},"spec":{"ports":[{"name":"b","port":80}]}`, `.spec.ports[port=80,protocol="TCP"].name`,
		},
		{
			"", "/namespaces/default/services/%s/status",
			`"kind":"Service","metadata":{"name":"%s"},"status":{"conditions":[{"type":"A","status":"True","reason":"R","message":"","lastTransitionTime":"2026-01-01T00:00:00Z"}]}`,
			`"kind":"Service","metadata":{"name":"%s"},"status":{"conditions":[{"type":"A","status":"False","reason":"R","message":"","lastTransitionTime":"2026-01-01T00:00:00Z"}]}`,
			`.status.conditions[type="A"].status`,
		},
		{
			"", "/namespaces/default/endpoints/%s",
			`"kind":"Endpoints","metadata":{"name":"%s"},"subsets":[{"addresses":[{"ip":"192.0.2.1"}]}]`,
			`"kind":"Endpoints","metadata":{"name":"%s"},"subsets":[{"addresses":[{"ip":"192.0.2.2"}]}]`, `.subsets`,
		},
		{
			discoveryv1.GroupName, "/namespaces/default/endpointslices/%s",
			`"kind":"EndpointSlice","metadata":{"name":"%s"},"addressType":"IPv4","endpoints":[{"addresses":["192.0.2.1"]}]`,
			`"kind":"EndpointSlice","metadata":{"name":"%s"},"addressType":"IPv4","endpoints":[{"addresses":["192.0.2.2"]}]`, `.endpoints`,
		},
		{
			networkingv1.GroupName, "/servicecidrs/%s",
			`"kind":"ServiceCIDR","metadata":{"name":"%s","labels":{"a":"b"}},"spec":{"cidrs":["198.51.100.0/24"]}`,
			`"kind":"ServiceCIDR","metadata":{"name":"%s","labels":{"a":"c"}},"spec":{"cidrs":["198.51.100.0/24"]}`, `.metadata.labels.a`,
		},
		{
			networkingv1.GroupName, "/ipaddresses/203.0.113.%s",
			`"kind":"IPAddress","metadata":{"name":"203.0.113.%s","labels":{"a":"b"}},"spec":{"parentRef":{"resource":"reservations","name":"r"}}`,
			`"kind":"IPAddress","metadata":{"name":"203.0.113.%s","labels":{"a":"c"}},"spec":{"parentRef":{"resource":"reservations","name":"r"}}`,
			`.metadata.labels.a`,
		},
	}
}

// apply sends a configuration to a group.
func apply(t *testing.T, server *framework.Server, group, path, manager, fields string, force bool) (*metav1.PartialObjectMetadata, error) {
	prefix, version := "/apis/"+group+"/v1", group+"/v1"
	if group == "" {
		prefix, version = "/api/v1", "v1"
	}
	result := server.Client.Discovery().RESTClient().Patch(types.ApplyPatchType).AbsPath(prefix+path).
		Param("fieldManager", manager).Param("force", fmt.Sprint(force)).
		Body([]byte(`{"apiVersion":"` + version + `",` + fields + `}`)).Do(t.Context())
	if err := result.Error(); err != nil {
		return nil, err
	}
	raw, err := result.Raw()
	if err != nil {
		return nil, err
	}
	object := &metav1.PartialObjectMetadata{}
	return object, json.Unmarshal(raw, object)
}

// TestAppliesThroughTwoGroups has a manager that owns fields through one group
// conflict with a manager that applies through the other.
func TestAppliesThroughTwoGroups(t *testing.T) {
	t.Parallel()
	server := framework.Start(t, nil)
	for _, test := range appliedTwices() {
		for number, groups := range [][2]string{{test.group, v1.GroupName}, {v1.GroupName, test.group}} {
			filled := func(pattern string) string { return strings.Replace(pattern, "%s", fmt.Sprint(7+number), 1) }
			what := fmt.Sprintf("%s, first in %q", test.path, groups[0])
			if test.field == ".metadata.labels.a" && strings.HasPrefix(test.path, "/servicecidrs") {
				filled = func(pattern string) string { return strings.Replace(pattern, "%s", fmt.Sprintf("r%d", number), 1) }
			}
			made, err := apply(t, server, groups[0], filled(test.path), "first", filled(test.first), false)
			if err != nil {
				t.Errorf("%s: %v", what, err)
				continue
			}
			if entry := managerOf(made, "first"); entry == nil || schemaGroup(entry.APIVersion) != groups[0] {
				t.Errorf("%s: the managers are %+v", what, made.ManagedFields)
			}
			_, err = apply(t, server, groups[1], filled(test.path), "second", filled(test.second), false)
			if !apierrors.IsConflict(err) || !strings.Contains(err.Error(), `conflict with "first"`) || !strings.Contains(err.Error(), test.field) {
				t.Errorf("%s: over another's field: %v", what, err)
			}
			forced, err := apply(t, server, groups[1], filled(test.path), "second", filled(test.second), true)
			if err != nil {
				t.Errorf("%s: by force: %v", what, err)
				continue
			}
			if entry := managerOf(forced, "second"); entry == nil || schemaGroup(entry.APIVersion) != groups[1] {
				t.Errorf("%s: the managers are %+v", what, forced.ManagedFields)
			}
		}
	}
}

func managerOf(object metav1.Object, manager string) *metav1.ManagedFieldsEntry {
	fields := object.GetManagedFields()
	index := slices.IndexFunc(fields, func(entry metav1.ManagedFieldsEntry) bool { return entry.Manager == manager })
	if index < 0 {
		return nil
	}
	return &fields[index]
}

func schemaGroup(version string) string {
	group, _, found := strings.Cut(version, "/")
	if !found {
		return ""
	}
	return group
}
