//go:build linux && e2e

package failover

import (
	"net"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/portolan-dev/portolan/pkg/pki"
)

// serverVariable puts another server to the test than Portolan.
const serverVariable = "PORTOLAN_FAILOVER_SERVER"

// kubeAPIServer is what Portolan is compared with. Its answers are shown and not
// judged: its Services and what they claim are not written at once.
var kubeAPIServer = kind{
	name:     "kube-apiserver",
	services: corev1.SchemeGroupVersion.WithResource("services"),
	command: func(t testing.TB, dir, port, etcdServers string) *exec.Cmd {
		binary, err := filepath.Abs("../../.bin/kube-apiserver")
		if err != nil {
			t.Fatal(err)
		}
		files, err := pki.Ensure(dir, pki.Server{URL: "https://127.0.0.1:" + port, IPs: []net.IP{net.IPv4(127, 0, 0, 1)}}, time.Now())
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
