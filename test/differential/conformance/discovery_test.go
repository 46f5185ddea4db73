package conformance

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	apidiscoveryv2 "k8s.io/api/apidiscovery/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
)

func discoveries() behaviors {
	return behaviors{
		"resources":          resourcesServed,
		"aggregated":         aggregatedDiscovery,
		"aggregated, raw":    rawAggregatedDiscovery,
		"preferred versions": preferredVersions,
		"missing resources":  resourcesMissing,
		"OpenAPI":            openAPI,
		"version":            serverVersion,
		"timeouts":           requestTimeouts,
		"health":             health,
	}
}

const (
	changing  = "create delete get list patch update watch"
	all       = "create delete deletecollection get list patch update watch"
	ofAStatus = "get patch update"
)

// served describes the resources that both servers have: by the path of the
// group, a line with name, kind, singular, scope, verbs, short names and
// categories.
var served = map[string][]string{
	"v1": {
		"namespaces Namespace namespace cluster " + changing + " [ns] []",
		"namespaces/finalize Namespace - cluster update [] []",
		"namespaces/status Namespace - cluster " + ofAStatus + " [] []",
		"nodes Node node cluster " + all + " [no] []",
		"nodes/status Node - cluster " + ofAStatus + " [] []",
		"pods Pod pod namespaced " + all + " [po] [all]",
		"pods/status Pod - namespaced " + ofAStatus + " [] []",
		"pods/log Pod - namespaced get [] []",
		"pods/exec PodExecOptions - namespaced create get [] []",
		"pods/attach PodAttachOptions - namespaced create get [] []",
		"pods/portforward PodPortForwardOptions - namespaced create get [] []",
		"secrets Secret secret namespaced " + all + " [] []",
		"configmaps ConfigMap configmap namespaced " + all + " [cm] []",
		"serviceaccounts ServiceAccount serviceaccount namespaced " + all + " [sa] []",
		"serviceaccounts/token TokenRequest - namespaced create [] []",
		"services Service service namespaced " + all + " [svc] [all]",
		"services/status Service - namespaced " + ofAStatus + " [] []",
		"services/proxy ServiceProxyOptions - namespaced create delete get patch update [] []",
		"endpoints Endpoints endpoints namespaced " + all + " [ep] []",
		"events Event event namespaced " + all + " [ev] []",
	},
	"discovery.k8s.io/v1": {"endpointslices EndpointSlice endpointslice namespaced " + all + " [] []"},
	"networking.k8s.io/v1": {
		"servicecidrs ServiceCIDR servicecidr cluster " + all + " [] []",
		"servicecidrs/status ServiceCIDR - cluster " + ofAStatus + " [] []",
		"ipaddresses IPAddress ipaddress cluster " + all + " [ip] []",
		"ingresses Ingress ingress namespaced " + all + " [ing] []",
		"ingresses/status Ingress - namespaced " + ofAStatus + " [] []",
		"ingressclasses IngressClass ingressclass cluster " + all + " [] []",
	},
	"events.k8s.io/v1":       {"events Event event namespaced " + all + " [ev] []"},
	"coordination.k8s.io/v1": {"leases Lease lease namespaced " + all + " [] []"},
	admission + "/v1": {
		"validatingadmissionpolicies ValidatingAdmissionPolicy validatingadmissionpolicy cluster " + all + " [] [api-extensions]",
		"validatingadmissionpolicies/status ValidatingAdmissionPolicy - cluster " + ofAStatus + " [] []",
		"validatingadmissionpolicybindings ValidatingAdmissionPolicyBinding validatingadmissionpolicybinding cluster " + all +
			" [] [api-extensions]",
		"validatingwebhookconfigurations ValidatingWebhookConfiguration validatingwebhookconfiguration cluster " + all + " [] [api-extensions]",
		"mutatingadmissionpolicies MutatingAdmissionPolicy mutatingadmissionpolicy cluster " + all + " [] [api-extensions]",
		"mutatingadmissionpolicybindings MutatingAdmissionPolicyBinding mutatingadmissionpolicybinding cluster " + all + " [] [api-extensions]",
		"mutatingwebhookconfigurations MutatingWebhookConfiguration mutatingwebhookconfiguration cluster " + all + " [] [api-extensions]",
	},
}

// resourcesServed: "should locate the groupVersion and a resource within each
// APIGroup".
func resourcesServed(f *fixture) {
	for version, want := range served {
		list, err := f.client.Discovery().ServerResourcesForGroupVersion(version)
		f.ok(version, err)
		if list.GroupVersion != version || list.Kind != "APIResourceList" {
			f.Errorf("%s is %+v", version, list.TypeMeta)
		}
		f.expectLines(version, linesOf(list), want)
		for _, resource := range list.APIResources {
			stored := !strings.Contains(resource.Name, "/")
			if _, known := indexOf(want, resource.Name); known && stored && resource.StorageVersionHash == "" {
				f.Errorf("%s: %s has no storage version hash", version, resource.Name)
			}
		}
	}
}

// linesOf describes resources in the format of served.
func linesOf(list *metav1.APIResourceList) []string {
	var lines []string
	for _, r := range list.APIResources {
		scope, singular := "cluster", r.SingularName
		if r.Namespaced {
			scope = "namespaced"
		}
		if singular == "" {
			singular = "-"
		}
		verbs := slices.Sorted(slices.Values(r.Verbs))
		lines = append(lines, fmt.Sprintf("%s %s %s %s %s %v %v", r.Name, r.Kind, singular, scope, strings.Join(verbs, " "), r.ShortNames,
			r.Categories))
	}
	return lines
}

func indexOf(lines []string, name string) (string, bool) {
	i := slices.IndexFunc(lines, func(line string) bool { return strings.HasPrefix(line, name+" ") })
	if i < 0 {
		return "", false
	}
	return lines[i], true
}

// expectLines wants all listed resources to exist, with the same description.
func (f *fixture) expectLines(what string, got, want []string) {
	f.Helper()
	for _, line := range want {
		name, _, _ := strings.Cut(line, " ")
		if found, _ := indexOf(got, name); found != line {
			f.Errorf("%s: got %q, want %q", what, found, line)
		}
	}
}

// aggregatedDiscovery: "should support aggregated discovery interface".
func aggregatedDiscovery(f *fixture) {
	client, ok := f.client.Discovery().(discovery.AggregatedDiscoveryInterface)
	if !ok {
		f.Fatalf("no aggregated discovery in a %T", f.client.Discovery())
	}
	groups, resources, failed, err := client.GroupsAndMaybeResources()
	f.ok("discovery", err)
	if len(failed) != 0 {
		f.Errorf("failed: %v", failed)
	}
	for version, want := range served {
		want = slices.Clone(want)
		parsed, err := schema.ParseGroupVersion(version)
		f.ok("version", err)
		list, found := resources[parsed]
		if !found {
			f.Fatalf("%s is not among %v", version, slices.Collect(maps.Keys(resources)))
		}
		// Here a subresource has the singular of its resource.
		lines := linesOf(list)
		for i, line := range want {
			if resource, _, isSub := strings.Cut(strings.Fields(line)[0], "/"); isSub {
				singular, _ := indexOf(want, resource)
				want[i] = strings.Replace(line, " - ", " "+strings.Fields(singular)[2]+" ", 1)
			}
		}
		f.expectLines(version, lines, want)
		if !slices.ContainsFunc(groups.Groups, func(group metav1.APIGroup) bool {
			return group.Name == parsed.Group && group.PreferredVersion.GroupVersion == version
		}) {
			f.Errorf("%s is not among %+v", version, groups.Groups)
		}
	}
}

// rawAggregatedDiscovery: "should support raw aggregated discovery endpoint
// Accept headers". The answer to a matching ETag is 304.
func rawAggregatedDiscovery(f *fixture) {
	const accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
	for path, group := range map[string]string{"/api": "", "/apis": "discovery.k8s.io"} {
		got := f.ask(http.MethodGet, path, nil, "Accept", accept)
		var list apidiscoveryv2.APIGroupDiscoveryList
		f.decode(got, &list)
		if got.code != http.StatusOK || f.kindOf(got) != apidiscoveryv2.SchemeGroupVersion.WithKind("APIGroupDiscoveryList") {
			f.Errorf("%s: got %d of %v", path, got.code, f.kindOf(got))
		}
		if !slices.ContainsFunc(list.Items, func(item apidiscoveryv2.APIGroupDiscovery) bool {
			return item.Name == group && item.Versions[0].Version == "v1" && item.Versions[0].Freshness == apidiscoveryv2.DiscoveryFreshnessCurrent
		}) {
			f.Errorf("%s: %q is not among %+v", path, group, list.Items)
		}
		if again := f.ask(http.MethodGet, path, nil, "Accept", accept, "If-None-Match",
			got.header.Get("ETag")); again.code != http.StatusNotModified {
			f.Errorf("%s again: got %d with the tag %q", path, again.code, got.header.Get("ETag"))
		}
		proto := strings.Replace(accept, inJSON, inProtobuf, 1)
		if got := f.ask(http.MethodGet, path, nil, "Accept", proto); got.code != http.StatusOK || got.format != inProtobuf {
			f.Errorf("%s: got %d %s", path, got.code, got.format)
		}
	}
	for path, want := range map[string]string{"/api": "APIVersions", "/apis": "APIGroupList", "/api/v1": "APIResourceList",
		"/apis/discovery.k8s.io": "APIGroup"} {
		for _, format := range []string{inJSON, inYAML, inProtobuf} {
			if got := f.ask(http.MethodGet, path, nil, "Accept", format); got.code != http.StatusOK || f.kindOf(got).Kind != want ||
				got.format != format {
				f.Errorf("%s: got %d %s of %v, want %s", path, got.code, got.format, f.kindOf(got), want)
			}
		}
	}
}

// preferredVersions: "should validate PreferredVersion for each APIGroup".
func preferredVersions(f *fixture) {
	var list metav1.APIGroupList
	f.decode(f.ask(http.MethodGet, "/apis/", nil), &list)
	for version := range served {
		group, _, named := strings.Cut(version, "/")
		if named && !slices.ContainsFunc(list.Groups, func(g metav1.APIGroup) bool { return g.Name == group }) {
			f.Errorf("%s is not among %+v", group, list.Groups)
		}
	}
	for _, group := range list.Groups {
		var one metav1.APIGroup
		f.decode(f.ask(http.MethodGet, "/apis/"+group.Name+"/", nil), &one)
		if one.Name != group.Name || !slices.Contains(one.Versions, one.PreferredVersion) || one.PreferredVersion.GroupVersion == "" {
			f.Errorf("%s prefers %+v of %+v", group.Name, one.PreferredVersion, one.Versions)
		}
	}
}

// resourcesMissing: "should accurately determine present and missing resources".
func resourcesMissing(f *fixture) {
	for resource, want := range map[schema.GroupVersionResource]bool{
		{Version: "v1", Resource: "namespaces"}:                                    true,
		{Group: "discovery.k8s.io", Version: "v1", Resource: "endpointslices"}:     true,
		{Group: "discovery.k8s.io", Version: "v1", Resource: "please-dont-create"}: false,
		{Group: "not-these", Version: "v1", Resource: "endpointslices"}:            false,
	} {
		got, err := discovery.IsResourceEnabled(f.client.Discovery(), resource)
		if err != nil || got != want {
			f.Errorf("%v is there: %t, error %v", resource, got, err)
		}
	}
}
