//go:build e2e

package aggregated

import (
	"strings"
	"testing"

	"github.com/portolan-dev/portolan/test/framework"
)

// manifest is a Service to write, with two lines in it that tests change.
func manifest(name string) string {
	return `apiVersion: portolan.dev/v1
kind: Service
metadata:
  name: ` + name + `
spec:
  selector:
    app: ` + name + `
  ports:
  - name: http
    port: 80
    targetPort: 8080
`
}

// testKubectl goes through what is done with Services by hand.
func testKubectl(t *testing.T, g *fixture) {
	k := framework.NewKubectl(t, g.kubeconfig).With("-n", g.newNamespace(t, "kubectl"))
	resources := strings.Join(strings.Fields(k.Run("api-resources", "--api-group=portolan.dev")), " ")
	k.Expect(resources, "services psvc portolan.dev/v1 true Service", "nodeportranges")
	k.Expect(k.Feed(manifest("web"), "create", "-f", "-"), "service.portolan.dev/web created")
	k.Expect(k.FailFed(manifest("web"), "create", "-f", "-"),
		`Error from server (AlreadyExists): error when creating "STDIN": services.portolan.dev "web" already exists`)
	k.Expect(k.Run("get", "psvc"), "NAME   TYPE        CLUSTER-IP", "EXTERNAL-IP   PORT(S)", "web    ClusterIP   198.18.", "80/TCP")
	k.Expect(k.Run("get", "psvc", "-o", "wide"), "SELECTOR", "app=web")
	k.Expect(k.Run("get", "psvc", "-A"), "NAMESPACE", "web")
	k.Expect(k.Run("get", "psvc", "web", "-o", "jsonpath={.spec.ports[0].targetPort}"), "8080")
	k.Expect(k.Run("describe", "psvc", "web"), "API Version:  portolan.dev/v1", "Cluster IP:  198.18.", "Target Port:  8080")
	k.Expect(k.Run("explain", "psvc.spec.ports"), "GROUP:      portolan.dev", "KIND:       Service", "nodePort", "appProtocol")
	k.Expect(k.Run("explain", "psvc.spec.ports", "--output=plaintext-openapiv2"), "VERSION:  portolan.dev/v1", "nodePort")
	k.Expect(k.Run("get", "services", "-A"), "kubernetes")

	// Applied by the client, then by the server, where a field has one owner.
	k.Expect(k.Feed(manifest("web"), "apply", "-f", "-"), "service.portolan.dev/web configured")
	k.Expect(k.Feed(manifest("web"), "apply", "-f", "-"), "service.portolan.dev/web unchanged")
	k.Expect(k.Feed(manifest("applied"), "apply", "--server-side", "-f", "-"), "service.portolan.dev/applied serverside-applied")
	changed := strings.Replace(manifest("applied"), "8080", "9090", 1)
	conflict := k.FailFed(changed, "apply", "--server-side", "--field-manager=other", "-f", "-")
	k.Expect(conflict, `conflict with "kubectl"`, `.spec.ports[port=80,protocol="TCP"].targetPort`)
	k.Feed(changed, "apply", "--server-side", "--field-manager=other", "--force-conflicts", "-f", "-")
	// diff fails where there is one.
	k.Expect(k.FailFed(manifest("applied"), "diff", "--server-side", "--force-conflicts", "-f", "-"), "-    targetPort: 9090",
		"+    targetPort: 8080")

	k.Expect(k.Run("patch", "psvc", "web", "--type=merge", "-p", `{"spec":{"type":"NodePort"}}`), "patched")
	k.Expect(k.Run("get", "psvc", "web"), "NodePort", "80:2")
	k.Expect(k.Run("label", "psvc", "web", "tier=front"), "labeled")
	edit(t, k, "tier: front", "tier: back", "psvc", "web")
	k.Expect(k.Run("get", "psvc", "-l", "tier=back", "--field-selector=spec.type=NodePort"), "web")
	k.Expect(k.Fail("patch", "psvc", "web", "--type=merge", "-p", `{"spec":{"ports":[{"port":0}]}}`),
		`The Service "web" is invalid:`, "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive")
	k.Run("annotate", "psvc", "web", "note=kept")
	k.Expect(k.Run("get", "psvc", "web", "-o", "yaml"), "note: kept", "apiVersion: portolan.dev/v1")
	k.Expect(k.Run("delete", "psvc", "--all"), `service.portolan.dev "web" deleted`, `service.portolan.dev "applied" deleted`)
	k.Expect(k.Run("get", "psvc"), "No resources found")
}

// edit has kubectl edit replace a text in an object.
func edit(t *testing.T, k *framework.Kubectl, from, to string, object ...string) {
	t.Helper()
	cmd := k.Command(t.Context(), append([]string{"edit"}, object...)...)
	cmd.Env = append(cmd.Env, "KUBE_EDITOR=sed -i s/"+strings.ReplaceAll(from, " ", ".")+"/"+strings.ReplaceAll(to, " ", "\\ ")+"/")
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "edited") {
		t.Errorf("kubectl edit: %v\n%s", err, out)
	}
}

// testKubectlWatch wants "get --watch" to show each change as it happens.
func testKubectlWatch(t *testing.T, g *fixture) {
	ns := g.newNamespace(t, "watch")
	g.createService(t, ns, newService("first"))
	watch := startWatch(t, framework.NewKubectl(t, g.kubeconfig), "psvc", "-n", ns)
	watch.await("first")
	g.createService(t, ns, newService("second", nodePort(0)))
	watch.await("second NodePort")
	k := framework.NewKubectl(t, g.kubeconfig)
	k.Run("patch", "psvc", "first", "-n", ns, "--type=merge", "-p", `{"spec":{"type":"ExternalName","externalName":"example.com"}}`)
	watch.await("first ExternalName <none> example.com")
	k.Run("delete", "psvc", "second", "-n", ns)
	watch.await("DELETED second")
}
