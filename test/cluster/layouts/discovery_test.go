//go:build e2e

package layouts

import (
	"context"
	"strings"
	"testing"

	"github.com/portolan-dev/portolan/test/framework"
)

// testDiscovery finds portolan.dev beside the cluster's groups, at kube-apiserver and at
// the gateway. kube-apiserver asks the gateway about portolan.dev, and nothing else.
func testDiscovery(t *testing.T, f *fixture, _ string) {
	direct, gateway := framework.NewKubectl(t, f.Kube.Kubeconfig), framework.NewKubectl(t, f.Kubeconfig)
	for _, k := range []*framework.Kubectl{direct, gateway} {
		k.Expect(k.Run("api-resources", "-o", "name"), "nodeports.portolan.dev\n", "services\n", "deployments.apps\n")
		k.Expect(k.Run("explain", "nodeports.spec"), "GROUP:      portolan.dev")
		k.Expect(k.Run("explain", "deployment.spec"), "GROUP:      apps")
	}
	// kube-apiserver takes one of those that claim a document, at random.
	for range 5 {
		for _, path := range []string{"/openapi/v3/api/v1", "/openapi/v3/apis/apps/v1", "/openapi/v3/apis/portolan.dev/v1"} {
			if got, want := gateway.Run("get", "--raw", path), direct.Run("get", "--raw", path); got != want {
				t.Fatalf("%s differs at the gateway: %d and %d bytes", path, len(got), len(want))
			}
		}
	}
	if got := direct.Run("get", "--raw", "/openapi/v3/api/v1"); !strings.Contains(got, "/api/v1/namespaces/{namespace}/pods/{name}/exec") {
		t.Error("the document of v1 lacks exec")
	}
}

// awaitDiscovery returns when kube-apiserver's discovery and OpenAPI have portolan.dev:
// some seconds later than its APIService is available.
func (f *fixture) awaitDiscovery(t *testing.T) {
	t.Helper()
	k := framework.NewKubectl(t, f.Kube.Kubeconfig)
	for _, path := range []string{"/apis/portolan.dev/v1", "/openapi/v3"} {
		framework.Eventually(t, "portolan.dev in "+path, func(context.Context) (bool, error) {
			got, err := k.Try("", "get", "--raw", path)
			return strings.Contains(got, "portolan.dev"), err
		})
	}
	framework.Eventually(t, "portolan.dev in discovery", func(context.Context) (bool, error) {
		got, err := k.Try("", "api-resources", "-o", "name")
		return strings.Contains(got, "services.portolan.dev"), err
	})
}
