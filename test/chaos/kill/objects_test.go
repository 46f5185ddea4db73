package kill

import (
	"encoding/base64"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

// others are the kinds beside Services, one for each slot.
var others = []*kind{
	{
		resource: "secrets", name: "Secret", groups: []schema.GroupVersion{corev1.SchemeGroupVersion},
		content: func(c *client, _ int) map[string]any { return map[string]any{"data": secretData(c)} },
		change:  func(c *client, _ int, object map[string]any) { object["data"] = secretData(c) },
		merge:   func(c *client, _ map[string]any) map[string]any { return map[string]any{"data": secretData(c)} },
	},
	{
		resource: "pods", name: "Pod", groups: []schema.GroupVersion{corev1.SchemeGroupVersion},
		content: func(c *client, _ int) map[string]any {
			return map[string]any{"spec": map[string]any{"containers": []any{map[string]any{"name": "a", "image": image(c)}}}}
		},
		change: func(c *client, _ int, object map[string]any) {
			container := object["spec"].(map[string]any)["containers"].([]any)[0]
			container.(map[string]any)["image"] = image(c)
		},
	},
	{
		resource: "endpointslices", name: "EndpointSlice", groups: []schema.GroupVersion{discoveryv1.SchemeGroupVersion, v1.SchemeGroupVersion},
		content: func(c *client, _ int) map[string]any {
			return map[string]any{"addressType": "IPv4", "endpoints": endpoints(c)}
		},
		change: func(c *client, _ int, object map[string]any) { object["endpoints"] = endpoints(c) },
		merge:  func(c *client, _ map[string]any) map[string]any { return map[string]any{"endpoints": endpoints(c)} },
	},
}

func secretData(c *client) map[string]any {
	return map[string]any{"password": base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "of %d-%d", c.id, c.ops))}
}

func image(c *client) string { return fmt.Sprintf("registry.example/a:%d-%d", c.id, c.ops) }

func endpoints(c *client) (all []any) {
	for n := range 1 + c.random.IntN(20) {
		all = append(all, map[string]any{"addresses": []any{fmt.Sprintf("192.0.2.%d", n+1)}})
	}
	return all
}
