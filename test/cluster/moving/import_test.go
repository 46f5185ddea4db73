//go:build e2e

package moving

import (
	"encoding/json"
	"math/big"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/portolan-dev/portolan/pkg/server/options"
	"github.com/portolan-dev/portolan/test/framework"
)

// importing runs the command import.
func importing(t *testing.T, args ...string) (out string, err error) {
	t.Helper()
	out, stderr, err := framework.Command(t, append([]string{"import"}, args...)...)
	return out + stderr, err
}

// expectFailure expects an import to fail with a text, and returns what it prints.
func expectFailure(t *testing.T, text string, args ...string) string {
	t.Helper()
	out, err := importing(t, args...)
	if err == nil || !strings.Contains(out, text) {
		t.Errorf("%v, and it does not say %q:\n%s", err, text, out)
	}
	return out
}

func expect(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("it does not say %q", part)
		}
	}
	if t.Failed() {
		t.Fatalf("it says:\n%s", text)
	}
}

// TestImport imports a cluster without leaks, from a snapshot and from its API. What the
// server then serves is what the cluster served.
func TestImport(t *testing.T) {
	c := newCluster(t)
	c.fill()
	file := c.snapshot()
	for name, source := range map[string]string{"snapshot": "--etcd-snapshot=" + file, "API": "--kubeconfig=" + c.kube.Kubeconfig} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			out, err := importing(t, source, "--data-dir="+dir, "--standalone")
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			expect(t, out, "Read 7 Services, ", "OK: every value that a Service holds is claimed for it", "(1 reservation)",
				"holding 5 addresses and 3 node ports")
			if strings.Contains(out, "problem:") {
				t.Errorf("it has problems:\n%s", out)
			}
			server := framework.Start(t, func(o *options.Options) { o.DataDir = dir })
			moved, err := kubernetes.NewForConfig(server.Config)
			if err != nil {
				t.Fatal(err)
			}
			for _, resource := range []string{
				"/api/v1/services", "/api/v1/endpoints", "/apis/discovery.k8s.io/v1/endpointslices", "/apis/networking.k8s.io/v1/ipaddresses",
			} {
				want, got := objects(t, c.client, resource), objects(t, moved, resource)
				if want != got {
					t.Errorf("%s: got\n%s\nwant\n%s", resource, got, want)
				}
			}
			// The store is not empty any more.
			if err := server.Stop(); err != nil {
				t.Error(err)
			}
			expectFailure(t, "the store is not empty", source, "--data-dir="+dir)
		})
	}
}

// objects returns a list as text, without what must differ: resource versions, and the uid of
// an IPAddress's holder, which upstream does not have.
func objects(t *testing.T, client *kubernetes.Clientset, path string) string {
	t.Helper()
	raw, err := client.RESTClient().Get().AbsPath(path).DoRaw(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var list struct{ Items []map[string]any }
	if err := json.Unmarshal(raw, &list); err != nil {
		t.Fatal(err)
	}
	for _, item := range list.Items {
		delete(item["metadata"].(map[string]any), "resourceVersion")
	}
	text, err := json.MarshalIndent(list.Items, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// leak makes everything that upstream leaks, while kube-apiserver and its repair loops are
// stopped.
func (c *cluster) leak() {
	c.t.Helper()
	c.kube.StopAPI()
	web := load(c, "services/specs/default/web", &corev1.Service{})
	dns := load(c, "services/specs/default/dns", &corev1.Service{})
	api := load(c, "services/specs/default/api", &corev1.Service{})

	double := dns.DeepCopy()
	double.Name, double.UID = "double", "double"
	double.CreationTimestamp = metav1.NewTime(double.CreationTimestamp.AddDate(0, 0, 1))
	c.store("services/specs/default/double", double)

	outside := web.DeepCopy()
	outside.Name, outside.UID = "outside", "outside"
	outside.Spec.Type, outside.Spec.ClusterIP, outside.Spec.ClusterIPs = corev1.ServiceTypeNodePort, "172.30.0.9", []string{"172.30.0.9"}
	outside.Spec.Ports[0].NodePort = 40000
	c.store("services/specs/default/outside", outside)

	address := load(c, "ipaddresses/"+web.Spec.ClusterIP, &networkingv1.IPAddress{})
	c.remove("ipaddresses/" + web.Spec.ClusterIP)
	orphan := address.DeepCopy()
	orphan.Name, orphan.Spec.ParentRef.Name = "10.96.200.200", "gone"
	c.store("ipaddresses/10.96.200.200", orphan)
	stolen := load(c, "ipaddresses/"+api.Spec.ClusterIP, &networkingv1.IPAddress{})
	stolen.Spec.ParentRef.Name = "other"
	c.store("ipaddresses/"+api.Spec.ClusterIP, stolen)

	ports := load(c, "ranges/servicenodeports", &corev1.RangeAllocation{})
	bits := new(big.Int).SetBytes(ports.Data)
	bits.SetBit(bits, 31999-30000, 1)
	bits.SetBit(bits, int(dns.Spec.Ports[0].NodePort)-30000, 0)
	ports.Data = bits.Bytes()
	c.store("ranges/servicenodeports", ports)
	c.put("services/specs/default/broken", "k8s\x00broken")
	c.put("services/specs/default/sealed", "k8s:enc:aescbc:v1:key:gibberish")
}

// TestImportLeaks imports a cluster with every leak of upstream's.
func TestImportLeaks(t *testing.T) {
	c := newCluster(t)
	c.fill()
	c.leak()
	source, dir := "--etcd-snapshot="+c.snapshot(), t.TempDir()
	web, dns, api := load(c, "services/specs/default/web", &corev1.Service{}), load(c, "services/specs/default/dns", &corev1.Service{}),
		load(c, "services/specs/default/api", &corev1.Service{})
	ip := dns.Spec.ClusterIP

	out := expectFailure(t, "nothing was imported: 12 problems prevent the import", source, "--data-dir="+dir)
	expect(t, out,
		"problem: services/default/web holds "+web.Spec.ClusterIP+", but ipaddresses/"+web.Spec.ClusterIP+" does not exist",
		"problem: ipaddresses/10.96.200.200 has no Service: it names services/default/gone, which does not exist",
		"problem: services/default/api holds "+api.Spec.ClusterIP+", but ipaddresses/"+api.Spec.ClusterIP+" belongs to services/default/other",
		"problem: "+ip+" is held by services/default/dns (created ", ") and services/default/double (created ",
		"is held by services/default/dns (created ",
		"problem: node port 31999 has no Service: kube-apiserver's bitmap has it",
		"problem: services/default/dns holds node port ", ", but kube-apiserver's bitmap does not have it",
		"problem: services/default/outside holds 172.30.0.9, which lies in no ServiceCIDR",
		"problem: services/default/outside holds 172.30.0.9, but ipaddresses/172.30.0.9 does not exist",
		"problem: services/default/outside holds node port 40000, which lies outside the range 30000-32767",
		"problem: services/specs/default/broken can't be decoded: ",
		"problem: services/specs/default/sealed is encrypted at rest, with \"aescbc\"",
		"by hand: kubectl delete ipaddress 10.96.200.200", "with --repair: leaves it out",
		"with --repair --renumber: services/default/dns keeps it",
	)
	expectFailure(t, "nothing was imported: 2 problems", source, "--data-dir="+dir, "--repair", "--renumber")
	c.remove("services/specs/default/broken")
	c.remove("services/specs/default/sealed")
	source = "--etcd-snapshot=" + c.snapshot()
	expectFailure(t, "nothing was imported: 2 problems", source, "--data-dir="+dir, "--repair")
	planned, err := importing(t, source, "--data-dir="+dir, "--repair", "--renumber", "--dry-run")
	c.must(err)
	expect(t, planned, "note: services/default/double gets 10.", " objects would be imported")
	out, err = importing(t, source, "--data-dir="+dir, "--repair", "--renumber")
	c.must(err)
	expect(t, out, planned[strings.Index(planned, "note: services/default/double gets"):strings.Index(planned, "problem:")],
		"repair: leaves it out",
		"OK: every value that a Service holds is claimed for it",
		"warning: services/default/outside holds 172.30.0.9, which lies in no ServiceCIDR")
	out, _, err = framework.Command(t, "verify", "--data-dir="+dir)
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
