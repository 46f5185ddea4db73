//go:build linux && e2e

package failover

import (
	"encoding/json"
	"os"
	"os/exec"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"

	"github.com/portolan-dev/portolan/test/framework"
	"github.com/portolan-dev/portolan/test/framework/upstream"
)

// serverVariable selects the server under test.
const serverVariable = "PORTOLAN_FAILOVER_SERVER"

// kubeAPIServer is the server that Portolan is compared with. Its answers are
// recorded and not checked: it does not write a Service and its claims
// together.
var kubeAPIServer = kind{
	name:     "kube-apiserver",
	services: corev1.SchemeGroupVersion.WithResource("services"),
	// With more load it cannot restart: the writes of others reject its repair
	// of node ports for a minute, and it exits.
	pace: 80 * time.Millisecond,
	command: func(t testing.TB, dir, port, etcdServers string) *exec.Cmd {
		_, flags, err := upstream.KubeFlags(dir, port, etcdServers)
		if err != nil {
			t.Fatal(err)
		}
		return exec.Command(framework.Program(t, "kube-apiserver"), append(flags,
			"--service-cluster-ip-range="+addressRange, "--service-node-port-range="+portRange,
			"--shutdown-delay-duration=2s", "--shutdown-watch-termination-grace-period=5s")...)
	},
}

// recordFile has, by fault, the unusual answers that clients of kube-apiserver
// got.
const recordFile = "testdata/kube-apiserver.json"

type record map[string][]string

func readRecord(t testing.TB) record {
	t.Helper()
	content, err := os.ReadFile(recordFile)
	if err != nil {
		t.Fatal(err)
	}
	answers := record{}
	if err := json.Unmarshal(content, &answers); err != nil {
		t.Fatal(err)
	}
	return answers
}

// of returns the answers under all faults of a part.
func (r record) of(broken part) sets.Set[string] {
	answers := sets.New[string]()
	for _, f := range faults {
		if f.breaks == broken {
			answers.Insert(r[f.name]...)
		}
	}
	return answers
}

// add adds answers to those of other runs.
func (r record) add(t testing.TB, fault string, answers []string) {
	t.Helper()
	r[fault] = sets.List(sets.New(r[fault]...).Insert(answers...))
	content, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(recordFile, append(content, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}

// kindUnderTest returns the server under test, by default Portolan.
func kindUnderTest(t testing.TB) *kind {
	t.Helper()
	for _, k := range []*kind{&portolan, &kubeAPIServer} {
		if variable(serverVariable, portolan.name) == k.name {
			return k
		}
	}
	t.Fatalf("%s: there is no such server", serverVariable)
	return nil
}
