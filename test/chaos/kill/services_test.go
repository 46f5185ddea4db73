package kill

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/ptr"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

// ranges are the ranges of all servers. The lowest 128 ports are the static
// band, which automatic picks avoid: each client names its own ports of the
// band.
var ranges = []string{"--service-cluster-ip-range=10.96.0.0/16,fd00:10:96::/112", "--service-node-port-range=20000-24095"}

const firstStaticPort = 20000

var services = kind{
	resource: "services", name: "Service", groups: []schema.GroupVersion{v1.SchemeGroupVersion, corev1.SchemeGroupVersion},
	content: func(c *client, slot int) map[string]any {
		return map[string]any{"spec": encode(c, newSpec(c, slot))}
	},
	change: func(c *client, slot int, object map[string]any) {
		var spec corev1.ServiceSpec
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object["spec"].(map[string]any), &spec); err != nil {
			c.t.Error(err)
		}
		changeSpec(c, slot, &spec)
		object["spec"] = encode(c, &spec)
	},
	merge: func(c *client, object map[string]any) map[string]any {
		spec := object["spec"].(map[string]any)
		if spec["clusterIP"] == corev1.ClusterIPNone || spec["type"] == string(corev1.ServiceTypeExternalName) {
			return nil
		}
		return map[string]any{"spec": map[string]any{"type": []any{"ClusterIP", "NodePort", "LoadBalancer"}[c.random.IntN(3)]}}
	},
}

func encode(c *client, spec *corev1.ServiceSpec) map[string]any {
	encoded, err := runtime.DefaultUnstructuredConverter.ToUnstructured(spec)
	if err != nil {
		c.t.Error(err)
	}
	return encoded
}

func newSpec(c *client, slot int) *corev1.ServiceSpec {
	spec := &corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "a", Port: 80}}}
	switch c.random.IntN(8) {
	case 0:
		spec.ClusterIP = corev1.ClusterIPNone
	case 1:
		spec.Type, spec.ExternalName = corev1.ServiceTypeExternalName, "example.com"
	default:
		setType(c, spec)
		spec.IPFamilyPolicy = policy(c)
	}
	if spec.Type == corev1.ServiceTypeNodePort && c.random.IntN(2) == 0 {
		spec.Ports[0].NodePort = staticPort(c, slot)
	}
	return spec
}

// changeSpec changes the type, node ports or the number of addresses.
func changeSpec(c *client, slot int, spec *corev1.ServiceSpec) {
	if spec.ClusterIP == corev1.ClusterIPNone {
		return
	}
	switch c.random.IntN(5) {
	case 0:
		if spec.Type == corev1.ServiceTypeExternalName {
			spec.ExternalName = ""
			setType(c, spec)
		} else {
			spec.Type, spec.ExternalName = corev1.ServiceTypeExternalName, "example.com"
		}
	case 1:
		if spec.Type != corev1.ServiceTypeExternalName {
			spec.IPFamilyPolicy = policy(c)
		}
	case 2:
		if spec.Type == corev1.ServiceTypeNodePort || spec.Type == corev1.ServiceTypeLoadBalancer {
			spec.Ports[0].NodePort = staticPort(c, slot)
		}
	case 3:
		if len(spec.Ports) == 1 {
			spec.Ports = append(spec.Ports, corev1.ServicePort{Name: "b", Port: 443})
		} else {
			spec.Ports = spec.Ports[:1]
		}
	case 4:
		if spec.Type != corev1.ServiceTypeExternalName {
			setType(c, spec)
		}
	}
}

func setType(c *client, spec *corev1.ServiceSpec) {
	spec.Type = []corev1.ServiceType{corev1.ServiceTypeClusterIP, corev1.ServiceTypeNodePort, corev1.ServiceTypeLoadBalancer}[c.random.IntN(3)]
	spec.ExternalTrafficPolicy = ""
	if spec.Type == corev1.ServiceTypeLoadBalancer && c.random.IntN(2) == 0 {
		spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
	}
	if spec.Type == corev1.ServiceTypeClusterIP {
		for i := range spec.Ports {
			spec.Ports[i].NodePort = 0
		}
	}
	if spec.ExternalTrafficPolicy == "" {
		spec.HealthCheckNodePort = 0
	}
}

func policy(c *client) *corev1.IPFamilyPolicy {
	return ptr.To([]corev1.IPFamilyPolicy{corev1.IPFamilyPolicySingleStack, corev1.IPFamilyPolicyPreferDualStack,
		corev1.IPFamilyPolicyRequireDualStack}[c.random.IntN(3)])
}

func staticPort(c *client, slot int) int32 {
	return int32(firstStaticPort + (c.id*serviceSlots+slot)*portsPerSlot + c.random.IntN(portsPerSlot))
}
