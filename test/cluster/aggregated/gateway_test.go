//go:build e2e

package aggregated

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/portolan-dev/portolan/test/framework"
)

// firstAddress is that of the Service kubernetes in Portolan's range.
const firstAddress = "198.18.0.1"

// testGateway makes the replicas gateways that Pods trust. They have what a Pod has: the
// token of its account, the cluster's authority and the address of kube-apiserver.
func testGateway(t *testing.T, g *fixture) {
	k := framework.NewKubectl(t, g.kubeconfig).With("-n", namespace)
	serving := g.users.issue(t, "kubernetes-serving", nil, "kubernetes", "kubernetes.default", "kubernetes.default.svc", firstAddress)
	for name, files := range map[string]pair{"portolan-front-proxy": g.front, "portolan-kubernetes-serving": serving} {
		k.Run("create", "secret", "tls", name, "--cert="+files.cert, "--key="+files.key)
	}
	g.write(t, "overlay/kustomization.yaml", overlay+"components:\n- ../artifacts/cluster/gateway\n- ../artifacts/cluster/front-proxy\n"+
		"- ../artifacts/cluster/kubernetes-service\n")
	framework.NewKubectl(t, g.kubeconfig).Run("apply", "-k", g.overlay())
	k.Run("rollout", "status", "deployment", deployment, "--timeout="+framework.Patience.String())
	g.awaitAvailable(t, "True")
	replicas := g.newReplicas(t)

	for name, r := range replicas {
		gateway := g.atGateway(t, g.kubeconfig, r)
		testWholeCluster(t, g, gateway, name)
		testPodTrust(t, g, r)
		// A Pod comes with the token of its account.
		token, err := k.Try("", "create", "token", "default")
		if err != nil {
			t.Fatal(token)
		}
		pod := g.atGateway(t, g.tokenKubeconfig(t, "pod-of-"+name, strings.TrimSpace(token)), r)
		const account = "system:serviceaccount:portolan:default"
		for _, answer := range []string{pod.Run("auth", "whoami"), pod.Fail("get", "services", "-A"), pod.Fail("get", "nodes")} {
			pod.Expect(answer, account)
		}
	}
	g.awaitEndpoints(t, replicas)
	framework.Eventually(t, "the ranges of the cluster are compared", func(context.Context) (bool, error) {
		return g.usedRights(t)[right{"networking.k8s.io", "servicecidrs", "list", ""}], nil
	})
	for name := range replicas {
		log, err := os.ReadFile(filepath.Join(g.dir, name+".log"))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(log)) {
			if strings.Contains(line, "needs a change") || strings.Contains(line, "will not trust") {
				t.Errorf("%s: %s", name, line)
			}
		}
	}
}

// newReplicas are the replicas whose Pods stay.
func (g *fixture) newReplicas(t *testing.T) map[string]*replica {
	t.Helper()
	pods, err := g.client.CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{LabelSelector: component})
	if err != nil {
		t.Fatal(err)
	}
	replicas := map[string]*replica{}
	for name, r := range g.kubelet.running() {
		for _, pod := range pods.Items {
			if pod.Name == name && pod.DeletionTimestamp == nil {
				replicas[name] = r
			}
		}
	}
	if len(replicas) == 0 {
		t.Fatal("no replica runs")
	}
	return replicas
}

// atGateway is a kubectl that trusts a replica as a Pod does.
func (g *fixture) atGateway(t *testing.T, kubeconfig string, r *replica) *framework.Kubectl {
	t.Helper()
	return framework.NewKubectl(t, kubeconfig).With("--server=https://"+r.address+":6443", "--tls-server-name=kubernetes.default.svc",
		"--certificate-authority="+g.users.file("ca").cert)
}

// testWholeCluster uses what is Portolan's and what is the cluster's at a gateway, and the
// same Services through the aggregation layer.
func testWholeCluster(t *testing.T, g *fixture, gateway *framework.Kubectl, name string) {
	t.Helper()
	direct := framework.NewKubectl(t, g.kubeconfig)
	gateway.Expect(gateway.Run("auth", "whoami"), "admin", "system:masters")
	gateway.Run("create", "service", "clusterip", name, "--tcp=80")
	ip := gateway.Run("get", "service", name, "-o", "jsonpath={.spec.clusterIP}")
	gateway.Expect(direct.Run("get", "services.portolan.dev", name), ip)
	gateway.Expect(gateway.Run("get", "services.portolan.dev", name), ip)
	gateway.Expect(direct.Fail("get", "services", name), "NotFound")
	for _, args := range []string{
		"get nodes -o name", "get deployments -A -o name", "api-resources", "get apiservices -o name", "get --raw /version",
	} {
		if got, want := gateway.Run(strings.Fields(args)...), direct.Run(strings.Fields(args)...); got != want {
			t.Errorf("kubectl %s: %s\nwithout the gateway: %s", args, got, want)
		}
	}
	gateway.Run("create", "configmap", name)
	direct.Run("delete", "configmap", name)
	gateway.Run("delete", "service", name)
	gateway.Expect(direct.Fail("get", "services.portolan.dev", name), "NotFound")
}

// testPodTrust connects by the names and the address that Pods know, and as the
// aggregation layer does.
func testPodTrust(t *testing.T, g *fixture, r *replica) {
	t.Helper()
	data, err := os.ReadFile(g.users.file("ca").cert)
	if err != nil {
		t.Fatal(err)
	}
	cluster := x509.NewCertPool()
	cluster.AppendCertsFromPEM(data)
	for _, name := range []string{"kubernetes", "kubernetes.default", "kubernetes.default.svc", firstAddress, "portolan.portolan.svc"} {
		conn, err := tls.Dial("tcp", r.address+":6443", &tls.Config{RootCAs: cluster, ServerName: name})
		if err == nil {
			conn.Close()
		}
		// The aggregation layer trusts an authority of Portolan's own.
		if trusted := name != "portolan.portolan.svc"; trusted != (err == nil) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// awaitEndpoints waits until the Service kubernetes leads to the replicas.
func (g *fixture) awaitEndpoints(t *testing.T, replicas map[string]*replica) {
	t.Helper()
	var want []string
	for _, r := range replicas {
		want = append(want, r.address)
	}
	slices.Sort(want)
	gateway := g.atGateway(t, g.kubeconfig, slices.Collect(maps.Values(replicas))[0])
	gateway.Expect(gateway.Run("get", "service", "kubernetes"), firstAddress)
	framework.Eventually(t, "the Service kubernetes has the replicas as its endpoints", func(context.Context) (bool, error) {
		addresses, err := gateway.Try("", "get", "endpointslices", "-l", "kubernetes.io/service-name=kubernetes",
			"-o", "jsonpath={.items[*].endpoints[*].addresses[*]}")
		got := strings.Fields(addresses)
		slices.Sort(got)
		return err == nil && slices.Equal(got, want), fmt.Errorf("it has %s and not %s", addresses, want)
	})
}
