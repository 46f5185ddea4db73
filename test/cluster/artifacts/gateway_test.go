package artifacts

import (
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"

	"github.com/portolan-dev/portolan/pkg/server/options"
)

// TestGateway has the server forward to the cluster only where it is told to, with the
// front proxy's certificate from its Secret, and with no more rights than to list ranges.
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
			if got := rights(t, manifests.Get(t, "ClusterRole /portolan:gateway")); !got.Equal(sets.New("list networking.k8s.io/servicecidrs")) {
				t.Errorf("a gateway may %v", sets.List(got))
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

// TestGatewayThatPodsTrust has the chart and the components present a certificate of the
// cluster's authority to all clients but those that ask for Portolan's name.
func TestGatewayThatPodsTrust(t *testing.T) {
	t.Parallel()
	for name, manifests := range map[string]Manifests{
		"kustomization": Overlay(t, "gateway", "kubernetes-service"), "chart": Chart(t, trusted...),
		"chart with cert-manager": Chart(t, append([]string{"--set=certificates=cert-manager"}, trusted...)...),
	} {
		s := serverOf(t, manifests)
		o := s.options(t)
		if !o.ForwardsToCluster() || !o.KeepsKubernetesService() {
			t.Errorf("%s: with %q the Service kubernetes does not lead to it", name, s.args)
		}
		files := map[string]string{
			o.SecureServing.ServerCert.CertKey.CertFile: "portolan-kubernetes-serving",
			o.SecureServing.ServerCert.CertKey.KeyFile:  "portolan-kubernetes-serving",
		}
		if byName := o.SecureServing.SNICertKeys; name == "chart with cert-manager" {
			files[byName[0].CertFile], files[byName[0].KeyFile] = "portolan-serving", "portolan-serving"
		} else if o.ServingSecret != "portolan/portolan-serving" || len(byName) > 0 {
			t.Errorf("%s: the aggregation layer gets %q, %v", name, o.ServingSecret, byName)
		}
		for file, secret := range files {
			if volume := s.mounted(file); volume == nil || volume.Secret == nil || volume.Secret.SecretName != secret {
				t.Errorf("%s: %q is not of %s", name, file, secret)
			}
		}
	}
}

// TestCertificatePage signs the certificate as the page says.
func TestCertificatePage(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	authority := writeKubeadmFiles(t, filepath.Join(root, "etc", "kubernetes"))
	typeBlock(t, root, consoleBlocks(t, "docs/gateway-certificate.md"), "openssl req")
	checkCertificate(t, root, authority, "10.112.0.1", "kubernetes.default", "kubernetes.default.svc")
}
