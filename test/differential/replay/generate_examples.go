//go:build e2e

package replay

import (
	"fmt"
	"os"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/portolan-dev/portolan/test/framework"
)

// manifest is one of the example manifests.
type manifest struct {
	name    string
	service fields
}

// manifests returns the Services of the examples. Node ports that they name are
// replaced with ones of the static band, as in all sequences.
func manifests() ([]manifest, error) {
	text, err := os.ReadFile(framework.Path("artifacts", "examples", "toad.yaml"))
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

// examples writes each manifest as a user would.
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
