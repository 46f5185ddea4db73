//go:build e2e

package aggregated

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	apidiscoveryv2 "k8s.io/api/apidiscovery/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/restmapper"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/generated/clientset/versioned"
	"github.com/portolan-dev/portolan/test/framework"
)

// testDiscovery finds the group in what the cluster says that it has.
func testDiscovery(t *testing.T, g *fixture) {
	rest := g.client.Discovery().RESTClient()
	raw := func(path, accept string) []byte {
		t.Helper()
		body, err := rest.Get().AbsPath(path).SetHeader("Accept", accept).DoRaw(t.Context())
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		return body
	}
	var groups apidiscoveryv2.APIGroupDiscoveryList
	if err := json.Unmarshal(raw("/apis", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"), &groups); err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(groups.Items, func(group apidiscoveryv2.APIGroupDiscovery) bool { return group.Name == v1.GroupName })
	if at < 0 {
		t.Fatal("the cluster's discovery has no such group")
	}
	version := groups.Items[at].Versions[0]
	if version.Version != "v1" || version.Freshness != apidiscoveryv2.DiscoveryFreshnessCurrent {
		t.Errorf("version %s is %s", version.Version, version.Freshness)
	}
	var found []string
	for _, resource := range version.Resources {
		found = append(found, resource.Resource)
	}
	for _, want := range []string{
		"services", "endpoints", "endpointslices", "servicecidrs", "ipaddresses", "nodeportranges", "nodeports", "loadbalancerpools",
		"loadbalancerips", "claimquotas",
	} {
		if !slices.Contains(found, want) {
			t.Errorf("no %s among %v", want, found)
		}
	}

	// The cluster takes in its documents a little later than the group.
	framework.Eventually(t, "OpenAPI has the group", func(context.Context) (bool, error) {
		var index struct {
			Paths map[string]struct {
				ServerRelativeURL string `json:"serverRelativeURL"`
			} `json:"paths"`
		}
		if err := json.Unmarshal(raw("/openapi/v3", "application/json"), &index); err != nil {
			return false, err
		}
		path, query, _ := strings.Cut(index.Paths["apis/portolan.dev/v1"].ServerRelativeURL, "?")
		if path == "" || !strings.Contains(query, "hash=") {
			return false, fmt.Errorf("the index of version 3 has %d paths, and %q for the group", len(index.Paths), path)
		}
		for _, document := range []string{path, "/openapi/v2"} {
			body := string(raw(document, "application/json"))
			for _, want := range []string{"/apis/portolan.dev/v1/namespaces/{namespace}/services/{name}/status", `"kind":"NodePortRange"`} {
				if !strings.Contains(body, want) {
					return false, fmt.Errorf("%s has no %s", document, want)
				}
			}
		}
		return true, nil
	})
}

// testClients has the clients that know no types find the group in discovery, of
// both forms, and do with it what they do with all others.
func testClients(t *testing.T, g *fixture) {
	ctx := t.Context()
	ns := g.newNamespace(t, "clients")
	for form, legacy := range map[string]bool{"aggregated": false, "legacy": true} {
		discover, err := discovery.NewDiscoveryClientForConfig(g.admin)
		if err != nil {
			t.Fatal(err)
		}
		discover.UseLegacyDiscovery = legacy
		groups, err := restmapper.GetAPIGroupResources(discover)
		if err != nil {
			t.Fatal(err)
		}
		mapper := restmapper.NewDiscoveryRESTMapper(groups)
		mapping, err := mapper.RESTMapping(v1.SchemeGroupVersion.WithKind("Service").GroupKind(), "v1")
		if err != nil {
			t.Fatalf("%s discovery: %v", form, err)
		}
		// The cluster's own kind is still what the bare name means.
		if bare, err := mapper.ResourceFor(schema.GroupVersionResource{Resource: "services"}); err != nil || bare.Group != "" {
			t.Errorf("%s discovery: services are %v, %v", form, bare, err)
		}
		services := g.dynamic.Resource(mapping.Resource).Namespace(ns)
		object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(newService(form))
		if err != nil {
			t.Fatal(err)
		}
		made := &unstructured.Unstructured{Object: object}
		made.SetGroupVersionKind(mapping.GroupVersionKind)
		if made, err = services.Create(ctx, made, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		if ip, _, err := unstructured.NestedString(made.Object, "spec", "clusterIP"); err != nil || ip == "" {
			t.Errorf("made %v, %v", made, err)
		}
		metadataClient, err := metadata.NewForConfig(g.admin)
		if err != nil {
			t.Fatal(err)
		}
		partial, err := metadataClient.Resource(mapping.Resource).Namespace(ns).Get(ctx, form, metav1.GetOptions{})
		if err != nil || partial.UID != made.GetUID() {
			t.Errorf("the metadata: %v, %v", partial, err)
		}
		if err := services.Delete(ctx, form, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	}
}

// testProtobuf reads, writes and watches in protobuf through the cluster.
func testProtobuf(t *testing.T, g *fixture) {
	ctx := t.Context()
	ns := g.newNamespace(t, "protobuf")
	config := g.configOf(t, g.kubeconfig)
	config.ContentType, config.AcceptContentTypes = runtime.ContentTypeProtobuf, runtime.ContentTypeProtobuf
	client, err := versioned.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	services := client.PortolanV1().Services(ns)
	watch, err := services.Watch(ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Stop()
	made, err := services.Create(ctx, newService("web", nodePort(0)), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	event, ok := <-watch.ResultChan()
	if seen, is := event.Object.(*v1.Service); !ok || !is || seen.ResourceVersion != made.ResourceVersion ||
		seen.Spec.ClusterIP != made.Spec.ClusterIP {
		t.Errorf("made %v, watched %v", made, event.Object)
	}
	var contentType string
	result := client.PortolanV1().RESTClient().Get().Namespace(ns).Resource("services").Do(ctx).ContentType(&contentType)
	if err := result.Error(); err != nil || contentType != runtime.ContentTypeProtobuf {
		t.Errorf("a list is %s, %v", contentType, err)
	}
	list, err := services.List(ctx, metav1.ListOptions{})
	if err != nil || len(list.Items) != 1 || list.Items[0].UID != made.UID {
		t.Errorf("listed %v, %v", list, err)
	}
}
