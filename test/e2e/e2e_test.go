//go:build e2e

// Package e2e compares Portolan with a real kube-apiserver, which the Makefile
// builds from its module. Thousands of generated sequences of requests go to
// both, and every answer must be the same but for what a server chooses, and
// for what Portolan does better on purpose: see better.go.
//
// The environment can narrow a run down:
//
//	PORTOLAN_E2E_RUN   a regular expression: only sequences with such names
//	PORTOLAN_E2E_SEED  what the random part is made from, 1 by default
//	PORTOLAN_E2E_COUNT how many Services are put together at random
//	PORTOLAN_E2E_SHOW  how many kinds of differences are shown, 40 by default
package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"k8s.io/klog/v2"

	"github.com/portolan-dev/portolan/pkg/server/options"
	"github.com/portolan-dev/portolan/test/harness"
	"github.com/portolan-dev/portolan/test/upstream"
)

const (
	root = "../.."
	// denyExternalIPs is a plugin that upstream has off by default.
	denyExternalIPs = "DenyServiceExternalIPs"
)

// setting reads a number from the environment.
func setting(t *testing.T, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv("PORTOLAN_E2E_" + name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("PORTOLAN_E2E_%s: %v", name, err)
	}
	return n
}

// selected are the sequences that the environment asks for.
func selected(t *testing.T, sequences []Sequence) (chosen []Sequence, all bool) {
	t.Helper()
	text := os.Getenv("PORTOLAN_E2E_RUN")
	pattern, err := regexp.Compile(text)
	if err != nil {
		t.Fatalf("PORTOLAN_E2E_RUN: %v", err)
	}
	for _, s := range sequences {
		if pattern.MatchString(s.Name) {
			chosen = append(chosen, s)
		}
	}
	return chosen, text == ""
}

// pair is the two servers on the same ground.
type pair struct {
	*replay
	store *harness.Etcd
}

// start runs both servers, with the objects in place that the others run into.
func start(t *testing.T, g *ground, kubeFlags ...string) *pair {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	bin, err := filepath.Abs(filepath.Join(root, ".bin"))
	if err != nil {
		t.Fatal(err)
	}
	programs := upstream.Programs{KubeAPIServer: filepath.Join(bin, "kube-apiserver"), Etcd: filepath.Join(bin, "etcd")}
	flags := append([]string{
		"--service-cluster-ip-range=" + strings.Join(g.cidrs(), ","),
		"--service-node-port-range=" + g.portRange(),
	}, kubeFlags...)
	kube, err := upstream.StartKube(ctx, programs, t.TempDir(), flags...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(kube.Stop)
	store := harness.StartEtcd(t)
	portolan := harness.Start(t, func(o *options.Options) {
		harness.On(store)(o)
		o.Admission.DisablePlugins = append(o.Admission.DisablePlugins, denyExternalIPs)
		o.ClusterIPRanges, o.NodePortRanges = g.cidrs(), []string{g.portRange()}
	})

	p := &pair{replay: &replay{ground: g, report: newReport(exceptions)}, store: store}
	if p.upstream, err = newTarget("kube-apiserver", kube.Config, false); err != nil {
		t.Fatal(err)
	}
	if p.portolan, err = newTarget("Portolan", portolan.Config, true); err != nil {
		t.Fatal(err)
	}
	p.prepare(t, kube)
	return p
}

// prepare makes what sequences find: the namespaces, which only upstream knows,
// the Service that only upstream makes, and the holders of what is taken.
func (p *pair) prepare(t *testing.T, kube *upstream.Server) {
	t.Helper()
	ctx := t.Context()
	for _, namespace := range append([]string{"fixed"}, p.namespaces()...) {
		step := Step{Method: "POST", Path: "/api/v1/namespaces", ContentType: plain}
		p.must(t, p.upstream, step, map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": object("name", namespace)})
	}
	err := kube.Await(ctx, func(ctx context.Context) bool {
		answer, err := p.upstream.do(ctx, Step{Method: "GET", Path: "/api/v1/namespaces/default/services/kubernetes"}, nil)
		return err == nil && answer.successful()
	})
	if err != nil {
		t.Fatal(err)
	}
	first := Step{Method: "POST", Path: "/api/v1/namespaces/default/services", ContentType: plain}
	p.must(t, p.portolan, first, services.object(fields{"/metadata/name": "kubernetes", "/spec/clusterIP": nth(p.ground.v4, 1), "/spec/ports": list(port(443, named("https")))}))

	addresses := list("{taken4}")
	policy := "SingleStack"
	if p.ground.v6.IsValid() {
		addresses, policy = list("{taken4}", "{taken6}"), "RequireDualStack"
	}
	taken := services.object(kinds[3].fields, fields{
		"/metadata/name": "taken", "/spec/clusterIP": "{taken4}", "/spec/clusterIPs": addresses, "/spec/ipFamilyPolicy": policy,
		"/spec/ports": list(port(80, nodePort("{takenport}"))), "/spec/externalTrafficPolicy": "Local", "/spec/healthCheckNodePort": "{takenhealth}",
	})
	reservation := ipAddresses.object(fields{"/metadata/name": "{reserved4}", "/spec/parentRef": object("resource", "reservations", "name", "fixed")})
	for _, target := range []*target{p.upstream, p.portolan} {
		p.must(t, target, Step{Method: "POST", Path: "/api/v1/namespaces/fixed/services", ContentType: plain}, taken)
		p.must(t, target, ipAddresses.create(nil), reservation)
	}
}

func (p *pair) namespaces() []string {
	var names []string
	for worker := range p.ground.workers {
		names = append(names, p.ground.named(worker, 0)["ns"])
	}
	return names
}

func (p *pair) must(t *testing.T, target *target, s Step, body any) {
	t.Helper()
	encoded, err := encode(body, p.ground.named(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := target.do(t.Context(), s, encoded)
	if err != nil {
		t.Fatal(err)
	}
	if !answer.successful() {
		t.Fatalf("%s: %s: %d %s", target.name, s, answer.code, asJSON(answer.body))
	}
}

// TestSameAnswers replays the corpus on servers with two IP families.
func TestSameAnswers(t *testing.T) {
	logged := capture(t)
	p := start(t, &dualStack)
	sequences, all := selected(t, corpus(uint64(setting(t, "SEED", 1)), setting(t, "COUNT", 800)))
	if err := p.run(t.Context(), sequences); err != nil {
		t.Fatal(err)
	}
	p.report.print(t, setting(t, "SHOW", 40))
	_ = all
	harness.Verify(t, p.store.Client)
	logged.check(t)
}

// logs is what the server in this process writes.
type logs struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// capture keeps the logs of servers in this process from the terminal.
func capture(t *testing.T) *logs {
	t.Helper()
	l := &logs{}
	klog.LogToStderr(false)
	klog.SetOutput(l)
	t.Cleanup(func() {
		klog.Flush()
		klog.LogToStderr(true)
	})
	return l
}

// check fails on a panic that a server survived.
func (l *logs) check(t *testing.T) {
	t.Helper()
	klog.Flush()
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.text.String()) {
		if strings.Contains(line, "anic") {
			t.Errorf("logged: %s", line)
		}
	}
	if t.Failed() {
		fmt.Fprintf(os.Stderr, "the log has %d bytes\n", l.text.Len())
	}
}
