//go:build e2e

package aggregated

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// kubectl runs kubectl as a user of the cluster.
type kubectl struct {
	t                        *testing.T
	binary, kubeconfig, home string
	// flags go before all others.
	flags []string
}

func (g *ground) as(t *testing.T, kubeconfig string) *kubectl {
	t.Helper()
	// kubectl keeps what it discovers, which would outlive a restart.
	return &kubectl{t: t, binary: filepath.Join(g.bin, "kubectl"), kubeconfig: kubeconfig, home: t.TempDir()}
}

// with adds flags to every command.
func (k *kubectl) with(flags ...string) *kubectl {
	changed := *k
	changed.flags = append(slices.Clone(k.flags), flags...)
	return &changed
}

func (k *kubectl) command(ctx context.Context, stdin string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, k.binary, append(slices.Clone(k.flags), args...)...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+k.kubeconfig, "HOME="+k.home)
	cmd.Stdin = strings.NewReader(stdin)
	return cmd
}

// run returns what a command that must succeed prints.
func (k *kubectl) run(args ...string) string {
	k.t.Helper()
	return k.feed("", args...)
}

// feed is run with something to read.
func (k *kubectl) feed(stdin string, args ...string) string {
	k.t.Helper()
	out, err := k.command(k.t.Context(), stdin, args...).CombinedOutput()
	if err != nil {
		k.t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// fail returns what a command that must fail prints.
func (k *kubectl) fail(args ...string) string {
	k.t.Helper()
	return k.failFed("", args...)
}

// failFed is fail with something to read.
func (k *kubectl) failFed(stdin string, args ...string) string {
	k.t.Helper()
	out, err := k.command(k.t.Context(), stdin, args...).CombinedOutput()
	if _, ok := errors.AsType[*exec.ExitError](err); !ok {
		k.t.Fatalf("kubectl %s did not fail: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// expect wants all of these in what was printed.
func (k *kubectl) expect(got string, want ...string) {
	k.t.Helper()
	for _, w := range want {
		if !strings.Contains(got, w) {
			k.t.Errorf("want %q in:\n%s", w, got)
		}
	}
}

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
func testKubectl(t *testing.T, g *ground) {
	k := g.as(t, g.kubeconfig).with("-n", g.newNamespace(t, "kubectl"))
	k.expect(k.run("api-resources", "--api-group=portolan.dev"), "services         psvc", "portolan.dev/v1   true         Service",
		"nodeportranges")
	k.expect(k.feed(manifest("web"), "create", "-f", "-"), "service.portolan.dev/web created")
	k.expect(k.failFed(manifest("web"), "create", "-f", "-"),
		`Error from server (AlreadyExists): error when creating "STDIN": services.portolan.dev "web" already exists`)
	k.expect(k.run("get", "psvc"), "NAME   TYPE        CLUSTER-IP", "EXTERNAL-IP   PORT(S)", "web    ClusterIP   198.18.", "80/TCP")
	k.expect(k.run("get", "psvc", "-o", "wide"), "SELECTOR", "app=web")
	k.expect(k.run("get", "psvc", "-A"), "NAMESPACE", "web")
	k.expect(k.run("get", "psvc", "web", "-o", "jsonpath={.spec.ports[0].targetPort}"), "8080")
	k.expect(k.run("describe", "psvc", "web"), "API Version:  portolan.dev/v1", "Cluster IP:  198.18.", "Target Port:  8080")
	k.expect(k.run("explain", "psvc.spec.ports"), "GROUP:      portolan.dev", "KIND:       Service", "nodePort", "appProtocol")
	k.expect(k.run("explain", "psvc.spec.ports", "--output=plaintext-openapiv2"), "VERSION:  portolan.dev/v1", "nodePort")
	k.expect(k.run("get", "services", "-A"), "kubernetes")

	// Applied by the client, then by the server, where a field has one owner.
	k.expect(k.feed(manifest("web"), "apply", "-f", "-"), "service.portolan.dev/web configured")
	k.expect(k.feed(manifest("web"), "apply", "-f", "-"), "service.portolan.dev/web unchanged")
	k.expect(k.feed(manifest("applied"), "apply", "--server-side", "-f", "-"), "service.portolan.dev/applied serverside-applied")
	changed := strings.Replace(manifest("applied"), "8080", "9090", 1)
	conflict := k.failFed(changed, "apply", "--server-side", "--field-manager=other", "-f", "-")
	k.expect(conflict, `conflict with "kubectl"`, `.spec.ports[port=80,protocol="TCP"].targetPort`)
	k.feed(changed, "apply", "--server-side", "--field-manager=other", "--force-conflicts", "-f", "-")
	// diff fails where there is one.
	k.expect(k.failFed(manifest("applied"), "diff", "--server-side", "--force-conflicts", "-f", "-"), "-    targetPort: 9090",
		"+    targetPort: 8080")

	k.expect(k.run("patch", "psvc", "web", "--type=merge", "-p", `{"spec":{"type":"NodePort"}}`), "patched")
	k.expect(k.run("get", "psvc", "web"), "NodePort", "80:2")
	k.expect(k.run("label", "psvc", "web", "tier=front"), "labeled")
	k.edit("tier: front", "tier: back", "psvc", "web")
	k.expect(k.run("get", "psvc", "-l", "tier=back", "--field-selector=spec.type=NodePort"), "web")
	k.expect(k.fail("patch", "psvc", "web", "--type=merge", "-p", `{"spec":{"ports":[{"port":0}]}}`),
		`The Service "web" is invalid:`, "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive")
	k.run("annotate", "psvc", "web", "note=kept")
	k.expect(k.run("get", "psvc", "web", "-o", "yaml"), "note: kept", "apiVersion: portolan.dev/v1")
	k.expect(k.run("delete", "psvc", "--all"), `service.portolan.dev "web" deleted`, `service.portolan.dev "applied" deleted`)
	k.expect(k.run("get", "psvc"), "No resources found")
}

// edit has kubectl edit replace a text in an object.
func (k *kubectl) edit(from, to string, object ...string) {
	k.t.Helper()
	cmd := k.command(k.t.Context(), "", append([]string{"edit"}, object...)...)
	cmd.Env = append(cmd.Env, "KUBE_EDITOR=sed -i s/"+strings.ReplaceAll(from, " ", ".")+"/"+strings.ReplaceAll(to, " ", "\\ ")+"/")
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "edited") {
		k.t.Errorf("kubectl edit: %v\n%s", err, out)
	}
}

// testKubectlWatch wants "get --watch" to show each change as it happens.
func testKubectlWatch(t *testing.T, g *ground) {
	ns := g.newNamespace(t, "watch")
	g.createService(t, ns, newService("first"))
	watch := startWatch(t, g.as(t, g.kubeconfig), "psvc", "-n", ns)
	watch.await("first")
	g.createService(t, ns, newService("second", nodePort(0)))
	watch.await("second NodePort")
	k := g.as(t, g.kubeconfig)
	k.run("patch", "psvc", "first", "-n", ns, "--type=merge", "-p", `{"spec":{"type":"ExternalName","externalName":"example.com"}}`)
	watch.await("first ExternalName <none> example.com")
	k.run("delete", "psvc", "second", "-n", ns)
	watch.await("DELETED second")
}
