package artifacts

import (
	"path"
	"reflect"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/portolan-dev/portolan/pkg/server/options"
)

// TestGateway has the server forward to the cluster only where it is told to, with the
// front proxy's certificate from its Secret, and with no more rights.
func TestGateway(t *testing.T) {
	t.Parallel()
	plain := Kustomize(t, "cluster")
	if serverOf(t, plain).options(t).ForwardsToCluster() {
		t.Error("a server that was not asked to is a gateway")
	}
	for name, manifests := range map[string]Manifests{
		"kustomization": Kustomize(t, "examples/cluster-gateway"), "chart": Chart(t, gateway...),
		"chart with cert-manager":        Chart(t, append([]string{"--set=certificates=cert-manager"}, gateway...)...),
		"chart without a front proxy":    Chart(t, "--set=gateway.enabled=true"),
		"chart with arguments of a user": Chart(t, append([]string{"--set=extraArgs={--kubernetes-service}"}, gateway...)...),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serverOf(t, manifests)
			o := s.options(t)
			if !o.ForwardsToCluster() {
				t.Errorf("with %q it is no gateway", s.args)
			}
			if name == "chart without a front proxy" {
				front := func(volume corev1.Volume) bool { return volume.Name == "front-proxy" }
				if o.Gateway.ProxyClientCertFile != "" || slices.ContainsFunc(s.pod.Volumes, front) {
					t.Errorf("it has %q", o.Gateway.ProxyClientCertFile)
				}
			} else {
				expectFrontProxy(t, s, o.Gateway)
			}
			for _, id := range []string{"ClusterRole /portolan", "Role portolan/portolan"} {
				rules := func(ms Manifests) any { return ms.Get(t, id).Object["rules"] }
				if name != "chart with cert-manager" && !reflect.DeepEqual(rules(manifests), rules(plain)) {
					t.Errorf("%s has other rules than without the gateway: %v", id, rules(manifests))
				}
			}
		})
	}
}

// expectFrontProxy wants the certificate and the key of a front proxy to be those of the
// Secret.
func expectFrontProxy(t *testing.T, s server, o options.GatewayOptions) {
	t.Helper()
	for _, file := range []struct{ path, key string }{{o.ProxyClientCertFile, "tls.crt"}, {o.ProxyClientKeyFile, "tls.key"}} {
		volume := s.mounted(file.path)
		if volume == nil || volume.Secret == nil || volume.Secret.SecretName != "portolan-front-proxy" || path.Base(file.path) != file.key {
			t.Errorf("%q is not %s of portolan-front-proxy", file.path, file.key)
		}
	}
}
