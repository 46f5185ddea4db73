//go:build e2e

package controllers

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"
)

const mergePatch = types.MergePatchType

// describeEndpoints omits versions and times, and sorts, because upstream's
// order depends on a hash.
func describeEndpoints(e *corev1.Endpoints) any {
	subsets := make([]string, 0, len(e.Subsets))
	for _, subset := range e.Subsets {
		ports := make([]string, 0, len(subset.Ports))
		for _, port := range subset.Ports {
			ports = append(ports, text(port))
		}
		slices.Sort(ports)
		subsets = append(subsets, fmt.Sprintf("ports %s ready %s unready %s",
			strings.Join(ports, " "), text(subset.Addresses), text(subset.NotReadyAddresses)))
	}
	slices.Sort(subsets)
	return map[string]any{
		"endpoints": e.Name, "labels": e.Labels, "annotations": withoutTime(e.Annotations), "subsets": subsets,
	}
}

// describeSlices merges slices with the same metadata and ports. Upstream
// distributes the endpoints among them at random.
func describeSlices(list []discoveryv1.EndpointSlice) []any {
	type group struct {
		slices    int
		endpoints []string
	}
	groups := map[string]*group{}
	for _, slice := range list {
		owners := []string{}
		for _, owner := range slice.OwnerReferences {
			owners = append(owners, fmt.Sprintf("%s %s %v %v", owner.Kind, owner.Name, *owner.Controller, *owner.BlockOwnerDeletion))
		}
		ports := make([]string, 0, len(slice.Ports))
		for _, port := range slice.Ports {
			ports = append(ports, text(port))
		}
		slices.Sort(ports)
		id := strings.Join([]string{
			// Upstream drops generateName when it updates a mirror.
			fmt.Sprint(strings.HasPrefix(slice.Name, slice.Labels[discoveryv1.LabelServiceName]+"-")), string(slice.AddressType), text(slice.Labels),
			text(withoutTime(slice.Annotations)), text(owners), text(ports),
		}, " ")
		if groups[id] == nil {
			groups[id] = &group{}
		}
		groups[id].slices++
		for _, endpoint := range slice.Endpoints {
			groups[id].endpoints = append(groups[id].endpoints, text(endpoint))
		}
	}
	described := []any{}
	for id, g := range groups {
		slices.Sort(g.endpoints)
		described = append(described, map[string]any{"id": id, "slices": g.slices, "endpoints": g.endpoints})
	}
	slices.SortFunc(described, func(a, b any) int {
		return cmp.Compare(a.(map[string]any)["id"].(string), b.(map[string]any)["id"].(string))
	})
	return described
}

// withoutTime drops the time of the change, because each Service has its own
// creation time.
func withoutTime(annotations map[string]string) map[string]string {
	kept := map[string]string{}
	for key, value := range annotations {
		if key != corev1.EndpointsLastChangeTriggerTime {
			kept[key] = value
		}
	}
	return kept
}

// difference returns the lines that only one of two texts has.
func difference(want, got string) string {
	wanted, there := strings.Split(want, "\n"), strings.Split(got, "\n")
	var lines []string
	for _, line := range wanted {
		if !slices.Contains(there, line) {
			lines = append(lines, "- "+line)
		}
	}
	for _, line := range there {
		if !slices.Contains(wanted, line) {
			lines = append(lines, "+ "+line)
		}
	}
	return strings.Join(lines, "\n")
}

func text(value any) string {
	encoded, err := json.Marshal(value)
	if err != nil {
		return err.Error()
	}
	return string(encoded)
}
