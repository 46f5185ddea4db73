//go:build e2e

package replay

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"sigs.k8s.io/yaml"
)

// manifest is an example that users have, by its own name.
type manifest struct {
	name    string
	service fields
}

// manifests are the Services of the examples. A node port that one names is
// from the band here, like all that are named.
func manifests() ([]manifest, error) {
	text, err := os.ReadFile(filepath.Join(root, "artifacts", "examples", "toad.yaml"))
	if err != nil {
		return nil, err
	}
	var found []manifest
	for document := range strings.SplitSeq(string(text), "\n---\n") {
		var service struct {
			Metadata struct{ Name string }
			Spec     map[string]any
		}
		if err := yaml.Unmarshal([]byte(document), &service); err != nil {
			return nil, err
		}
		if ports, ok := service.Spec["ports"].([]any); ok {
			for i := range ports {
				if port, ok := ports[i].(map[string]any); ok && port["nodePort"] != nil {
					port["nodePort"] = fmt.Sprintf("{port%d}", i)
				}
			}
		}
		found = append(found, manifest{service.Metadata.Name, fields{"/spec": service.Spec}})
	}
	return found, nil
}

// examples is what a user does with each manifest.
func (g *generator) examples(manifests []manifest) {
	for _, m := range manifests {
		service := services.object(m.service)
		steps := []Step{
			services.create(service).dry(), services.create(service), services.create(service), services.get(), services.put(service),
			services.merge(fields{"/status/loadBalancer/ingress": list(object("ip", "130.211.53.173"))}).on("{name}/status"),
		}
		for _, kind := range []string{"ClusterIP", "NodePort", "LoadBalancer", "ExternalName", "ClusterIP"} {
			steps = append(steps, services.merge(fields{"/spec/type": kind, "/spec/externalName": "a.example.com"}))
		}
		steps = append(steps, services.merge(fields{"/spec/ports": list(port(0))}), services.get().accept(asTable), services.delete(),
			services.get())
		g.add("example "+m.name, steps...)
		g.add("example "+m.name+", applied", services.apply("kubectl", service).dry(), services.apply("kubectl", service), services.get(),
			services.delete())
	}
}
