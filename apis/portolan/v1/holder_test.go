package v1

import "testing"

func TestHolder(t *testing.T) {
	for want, ref := range map[string]ParentReference{
		"services/default/kubernetes": {Resource: "services", Namespace: "default", Name: "kubernetes"},
		"gateways.gateway.networking.k8s.io/default/g": {
			Group: "gateway.networking.k8s.io", Resource: "Gateways", Namespace: "default", Name: "g",
		},
		"nodes/n": {Resource: "nodes", Name: "n"},
	} {
		if got := ref.Holder(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
