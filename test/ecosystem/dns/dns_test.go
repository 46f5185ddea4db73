//go:build e2e

// Package dns has an unmodified CoreDNS serve names from Portolan without a
// cluster, by the Corefile of the examples and as a user who may only read, and
// compares its answers with those of one that has a kube-apiserver 1.36 and
// kube-controller-manager.
package dns

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/portolan-dev/portolan/pkg/cmd"
	"github.com/portolan-dev/portolan/pkg/server/options"
	"github.com/portolan-dev/portolan/pkg/users"
	"github.com/portolan-dev/portolan/test/framework"
	"github.com/portolan-dev/portolan/test/framework/upstream"
)

const (
	domain = "cluster.local"
	// What the Corefile says, from the directory that CoreDNS runs in.
	dataDir    = "portolan-data"
	kubeconfig = dataDir + "/coredns.kubeconfig"
)

// The ranges that both servers give addresses from.
var ranges = []string{"10.96.0.0/16", "fd00:10:96::/112"}

// setup is an API server and a CoreDNS that serves what it holds.
type setup struct {
	name string
	// server is set for Portolan.
	server *framework.Server
	client kubernetes.Interface
	// dir is where CoreDNS runs, and address where it answers.
	dir, address string
	dns          *upstream.Process
}

func TestMain(m *testing.M) { framework.QuietMain(m) }

// startPortolan runs a server with its controllers in a directory, and returns
// the setup whose CoreDNS is run by the Corefile as it is.
func startPortolan(t *testing.T) *setup {
	t.Helper()
	dir := t.TempDir()
	s := framework.StartAll(t, func(o *options.Options) {
		o.ClusterIPRanges = ranges
		o.DataDir = filepath.Join(dir, dataDir)
	})
	add := cmd.NewCommand()
	add.SetArgs([]string{"user", "add", "coredns", "--group=" + users.Readers, "--data-dir=" + s.DataDir})
	add.SetOut(t.Output())
	if err := add.ExecuteContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	return startCoreDNS(t, &setup{name: "Portolan", server: s, client: clientOf(t, s.Config), dir: dir}, nil)
}

// withProtobuf is another CoreDNS beside the one of a Portolan, which is configured
// with the address of the server instead of a kubeconfig. It then uses protobuf
// instead of JSON.
func (s *setup) withProtobuf(t *testing.T) *setup {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", filepath.Join(s.dir, kubeconfig))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, data := range map[string][]byte{"cert": config.CertData, "key": config.KeyData, "ca": config.CAData} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return startCoreDNS(t, &setup{name: s.name + ", protobuf", client: s.client, dir: dir}, func(corefile string) string {
		return replace(t, corefile, "kubeconfig "+kubeconfig, "endpoint "+config.Host+"\ntls cert key ca")
	})
}

// startKube runs a kube-apiserver with the controllers that make slices.
func startKube(t *testing.T) *setup {
	t.Helper()
	dir := t.TempDir()
	kube := framework.StartKube(t, "--service-cluster-ip-range="+strings.Join(ranges, ","))
	framework.StartControllers(t, kube, framework.EndpointControllers, framework.DeletionControllers)
	if err := os.Mkdir(filepath.Join(dir, dataDir), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(kube.Kubeconfig, filepath.Join(dir, kubeconfig)); err != nil {
		t.Fatal(err)
	}
	return startCoreDNS(t, &setup{name: "kube-apiserver", client: clientOf(t, kube.Config), dir: dir}, nil)
}

// startCoreDNS runs the example's Corefile, but for what lies outside the domain:
// that is a resolver of the test's own. Change may change more of it.
func startCoreDNS(t *testing.T, s *setup, change func(corefile string) string) *setup {
	t.Helper()
	raw, err := os.ReadFile(framework.Path("artifacts", "examples", "coredns", "Corefile"))
	if err != nil {
		t.Fatal(err)
	}
	corefile := replace(t, string(raw), "forward . /etc/resolv.conf", "forward . "+startResolver(t))
	if change != nil {
		corefile = change(corefile)
	}
	if err := os.WriteFile(filepath.Join(s.dir, "Corefile"), []byte(corefile), 0o600); err != nil {
		t.Fatal(err)
	}
	s.address = freeAddress(t)
	_, port, err := net.SplitHostPort(s.address)
	if err != nil {
		t.Fatal(err)
	}
	s.dns = framework.Launch(t, s.dir, "coredns", "-conf=Corefile", "-dns.port="+port)
	err = s.dns.Await(t.Context(), func(ctx context.Context) bool {
		got, err := ask(ctx, s.address, question{"default.svc." + domain, "A"})
		return err == nil && got.code == "Success"
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func clientOf(t *testing.T, config *rest.Config) kubernetes.Interface {
	t.Helper()
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// replace is for text that must be there.
func replace(t *testing.T, text, old, with string) string {
	t.Helper()
	if strings.Count(text, old) != 1 {
		t.Fatalf("%q is not once in\n%s", old, text)
	}
	return strings.Replace(text, old, with, 1)
}

// freeAddress is one that nobody listens on, neither over UDP nor over TCP.
func freeAddress(t *testing.T) string {
	t.Helper()
	for range 100 {
		packets, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		address := packets.LocalAddr().String()
		listener, err := net.Listen("tcp", address)
		if err == nil {
			err = listener.Close()
		}
		if closed := packets.Close(); closed != nil {
			t.Fatal(closed)
		}
		if err == nil {
			return address
		}
	}
	t.Fatal("no port is free")
	return ""
}

// expect waits until a setup answers with these records, each as "name TYPE data",
// and returns for how long. A name that isn't there is none.
func (s *setup) expect(t *testing.T, q question, want ...string) time.Duration {
	t.Helper()
	slices.Sort(want)
	started := time.Now()
	var last string
	err := framework.Poll(t.Context(), func(ctx context.Context) (bool, error) {
		got, err := ask(ctx, s.address, q)
		if err == nil {
			last = got.all
		}
		known := got.code == "Success" || got.code == "NameError"
		return err == nil && known && slices.Equal(got.records, want), nil
	})
	if err != nil {
		t.Fatalf("%s: %v: %v\nit says\n%s\nwant\n%s", s.name, q, err, last, strings.Join(want, "\n"))
	}
	return time.Since(started)
}

// compare waits until all setups answer all questions as the first one does.
func compare(t *testing.T, what string, setups []*setup, questions []question) {
	t.Helper()
	var differ []question
	err := framework.Poll(t.Context(), func(ctx context.Context) (bool, error) {
		differ = slices.DeleteFunc(slices.Clone(questions), func(q question) bool { return len(slices.Compact(answers(ctx, setups, q))) == 1 })
		return len(differ) == 0, nil
	})
	if err == nil {
		return
	}
	t.Errorf("%s: %d of %d answers differ: %v", what, len(differ), len(questions), err)
	for _, q := range differ[:min(len(differ), 5)] {
		for i, text := range answers(t.Context(), setups, q) {
			t.Logf("%v: %s says\n%s", q, setups[i].name, text)
		}
	}
}

// answers returns how the setups answer a question.
func answers(ctx context.Context, setups []*setup, q question) []string {
	all := make([]string, len(setups))
	for i, s := range setups {
		got, err := ask(ctx, s.address, q)
		all[i] = got.all
		if err != nil {
			all[i] = fmt.Sprintf("nothing from setup %d: %v", i, err)
		}
	}
	return all
}
