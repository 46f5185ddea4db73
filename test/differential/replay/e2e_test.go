//go:build e2e

// Package replay compares Portolan with a real kube-apiserver, which the
// Makefile builds from its module. It sends thousands of generated sequences of
// requests to both. Every answer must be the same, except for values that a
// server chooses, and for what Portolan does better on purpose: see better.go.
//
// The environment can narrow a run down:
//
//	PORTOLAN_E2E_RUN   a regular expression: only sequences with such names
//	PORTOLAN_E2E_SEED  what the random part is made from, 1 by default
//	PORTOLAN_E2E_COUNT how many Services are put together at random, 400 by default
//	PORTOLAN_E2E_SHOW  how many kinds of differences are shown, 40 by default
package replay

import (
	"context"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/portolan-dev/portolan/pkg/server/options"
	"github.com/portolan-dev/portolan/test/framework"
	"github.com/portolan-dev/portolan/test/framework/upstream"
)

// denyExternalIPs is the plugin that rejects Services with new external IPs. It
// is on by default in Portolan, and off in kube-apiserver.
const denyExternalIPs = "DenyServiceExternalIPs"

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

// selected returns the sequences that the environment asks for.
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

// pair is both servers, with the same ranges.
type pair struct {
	*replay
	store *framework.Etcd
}

// start runs both servers and creates the objects that sequences conflict with.
func start(t *testing.T, g *plan, found *report, core, deny bool) *pair {
	t.Helper()
	flags := []string{
		"--service-cluster-ip-range=" + strings.Join(g.cidrs(), ","),
		"--service-node-port-range=" + g.portRange(),
		// No garbage collector runs beside either server, which Portolan finds
		// out.
		"--enable-garbage-collector=false",
		// The plugins that change Pods, and nothing else here.
		"--disable-admission-plugins=ServiceAccount,Priority,DefaultTolerationSeconds,RuntimeClass",
	}
	if deny {
		flags = append(flags, "--enable-admission-plugins="+denyExternalIPs)
	}
	kube := framework.StartKube(t, flags...)
	store := framework.StartEtcd(t)
	portolan := framework.Start(t, func(o *options.Options) {
		framework.On(store)(o)
		if !deny {
			o.Admission.DisablePlugins = append(o.Admission.DisablePlugins, denyExternalIPs)
		}
		o.ClusterIPRanges, o.NodePortRanges = g.cidrs(), []string{g.portRange()}
	})

	p := &pair{replay: &replay{plan: g, report: found}, store: store}
	var err error
	if p.upstream, err = newTarget("kube-apiserver", kube.Config, true, core); err != nil {
		t.Fatal(err)
	}
	if p.portolan, err = newTarget("Portolan", portolan.Config, false, core); err != nil {
		t.Fatal(err)
	}
	p.prepare(t, kube)
	return p
}

// prepare creates what sequences expect: the namespaces, the Service that only
// upstream creates, and the holders of the values that are taken.
func (p *pair) prepare(t *testing.T, kube *upstream.Server) {
	t.Helper()
	ctx := t.Context()
	// Only the core API groups serve namespaces.
	coreTarget := *p.portolan
	coreTarget.core = true
	for _, namespace := range append([]string{"fixed"}, p.namespaces()...) {
		step := Step{Method: "POST", Path: "/api/v1/namespaces", ContentType: plain}
		for _, target := range []*target{p.upstream, &coreTarget} {
			p.must(t, target, step, map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": object("name", namespace)})
		}
	}
	err := kube.Await(ctx, func(ctx context.Context) bool {
		answer, err := p.upstream.do(ctx, Step{Method: "GET", Path: "/api/v1/namespaces/default/services/kubernetes"}, nil)
		return err == nil && answer.successful()
	})
	if err != nil {
		t.Fatal(err)
	}
	first := Step{Method: "POST", Path: "/api/v1/namespaces/default/services", ContentType: plain}
	p.must(t, p.portolan, first, services.object(fields{"/metadata/name": "kubernetes", "/spec/clusterIP": nth(p.plan.v4, 1),
		"/spec/ports": list(port(443, named("https")))}))

	addresses := list("{taken4}")
	policy := "SingleStack"
	if p.plan.v6.IsValid() {
		addresses, policy = list("{taken4}", "{taken6}"), "RequireDualStack"
	}
	taken := services.object(kinds[3].fields, fields{
		"/metadata/name": "taken", "/spec/clusterIP": "{taken4}", "/spec/clusterIPs": addresses, "/spec/ipFamilyPolicy": policy,
		"/spec/ports": list(port(80, nodePort("{takenport}"))), "/spec/externalTrafficPolicy": "Local",
		"/spec/healthCheckNodePort": "{takenhealth}",
	})
	reservation := ipAddresses.object(fields{"/metadata/name": "{reserved4}",
		"/spec/parentRef": object("resource", "reservations", "name", "fixed")})
	for _, target := range []*target{p.upstream, p.portolan} {
		p.must(t, target, Step{Method: "POST", Path: "/api/v1/namespaces/fixed/services", ContentType: plain}, taken)
		p.must(t, target, ipAddresses.create(nil), reservation)
	}
}

// finish deletes what prepare created. Nothing may be left then: a leak would
// be.
func (p *pair) finish(t *testing.T) {
	t.Helper()
	if t.Failed() {
		return
	}
	given := p.plan.named(0, 0)
	for _, path := range []string{
		"/api/v1/namespaces/default/services/kubernetes", "/api/v1/namespaces/fixed/services/taken", ipAddresses.named(given["reserved4"]),
	} {
		p.must(t, p.portolan, Step{Method: "DELETE", Path: path}, nil)
	}
	for resource, want := range map[string]int{
		"services": 0, "endpoints": 0, "endpointslices": 0, "ipaddresses": 0, "nodeports": 0, "servicecidrs": 1, "nodeportranges": 1,
		"loadbalancerpools": 0, "loadbalancerips": 0,
	} {
		answer, err := p.portolan.do(t.Context(), Step{Method: "GET", Path: "/apis/portolan.dev/v1/" + resource}, nil)
		if err != nil {
			t.Fatal(err)
		}
		list, _ := answer.body.(map[string]any)
		if items, _ := list["items"].([]any); !answer.successful() || len(items) != want {
			t.Errorf("%d %s are left: %s", len(items), resource, asJSON(items))
		}
	}
	framework.Verify(t, p.store.Client)
}

func (p *pair) namespaces() []string {
	var names []string
	for worker := range p.plan.workers {
		names = append(names, p.plan.named(worker, 0)["ns"])
	}
	return names
}

func (p *pair) must(t *testing.T, target *target, s Step, body any) {
	t.Helper()
	encoded, err := encode(body, p.plan.named(0, 0))
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

// TestSameAnswers replays the corpus on servers with two IP families, and a
// smaller corpus on servers with one family that deny external IPs.
func TestSameAnswers(t *testing.T) { sameAnswers(t, false) }

// TestSameAnswersOfCore does the same through the core API groups, which have
// the same names on both servers.
func TestSameAnswersOfCore(t *testing.T) { sameAnswers(t, true) }

func sameAnswers(t *testing.T, core bool) {
	logs := framework.CaptureLogs(t, 0)
	seed := uint64(setting(t, "SEED", 1))
	found := newReport(exceptions(core))
	all := true
	replayed := func(t *testing.T, p *pair, sequences []Sequence) {
		t.Helper()
		chosen, every := selected(t, sequences)
		all = all && every
		if err := p.run(t.Context(), chosen); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("two families", func(t *testing.T) {
		p := start(t, &dualStack, found, core, false)
		examples, err := manifests()
		if err != nil {
			t.Fatal(err)
		}
		replayed(t, p, corpus(seed, setting(t, "COUNT", 400), examples))
		replayed(t, p, rangeCorpus())
		if core {
			replayed(t, p, ingressCorpus())
			secrets, err := secretCorpus()
			if err != nil {
				t.Fatal(err)
			}
			replayed(t, p, secrets)
			replayed(t, p, configMapCorpus())
			replayed(t, p, accountCorpus())
			replayed(t, p, admissionCorpus())
			replayed(t, p, podCorpus())
		}
		p.finish(t)
	})
	t.Run("one family", func(t *testing.T) {
		p := start(t, &singleStack, found, core, true)
		replayed(t, p, smallCorpus(seed, setting(t, "COUNT", 400)/4))
		// Here all values are picked, including those of the static bands.
		alone := singleStack
		alone.workers, alone.band4, alone.bandPorts = 1, 0, 0
		p.plan = &alone
		const taken = 3
		replayed(t, p, exhaustion(alone.usableAddresses()-taken, alone.ports()-taken+1))
		p.finish(t)
	})
	found.print(t, setting(t, "SHOW", 40))
	if all && !t.Failed() {
		found.checkUsed(t)
	}
	expectNoPanic(t, logs)
}

// expectNoPanic fails if a server has survived a panic.
func expectNoPanic(t *testing.T, logs *framework.Buffer) {
	t.Helper()
	for line := range strings.Lines(logs.String()) {
		if strings.Contains(line, "anic") {
			t.Errorf("logged: %s", line)
		}
	}
}
