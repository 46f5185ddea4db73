package api

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	eventsv1 "k8s.io/api/events/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/discovery"
	"k8s.io/utils/ptr"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/server/options"
	"github.com/portolan-dev/portolan/test/framework"
)

// TestDiscoveryOfTwoGroups wants each short name in one group, but for that of
// Events, which upstream has twice as well, and what is
// published of each group to be of that group.
func TestDiscoveryOfTwoGroups(t *testing.T) {
	t.Parallel()
	server := framework.Start(t, nil)
	client := coreClient(t, server).Discovery()
	_, lists, err := client.ServerGroupsAndResources()
	if err != nil {
		t.Fatal(err)
	}
	names, categories := map[string]string{}, map[string][]string{}
	for _, list := range lists {
		for _, resource := range list.APIResources {
			for _, short := range resource.ShortNames {
				if other, taken := names[short]; taken && short != "ev" {
					t.Errorf("%s is short for %s and for %s in %s", short, other, resource.Name, list.GroupVersion)
				}
				names[short] = resource.Name + " in " + list.GroupVersion
			}
			for _, category := range resource.Categories {
				categories[category] = append(categories[category], resource.Name+" in "+list.GroupVersion)
			}
		}
	}
	for short, want := range map[string]string{
		"svc": "services in v1", "ep": "endpoints in v1", "ip": "ipaddresses in networking.k8s.io/v1",
		"psvc": "services in portolan.dev/v1", "pep": "endpoints in portolan.dev/v1",
	} {
		if names[short] != want {
			t.Errorf("%s is short for %q, want %s", short, names[short], want)
		}
	}
	for _, resources := range categories {
		slices.Sort(resources)
	}
	if got := fmt.Sprint(categories); got != "map[all:[pods in v1 services in v1] "+
		"api-extensions:[customresourcedefinitions in apiextensions.k8s.io/v1 mutatingadmissionpolicies in admissionregistration.k8s.io/v1 "+
		"mutatingadmissionpolicybindings in admissionregistration.k8s.io/v1 mutatingwebhookconfigurations in admissionregistration.k8s.io/v1 "+
		"validatingadmissionpolicies in admissionregistration.k8s.io/v1 validatingadmissionpolicybindings in admissionregistration.k8s.io/v1 "+
		"validatingwebhookconfigurations in admissionregistration.k8s.io/v1]]" {
		t.Errorf("the categories are %s", got)
	}
	expectOwnKinds(t, client)
}

// expectOwnKinds wants each model to be of kinds of its own package's group.
func expectOwnKinds(t *testing.T, client discovery.DiscoveryInterface) {
	t.Helper()
	document, err := client.OpenAPISchema()
	if err != nil {
		t.Fatal(err)
	}
	// Objects and lists of ten kinds in portolan.dev, and of nineteen upstream, and Renumbering.
	const ofAKind = 59
	seen := 0
	for _, definition := range document.GetDefinitions().GetAdditionalProperties() {
		for _, extension := range definition.GetValue().GetVendorExtension() {
			if extension.GetName() != "x-kubernetes-group-version-kind" {
				continue
			}
			kinds, name := extension.GetValue().GetYaml(), definition.GetName()
			group, known := "", strings.HasPrefix(name, "io.k8s.api.core.v1.")
			for prefix, other := range map[string]string{
				"dev.portolan.v1.": v1.GroupName, "io.k8s.api.discovery.v1.": discoveryv1.GroupName,
				"io.k8s.api.networking.v1.": networkingv1.GroupName,
				"io.k8s.api.events.v1.":     eventsv1.GroupName, "io.k8s.api.coordination.v1.": coordinationv1.GroupName,
			} {
				if strings.HasPrefix(name, prefix) {
					group, known = other, true
				}
			}
			if !known {
				// Those of the API machinery are of every group.
				continue
			}
			seen++
			if strings.Count(kinds, "kind:") != 1 || !strings.Contains(kinds, "group: "+group) && group != "" ||
				!strings.Contains(kinds, "version: v1\n") {
				t.Errorf("%s is of the kinds\n%s", name, kinds)
			}
		}
	}
	if seen != ofAKind {
		t.Errorf("%d models are of a kind, want %d", seen, ofAKind)
	}
}

// TestOneDoor serves in the group portolan.dev alone.
func TestOneDoor(t *testing.T) {
	t.Parallel()
	server := framework.Start(t, func(o *options.Options) { o.ServeCore = ptr.To(false) })
	_, err := coreClient(t, server).CoreV1().Services("default").List(context.Background(), metav1.ListOptions{})
	if !apierrors.IsNotFound(err) {
		t.Errorf("a group that isn't served: %v", err)
	}
	list, err := server.Client.Discovery().ServerResourcesForGroupVersion(v1.SchemeGroupVersion.String())
	if err != nil {
		t.Fatal(err)
	}
	index := slices.IndexFunc(list.APIResources, func(resource metav1.APIResource) bool { return resource.Name == "services" })
	if got := fmt.Sprint(list.APIResources[index].Categories); got != "[all]" {
		t.Errorf("services are in %s", got)
	}
}
