package api

import (
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/test/framework"
)

// expectRun wants a command to end with an error, or without one, and to print some lines.
func (s tenants) expectRun(wantErr string, args []string, want ...string) {
	s.t.Helper()
	text, err := s.run(args...).end()
	if wantErr == "" && err != nil || wantErr != "" && (err == nil || !strings.Contains(err.Error(), wantErr)) {
		s.t.Errorf("%v ended with %v, want %q", args, err, wantErr)
	}
	for _, line := range want {
		if !strings.Contains(text, line) {
			s.t.Errorf("%v does not say %q:\n%s", args, line, text)
		}
	}
}

// TestRenumberCommand moves what a range gave to Services: a plan, a part, all, and back.
func TestRenumberCommand(t *testing.T) {
	t.Parallel()
	s := startTenants(t)
	createCIDR(t, s.Server, "new", onRequest, "10.201.0.0/28")
	createCIDR(t, s.Server, "tiny", onRequest, "10.202.0.0/30")
	for _, name := range []string{"a", "b"} {
		s.expectIn("10.200.0.0/24", "team-a", name, "", on(map[string]string{"a": "10.200.0.5", "b": "10.200.0.200"}[name]))
	}
	for _, name := range []string{"c", "d", "e"} {
		s.expectIn("10.200.0.0/24", "default", name, "")
	}
	dns := serviceWith("dns", on("10.200.0.10"))
	dns.Labels = map[string]string{"k8s-app": "kube-dns"}
	if _, err := servicesOf(s.Server).Create(t.Context(), dns, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	countIn := func(cidr string, want int) {
		t.Helper()
		list, err := s.Client.PortolanV1().Services("").List(t.Context(), metav1.ListOptions{})
		count := 0
		for i := range list.Items {
			if isIn(cidr, list.Items[i].Spec.ClusterIP) {
				count++
			}
		}
		if count != want || err != nil {
			t.Errorf("%d Services have addresses of %s, want %d (%v)", count, cidr, want, err)
		}
	}
	from := []string{"renumber", "--rate=1000", "--from=servicecidr/kubernetes"}
	s.expectRun("", append(from, "--to=servicecidr/new", "--dry-run"), "servicecidr/kubernetes -> servicecidr/new: Services to move: 5\n",
		"not moved: default/dns: nodes and Pods have its address in their configuration",
		"team-a      a         10.200.0.5     in the static band: 10.200.0.5",
		"team-a/b: 10.200.0.200 -> a value of new", "Nothing was changed.")
	countIn("10.200.0.0/24", 6)
	s.expectRun("", append(from, "--to=servicecidr/new", "-n=team-a", "-l=none"), "Services to move: 0", "Services moved: 0.")
	s.expectRun("", append(from, "--to=servicecidr/new", "-n=team-a"), "2 of 2: team-a/", "Services moved: 2.",
		"portolan renumber --from=servicecidr/new --to=servicecidr/kubernetes --namespace=team-a")
	countIn("10.201.0.0/28", 2)
	// Two of three fit.
	s.expectRun("tiny is full", append(from, "--to=servicecidr/tiny"), "Warning: values to move: 3; free in servicecidr/tiny (IPv4): 2.")
	countIn("10.202.0.0/30", 2)
	// The rest of it goes elsewhere, and everything returns.
	s.expectRun("", append(from, "--to=servicecidr/new", "--dns"), "2 of 2: default/", "Services moved: 2.")
	countIn("10.200.0.0/24", 0)
	for _, name := range []string{"new", "tiny"} {
		s.expectRun("", []string{"renumber", "--rate=1000", "--from=servicecidr/" + name, "--to=servicecidr/kubernetes", "--dns"})
	}
	countIn("10.200.0.0/24", 6)

	// What the server rejects of one Service does not keep the others.
	named := serviceWith("named")
	named.Annotations = map[string]string{v1.ServiceCIDRAnnotation: "kubernetes"}
	if _, err := servicesOf(s.Server).Create(t.Context(), named, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	s.expectRun("1 of 6 Services were not moved", append(from, "--to=servicecidr/new"), "default/named: not moved:", "Services moved: 5.")
}

// TestRenumberCommandErrors wants clear errors for flags that make no sense.
func TestRenumberCommandErrors(t *testing.T) {
	t.Parallel()
	s := startTenants(t)
	for wantErr, args := range map[string][]string{
		`"odl" not found; there are: kubernetes`:          {"--from=servicecidr/odl", "--to=servicecidr/kubernetes"},
		"both must be of the same kind":                   {"--from=servicecidr/a", "--to=nodeportrange/a"},
		`name the same range, "a"`:                        {"--from=servicecidr/a", "--to=servicecidr/a"},
		"name both ranges":                                {"--from=servicecidr/a"},
		"--rate must be greater than 0":                   {"--from=servicecidr/a", "--to=servicecidr/b", "--rate=0"},
		"--selector: ":                                    {"--from=servicecidr/a", "--to=servicecidr/b", "--selector=a in b"},
		`--to: "service" is not a kind of range`:          {"--from=servicecidr/a", "--to=service/b"},
		`--from: name one range by its kind and its name`: {"--from=servicecidr", "--to=servicecidr/b"},
	} {
		s.expectRun(wantErr, append([]string{"renumber"}, args...))
	}
}

// TestRenumberIsResumed interrupts the command, and kills the server while it works. Another
// run moves the Services that are left.
func TestRenumberIsResumed(t *testing.T) {
	t.Parallel()
	const services = 40
	dataDir := framework.Directory(t)
	serve := func() *framework.Process {
		server := framework.Spawn(t, dataDir, "--service-cluster-ip-range="+oldCIDR)
		server.WaitReady(t)
		return server
	}
	server := serve()
	clients := server.Client(t).PortolanV1()
	cidr := &v1.ServiceCIDR{ObjectMeta: metav1.ObjectMeta{Name: "new"}, Spec: v1.ServiceCIDRSpec{CIDRs: []string{newCIDR}}}
	onRequest(&cidr.Spec)
	if _, err := clients.ServiceCIDRs().Create(t.Context(), cidr, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for i := range services {
		if _, err := clients.Services("default").Create(t.Context(), serviceWith(fmt.Sprint("web-", i)), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	command := func() *running {
		return runWith(t, "renumber", "--from=servicecidr/kubernetes", "--to=servicecidr/new", "--rate=100",
			"--kubeconfig="+dataDir+"/admin.kubeconfig")
	}
	interrupted := command()
	interrupted.until("5 of 40: ")
	interrupted.cancel()
	if _, err := interrupted.end(); err == nil || !strings.HasPrefix(err.Error(), "interrupted: ") {
		t.Errorf("an interrupted command ends with %v", err)
	}
	killed := command()
	killed.until("5 of ")
	server.Kill(t)
	if _, err := killed.end(); err == nil {
		t.Error("the command succeeded although its server was killed")
	}
	server = serve()
	if text, err := command().end(); err != nil {
		t.Errorf("%v\n%s", err, text)
	}
	list, err := server.Client(t).PortolanV1().Services("default").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	held := map[string]bool{}
	for i := range list.Items {
		if svc := &list.Items[i]; svc.Name != "kubernetes" {
			held[svc.Spec.ClusterIP] = isIn(newCIDR, svc.Spec.ClusterIP)
		}
	}
	for address, moved := range held {
		if !moved {
			t.Errorf("a Service still has %s", address)
		}
	}
	if len(held) != services {
		t.Errorf("%d Services have %d addresses", services, len(held))
	}
}
