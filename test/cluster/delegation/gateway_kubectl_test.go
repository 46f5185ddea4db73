//go:build e2e

package delegation

import (
	"context"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/portolan-dev/portolan/test/framework"
)

// masks hide what differs from object to object and from run to run.
var masks = []struct {
	pattern *regexp.Regexp
	text    string
}{
	{regexp.MustCompile(framework.UIDs), "UID"},
	{regexp.MustCompile(framework.Times), "TIME"},
	{regexp.MustCompile(`resourceVersion: "\d+"`), "resourceVersion: N"},
	{regexp.MustCompile(`10\.96\.\d+\.\d+|10\.(9[7-9]|10\d|11[01])\.\d+\.\d+`), "CLUSTER-IP"},
	{regexp.MustCompile(framework.Ages), "AGE"},
	{regexp.MustCompile(`(?m)^W\d{4} .*? prune\.go:\d+\]`), "WARNING"},
	{regexp.MustCompile(`X509SHA256=[0-9a-f]+`), "HASH"},
	{regexp.MustCompile(` +`), " "},
	{regexp.MustCompile(`(?m) +$`), ""},
}

func mask(text string) string {
	for _, m := range masks {
		text = m.pattern.ReplaceAllString(text, m.text)
	}
	return text
}

// TestGatewayCommands runs the same commands at the gateway and at kube-apiserver, each in
// a namespace of the same name of clusters of their own, and compares what kubectl prints.
func TestGatewayCommands(t *testing.T) {
	g, other := newGround(t), newGround(t)
	server := g.gateway(true)
	k := g.administrator(server.Config.Host, server.DataDir)
	direct := other.administrator(other.kube.Config.Host, filepath.Dir(other.kube.Kubeconfig))
	// The gateway has controllers of endpoints itself.
	g.startControllersAt(server.Config.Host, filepath.Join(server.DataDir, ownAuthority), framework.DeletionControllers)
	other.startControllersAt(other.kube.Config.Host, filepath.Join(filepath.Dir(other.kube.Kubeconfig), ownAuthority),
		framework.DeletionControllers, framework.EndpointControllers)

	manifest := "apiVersion: v1\nkind: Service\nmetadata: {name: %s, labels: {set: one}}\n" +
		"spec: {selector: {app: web}, ports: [{port: 80, protocol: TCP, targetPort: 80}], type: NodePort}\n---\n" +
		"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s, labels: {set: one}}\n---\n"
	both := strings.ReplaceAll(manifest, "%s", "a") + strings.ReplaceAll(manifest, "%s", "b")
	one := strings.ReplaceAll(manifest, "%s", "a")
	nodePort := regexp.MustCompile(`\b3[0-2]\d{3}\b`)
	for _, step := range []struct{ stdin, command string }{
		{"", "create namespace team"},
		{"", "create deployment web --image=example.com/web -n team"},
		{"", "expose deployment web --port=80 --target-port=8080 -n team"},
		{"", "create service clusterip plain --tcp=80:8080 -n team"},
		{"", "get all -n team"},
		{"", "get svc -n team -o wide"},
		{"", "get svc web -n team -o yaml --show-managed-fields"},
		{"", "describe svc web -n team"},
		{"", "describe deployment web -n team"},
		{both, "apply -n team -f - --prune -l set=one"},
		{one, "apply -n team -f - --prune -l set=one"},
		{one, "diff -n team -f -"},
		{"", "get svc,configmaps -n team -l set=one -o name"},
		{"", "label svc web -n team tier=front"},
		{"", "annotate svc web -n team note=x"},
		{"", `patch svc web -n team -p {"spec":{"sessionAffinity":"ClientIP"}}`},
		{"", "set selector svc/web -n team app=other"},
		{"", "get svc nothing -n team"},
		{"", "create service clusterip web --tcp=80 -n team"},
		{"", "expose deployment web --port=99999 -n team"},
		{"", "explain service.spec --recursive"},
		{"", "explain endpointslices"},
		{"", "auth can-i create services -n team"},
		{"", "auth can-i create services -n team --as=vera"},
		{"", "auth can-i --list -n team"},
		{"", "auth whoami"},
		{"", "get --raw /apis/discovery.k8s.io/v1"},
		{"", "delete svc plain -n team"},
		{"", "delete namespace team"},
		{"", "get all -n team"},
	} {
		args := strings.Fields(step.command)
		got, gotErr := k.Try(step.stdin, args...)
		want, wantErr := direct.Try(step.stdin, args...)
		got, want = nodePort.ReplaceAllString(mask(got), "NODE-PORT"), nodePort.ReplaceAllString(mask(want), "NODE-PORT")
		if got != want || (gotErr == nil) != (wantErr == nil) {
			t.Errorf("kubectl %s:\n%s\nwithout the gateway:\n%s", step.command, got, want)
		}
	}
	framework.Eventually(t, "no Service is left", func(context.Context) (bool, error) {
		out, err := k.Try("", "get", "svc", "-A", "-o", "name")
		return err == nil && !strings.Contains(out, "web"), err
	})
}

// startControllersAt runs controllers with a server.
func (g *ground) startControllersAt(url, authority string, controllers ...string) {
	g.t.Helper()
	cert, key := g.files(g.users, "controllers", "system:masters")
	kubeconfig := filepath.Join(g.t.TempDir(), "kubeconfig")
	k := framework.NewKubectl(g.t, kubeconfig)
	k.Run("config", "set-cluster", "c", "--server="+url, "--certificate-authority="+authority)
	k.Run("config", "set-credentials", "u", "--client-certificate="+cert, "--client-key="+key)
	k.Run("config", "set-context", "x", "--cluster=c", "--user=u")
	k.Run("config", "use-context", "x")
	at := *g.kube
	at.Kubeconfig = kubeconfig
	framework.StartControllers(g.t, &at, controllers...)
}
