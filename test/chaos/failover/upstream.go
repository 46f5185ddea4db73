//go:build linux && e2e

package failover

import (
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"

	"github.com/portolan-dev/portolan/pkg/certificates/datadir"
)

// serverVariable puts another server to the test than Portolan.
const serverVariable = "PORTOLAN_FAILOVER_SERVER"

// kubeAPIServer is what Portolan is compared with. Its answers are recorded and
// not judged: its Services and what they claim are not written at once.
var kubeAPIServer = kind{
	name:     "kube-apiserver",
	services: corev1.SchemeGroupVersion.WithResource("services"),
	// A busier one can't be started again: its repair of node ports is refused
	// for a minute by the writes of others, and it ends.
	pace: 80 * time.Millisecond,
	command: func(t testing.TB, dir, port, etcdServers string) *exec.Cmd {
		binary, err := filepath.Abs("../../../.bin/kube-apiserver")
		if err != nil {
			t.Fatal(err)
		}
		files, err := datadir.Ensure(dir, datadir.Server{URL: "https://127.0.0.1:" + port, IPs: []net.IP{net.IPv4(127, 0, 0, 1)}}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		return exec.Command(binary, "--etcd-servers="+etcdServers,
			"--bind-address=127.0.0.1", "--secure-port="+port, "--advertise-address=127.0.0.1",
			"--cert-dir="+filepath.Join(dir, "certs"),
			"--tls-cert-file="+files.ServingCert, "--tls-private-key-file="+files.ServingKey,
			"--client-ca-file="+files.CACert, "--authorization-mode=RBAC",
			"--service-cluster-ip-range="+addressRange, "--service-node-port-range="+portRange,
			"--service-account-issuer=https://kubernetes.default.svc",
			"--service-account-key-file="+files.ServingKey, "--service-account-signing-key-file="+files.ServingKey,
			"--disable-admission-plugins=ServiceAccount", "--endpoint-reconciler-type=none",
			"--shutdown-delay-duration=2s", "--shutdown-watch-termination-grace-period=5s")
	},
}

// recordFile has, by fault, the unusual answers that clients of kube-apiserver
// were seen to get.
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

// of are the answers under all faults that break a part.
func (r record) of(broken part) sets.Set[string] {
	answers := sets.New[string]()
	for _, f := range faults {
		if f.breaks == broken {
			answers.Insert(r[f.name]...)
		}
	}
	return answers
}

// add enters answers in addition to those that other runs have seen.
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

// kindUnderTest is Portolan unless the environment says otherwise.
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
