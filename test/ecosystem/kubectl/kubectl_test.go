// Package kubectl tests the server with the real kubectl, which the Makefile
// builds from its module.
package kubectl

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/portolan-dev/portolan/pkg/server/options"
	"github.com/portolan-dev/portolan/test/framework"
)

func TestMain(m *testing.M) { framework.Main(m) }

// kubectl runs kubectl in the repository, as the administrator of a server.
type kubectl struct {
	*framework.Kubectl
	t *testing.T
	// dataDir is the server's data directory.
	dataDir string
}

func start(t *testing.T) *kubectl {
	t.Helper()
	return startWith(t, nil)
}

// startWith starts the server with other options than the default ones.
func startWith(t *testing.T, change func(*options.Options)) *kubectl {
	t.Helper()
	return with(t, framework.Start(t, change))
}

// startAll starts a server that does all that it does by default, and waits for
// the Service that it makes.
func startAll(t *testing.T) *kubectl {
	t.Helper()
	k := with(t, framework.StartAll(t, nil))
	framework.Eventually(t, "the server's Service", func(context.Context) (bool, error) {
		_, err := k.Try("", "get", "service", "kubernetes")
		return err == nil, err
	})
	return k
}

func with(t *testing.T, server *framework.Server) *kubectl {
	t.Helper()
	k := framework.NewKubectl(t, server.Kubeconfig)
	k.Dir = framework.Path()
	return &kubectl{k, t, server.DataDir}
}

// rows are the fields of the lines of a table, without its header.
func rows(table string) map[string][]string {
	byName := map[string][]string{}
	for _, line := range strings.Split(strings.TrimSpace(table), "\n")[1:] {
		fields := strings.Fields(line)
		byName[fields[0]] = fields
	}
	return byName
}

func TestServices(t *testing.T) {
	t.Parallel()
	k := start(t)
	k.Run("create", "-f", "artifacts/examples/toad.yaml")

	table := k.Run("get", "psvc")
	if header := strings.Fields(strings.SplitN(table, "\n", 2)[0]); strings.Join(header,
		" ") != "NAME TYPE CLUSTER-IP EXTERNAL-IP PORT(S) AGE" {
		t.Errorf("header: %v", header)
	}
	services := rows(table)
	for name, want := range map[string]string{
		"toad":             "ClusterIP IP <none> 80/TCP",
		"toad-affinity":    "ClusterIP IP <none> 80/TCP",
		"toad-two-ports":   "ClusterIP IP <none> 80/TCP,443/TCP",
		"toad-named-ports": "ClusterIP IP <none> 80/TCP,443/TCP",
		"toad-nodeport":    "NodePort IP <none> 80:30123/TCP",
		"external":         "ExternalName <none> someapi.somecompany.com 80/TCP",
		"toad-headless":    "ClusterIP None <none> 80/TCP",
	} {
		got := append([]string(nil), services[name]...)
		if len(got) < 5 {
			t.Fatalf("%s: %v", name, got)
		}
		if strings.HasPrefix(got[2], "10.") {
			got[2] = "IP"
		}
		if joined := strings.Join(got[1:5], " "); joined != want {
			t.Errorf("%s: got %s, want %s", name, joined, want)
		}
	}
	if ports := services["toad-any-nodeport"][4]; !strings.HasPrefix(ports, "80:3") {
		t.Errorf("a node port that was left open: %s", ports)
	}
	k.Expect(k.Run("get", "psvc", "toad-affinity", "-o", "jsonpath={.spec.sessionAffinityConfig.clientIP.timeoutSeconds}"), "10800")
	k.Expect(k.Run("get", "psvc", "toad-named-ports", "-o", "jsonpath={.spec.ports[*].targetPort}"), "http https")
	k.Expect(k.Fail("create", "-f", "artifacts/examples/toad.yaml"), `services.portolan.dev "toad-nodeport" already exists`)

	k.Run("delete", "-f", "artifacts/examples/toad.yaml")
	k.Expect(k.Run("get", "psvc,ipaddresses.portolan.dev,nodeports.portolan.dev"), "No resources found")
}

func TestLoadBalancer(t *testing.T) {
	t.Parallel()
	k := start(t)
	k.Run("apply", "-f", "artifacts/examples/toad.yaml")
	if row := rows(k.Run("get", "psvc"))["toad-loadbalancer"]; row[3] != "<pending>" {
		t.Errorf("before its status is set: %v", row)
	}
	k.Run("patch", "psvc", "toad-loadbalancer", "--subresource=status", "--type=merge", "-p",
		`{"status":{"loadBalancer":{"ingress":[{"ip":"130.211.53.173"}]}}}`)
	if row := rows(k.Run("get", "psvc"))["toad-loadbalancer"]; row[3] != "130.211.53.173" {
		t.Errorf("after its status is set: %v", row)
	}
	k.Run("wait", "psvc/toad-loadbalancer", "--for=jsonpath={.status.loadBalancer.ingress[0].ip}=130.211.53.173", "--timeout=30s")
}

func TestEndpoints(t *testing.T) {
	t.Parallel()
	k := start(t)
	k.Run("create", "-f", "artifacts/examples/external-endpoints.yaml")
	row := rows(k.Run("get", "pep"))["external-service"]
	if len(row) < 2 || row[1] != "11.11.11.11:80,22.22.22.22:80" {
		t.Errorf("got %v", row)
	}
}

func TestEndpointSlices(t *testing.T) {
	t.Parallel()
	k := start(t)
	k.Run("create", "-f", "artifacts/examples/external-endpointslices.yaml")
	row := rows(k.Run("get", "endpointslices.portolan.dev"))["external-database-1"]
	if len(row) < 4 || strings.Join(row[1:4], " ") != "IPv4 5432 11.11.11.11,22.22.22.22" {
		t.Errorf("got %v", row)
	}
	k.Expect(k.Run("get", "endpointslices.portolan.dev", "-l", "kubernetes.io/service-name=external-database", "-o", "name"),
		"endpointslice.portolan.dev/external-database-1")
}

func TestServiceProxy(t *testing.T) {
	t.Parallel()
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		fmt.Fprintf(w, "%s %s %s", req.Method, req.URL.RequestURI(), body)
	}))
	t.Cleanup(backend.Close)
	_, port, err := net.SplitHostPort(backend.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	k := startWith(t, func(o *options.Options) { o.ServiceProxyAllowCIDRs = []string{"127.0.0.1/32"} })
	k.apply(`{"apiVersion":"portolan.dev/v1","kind":"Endpoints","metadata":{"name":"px"},"subsets":[{"addresses":[{"ip":"127.0.0.1"}],"ports":[{"port":`+port+`}]}]}`, true)
	k.apply(`{"apiVersion":"portolan.dev/v1","kind":"Service","metadata":{"name":"px"},"spec":{"ports":[{"port":80}]}}`, true)
	proxy := "/apis/portolan.dev/v1/namespaces/default/services/px:80/proxy"
	for _, got := range []string{k.Run("get", "--raw", proxy+"/a/?b=c"),
		k.Run("get", "--raw", strings.Replace(proxy, ":80", "", 1)+"/a/?b=c")} {
		if got != "GET /a/?b=c " {
			t.Errorf("got %q", got)
		}
	}
	k.Expect(k.Run("get", "--raw", proxy), "GET / ")
	k.Expect(k.Run("create", "--raw", proxy+"/d", "-f", "artifacts/examples/reservations.yaml"), "POST /d ", "kind: IPAddress")
	k.Expect(k.Fail("get", "--raw", strings.Replace(proxy, "80", "81", 1)), `no service port 81 found for service "px"`)
}

func TestReservations(t *testing.T) {
	t.Parallel()
	k := start(t)
	k.Run("create", "-f", "artifacts/examples/reservations.yaml")
	service := `{"apiVersion":"portolan.dev/v1","kind":"Service","metadata":{"name":"s"},"spec":{"type":"NodePort",%s"ports":[{"port":80,"nodePort":%d}]}}`
	k.Expect(k.apply(strings.NewReplacer("%s", `"clusterIP":"10.96.0.10",`, "%d", "443").Replace(service), false),
		"failed to allocate IP 10.96.0.10: provided IP is already allocated")
	k.Expect(k.apply(strings.NewReplacer("%s", "", "%d", "30053").Replace(service), false), "provided port is already allocated")
	k.Expect(k.apply(strings.NewReplacer("%s", "", "%d", "81").Replace(service), false),
		"provided port is not in the valid range. The range of valid ports is 30000-32767,80,443")
	k.Expect(k.apply(strings.NewReplacer("%s", "", "%d", "443").Replace(service), true), "created")
	if row := rows(k.Run("get", "nodeportranges"))["well-known"]; strings.Join(row[1:6], " ") != "80,443 false 2 1 1" {
		t.Errorf("figures: %v", row)
	}
}

// apply creates an object from JSON.
func (k *kubectl) apply(manifest string, succeeds bool) string {
	k.t.Helper()
	out, err := k.Try(manifest, "create", "-f", "-")
	if (err == nil) != succeeds {
		k.t.Errorf("create ended with %v:\n%s", err, out)
	}
	return out
}

func TestVerbs(t *testing.T) {
	t.Parallel()
	k := start(t)
	k.Expect(k.Run("api-resources", "--api-group=portolan.dev"), "psvc", "pep", "EndpointSlice", "ServiceCIDR", "IPAddress", "NodePortRange",
		"NodePort")
	k.Expect(k.Run("explain", "psvc.spec.externalTrafficPolicy"), "FIELD: externalTrafficPolicy <string>")
	// kubectl wraps the description between the two.
	k.Expect(k.Run("explain", "nodeportranges.spec.autoAssign"), "Defaults", "to true.")

	// Its line tells that the watch is on.
	k.apply(`{"apiVersion":"portolan.dev/v1","kind":"Service","metadata":{"name":"first"},"spec":{"ports":[{"port":80}]}}`, true)
	watching, line := k.watch()
	defer watching()
	if first := line(); !strings.HasPrefix(first, "first ") {
		t.Errorf("listed: %s", first)
	}
	k.Expect(k.Run("apply", "--server-side", "-f", "artifacts/examples/toad.yaml"), "service.portolan.dev/toad serverside-applied")
	if next := line(); !strings.HasPrefix(next, "toad ") {
		t.Errorf("watched: %s", next)
	}
	k.Expect(k.Run("describe", "psvc", "toad"), "Session Affinity:  None")

	// What kubectl edit does in the end.
	k.Run("patch", "psvc", "toad", "--type=strategic", "-p", `{"spec":{"type":"NodePort"}}`)
	k.Expect(k.Run("get", "psvc", "toad", "-o", "jsonpath={.spec.type} {.spec.externalTrafficPolicy}"), "NodePort Cluster")
	conflict := `{"apiVersion":"portolan.dev/v1","kind":"Service","metadata":{"name":"toad"},"spec":{"type":"LoadBalancer","ports":[{"port":80}]}}`
	k.Expect(k.FailFed(conflict, "apply", "--server-side", "--field-manager=other", "-f", "-"), `conflict with "kubectl-patch"`, ".spec.type")
	k.Expect(k.Run("delete", "psvc", "--all"), `"toad" deleted`)
	k.Expect(k.Run("get", "servicecidrs.portolan.dev"), "10.96.0.0/12", "1048574")
}

// watch runs kubectl get --watch and returns how to end it and to read a line.
func (k *kubectl) watch() (end func(), line func() string) {
	k.t.Helper()
	ctx, cancel := context.WithCancel(k.t.Context())
	cmd := k.Command(ctx, "get", "psvc", "--watch", "--no-headers")
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		k.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		k.t.Fatal(err)
	}
	lines := bufio.NewScanner(pipe)
	end = func() {
		cancel()
		// It was killed; how it ended says nothing.
		_ = cmd.Wait()
	}
	return end, func() string {
		if !lines.Scan() {
			k.t.Fatalf("the watch ended: %v", lines.Err())
		}
		return lines.Text()
	}
}
