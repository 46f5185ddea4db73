//go:build e2e

package guides

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/portolan-dev/portolan/pkg/registry"
	"github.com/portolan-dev/portolan/pkg/registry/absent"
)

// discovery compares the resources that both serve: Portolan serves fewer than
// kube-apiserver. Those of absent kinds can only be read, and are in no category.
func discovery(g guide) {
	for _, path := range []string{"/api/v1", "/apis/discovery.k8s.io/v1", "/apis/networking.k8s.io/v1", "/apis/coordination.k8s.io/v1",
		"/apis/events.k8s.io/v1"} {
		g.bothServe(path)
	}
	g.bothList()
}

func (g guide) bothServe(path string) {
	g.Helper()
	line := "kubectl get --raw " + path
	kube, portolan := g.both(func(s *server) (result, error) { return s.run(g.Context(), line) })
	served, ours := g.resources(kube, func(resource map[string]any) {
		if isAbsent("v1", fmt.Sprint(resource["name"])) {
			delete(resource, "storageVersionHash")
			delete(resource, "categories")
			resource["verbs"] = readVerbs
		}
	}), g.resources(portolan, func(map[string]any) {})
	if len(ours) == 0 {
		g.Fatalf("$ %s\nno resources:\n%s", line, portolan)
	}
	for name, resource := range ours {
		g.compare(line+", "+name, result{stdout: served[name]}, result{stdout: resource}, nil)
	}
}

// isAbsent reports whether Portolan serves a resource of kube-apiserver without objects.
func isAbsent(version, resource string) bool {
	return slices.ContainsFunc(registry.AbsentKinds(), func(kind absent.Kind) bool {
		return kind.Resource.GroupVersion().String() == version && kind.Resource.Resource == resource
	})
}

// readVerbs are the verbs of absent kinds.
var readVerbs = []string{"get", "list", "watch"}

// resources returns the resources of a discovery document by name, changed.
func (g guide) resources(r result, change func(map[string]any)) map[string]string {
	g.Helper()
	var list struct{ Resources []map[string]any }
	if err := json.Unmarshal([]byte(r.stdout), &list); err != nil {
		g.Fatalf("%v:\n%s", err, r)
	}
	byName := map[string]string{}
	for _, resource := range list.Resources {
		// The hash of the storage version differs.
		if resource["storageVersionHash"] != nil {
			resource["storageVersionHash"] = "<hash>"
		}
		change(resource)
		text, err := json.MarshalIndent(resource, "", "  ")
		if err != nil {
			g.Fatal(err)
		}
		byName[fmt.Sprint(resource["name"])] = string(text) + "\n"
	}
	return byName
}

// bothList compares the lines of kubectl api-resources that both print.
func (g guide) bothList() {
	g.Helper()
	const line = "kubectl api-resources -o wide --no-headers"
	kube, portolan := g.both(func(s *server) (result, error) { return s.run(g.Context(), line) })
	served, ours := rows(kube), rows(portolan)
	if len(ours) < 5 {
		g.Errorf("$ %s\n%s", line, portolan)
	}
	for name, row := range ours {
		want := served[name]
		if version, resource, _ := strings.Cut(name, " "); isAbsent(version, resource) {
			before, _, _ := strings.Cut(want, " create,")
			want = before + " " + strings.Join(readVerbs, ",") + "\n"
		}
		g.compare(line+", "+name, result{stdout: want}, result{stdout: row}, nil)
	}
}

// rows returns the lines of kubectl api-resources by version and name, except
// those of Portolan's own group. The width of columns depends on the other
// lines.
func rows(r result) map[string]string {
	byName := map[string]string{}
	for line := range strings.Lines(r.stdout) {
		fields := strings.Fields(line)
		version := slices.IndexFunc(fields, func(field string) bool { return field == "v1" || strings.HasSuffix(field, "/v1") })
		if version > 0 && fields[version] != "portolan.dev/v1" {
			byName[fields[version]+" "+fields[0]] = strings.Join(fields, " ") + "\n"
		}
	}
	return byName
}
