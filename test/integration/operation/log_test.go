package operation

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/portolan-dev/portolan/test/framework"
)

// serve runs a server until it is ready, stops it, and returns what it logged.
func serve(t *testing.T, dir string, flags ...string) string {
	t.Helper()
	var stdout, stderr framework.Buffer
	command := framework.Portolan(t, append([]string{"serve", "--data-dir=" + dir, "--secure-port=" + framework.FreePort(t)}, flags...)...)
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	t.Cleanup(func() { _ = command.Process.Kill() })
	framework.Eventually(t, "the server is ready", func(context.Context) (bool, error) {
		select {
		case err := <-ended:
			t.Fatalf("it ended with %v:\n%s", err, stderr.String())
		default:
		}
		return strings.Contains(stdout.String(), "Portolan is ready"), errors.New(stderr.String())
	})
	if err := command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("it ended with %v:\n%s", err, stderr.String())
	}
	return stderr.String()
}

// TestDefaultLog has a server start and stop without a word of its libraries.
func TestDefaultLog(t *testing.T) {
	t.Parallel()
	// A busy machine makes etcd warn that it is slow.
	slow := regexp.MustCompile(`(?i)took too long|slow fdatasync|heartbeat on time`)
	own := regexp.MustCompile(`^I.* (controllers|namespaces|kubernetesservice)\.go:\d+\] `)
	for line := range strings.Lines(serve(t, t.TempDir())) {
		if !own.MatchString(line) && !slow.MatchString(line) {
			t.Errorf("logged: %s", line)
		}
	}
	if all := serve(t, t.TempDir(), "-v=1"); !strings.Contains(all, "Serving securely on") {
		t.Errorf("-v=1 doesn't show what libraries set up:\n%s", all)
	}
}

// TestRejectedCredentials has a gateway retry at a cluster that rejects its credentials. The
// log says what to change, and says once what each informer cannot read.
func TestRejectedCredentials(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	cluster := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/v1/namespaces" {
			asked.Add(1)
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnauthorized)
		_ = json.NewEncoder(w).Encode(apierrors.NewUnauthorized("Unauthorized").Status())
	}))
	t.Cleanup(cluster.Close)
	config := clientcmdapi.NewConfig()
	config.Clusters["c"] = &clientcmdapi.Cluster{Server: cluster.URL}
	config.Contexts["c"] = &clientcmdapi.Context{Cluster: "c"}
	config.CurrentContext = "c"
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, kubeconfig); err != nil {
		t.Fatal(err)
	}
	server := framework.Serve(t, t.TempDir(), framework.FreePort(t), "--serve-core", "--kubeconfig="+kubeconfig)
	const advice = "the cluster does not accept the credentials in --kubeconfig"
	framework.Eventually(t, "namespaces are listed four times", func(context.Context) (bool, error) {
		return asked.Load() > 3 && strings.Contains(server.Output(), advice), errors.New(server.Output())
	})
	for _, once := range []string{
		advice, "failed to list *v1.Namespace: ", "failed to list *v1.ResourceQuota: ",
		"Waiting for the cluster's authentication configuration", "Error retrieving lease lock",
	} {
		if n := strings.Count(server.Output(), once); n != 1 {
			t.Errorf("%q is logged %d times:\n%s", once, n, server.Output())
		}
	}
}

// TestRangesOfStore has a server that is started with other ranges than its store
// has say which rule. Defaults that nobody chose are no reason to.
func TestRangesOfStore(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if log := serve(t, dir, "--service-cluster-ip-range=10.0.0.0/16", "--service-node-port-range=1000-1999"); strings.Contains(log,
		"has no effect") {
		t.Errorf("an empty store:\n%s", log)
	}
	if log := serve(t, dir); strings.Contains(log, "has no effect") {
		t.Errorf("no flags:\n%s", log)
	}
	log := serve(t, dir, "--service-cluster-ip-range=10.96.0.0/12", "--service-node-port-range=1000-1999,3000")
	for _, want := range []string{
		"--service-cluster-ip-range=10.96.0.0/12 has no effect: the store has ranges already, and these rule: ServiceCIDR kubernetes (10.0.0.0/16). " +
			"To change them, use kubectl create, edit and delete servicecidr.portolan.dev\n",
		"--service-node-port-range=1000-1999,3000 has no effect: the store has ranges already, and these rule: NodePortRange kubernetes (1000-1999). " +
			"To change them, use kubectl create, edit and delete nodeportrange.portolan.dev\n",
	} {
		if !strings.Contains(log, want) {
			t.Errorf("want %sin:\n%s", want, log)
		}
	}
}

// TestPlainText has a server warn of what a configuration of encryption leaves out.
func TestPlainText(t *testing.T) {
	t.Parallel()
	const config = `apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
- resources: ["RESOURCES"]
  providers:
  - secretbox:
      keys:
      - name: first
        secret: cG9ydG9sYW4tcG9ydG9sYW4tcG9ydG9sYW4tMTIzNDU=
`
	file := filepath.Join(t.TempDir(), "encryption.yaml")
	for _, test := range []struct {
		resources string
		warned    bool
	}{{"*.*", false}, {"*.portolan.dev", true}} {
		if err := os.WriteFile(file, []byte(strings.Replace(config, "RESOURCES", test.resources, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		log := serve(t, t.TempDir(), "--encryption-provider-config="+file)
		_, plain, warned := strings.Cut(log, "--encryption-provider-config leaves these in plain text: ")
		if warned != test.warned {
			t.Errorf("%s:\n%s", test.resources, log)
		}
		if warned && (!strings.Contains(plain, "secrets, ") || strings.Contains(plain, "services.portolan.dev")) {
			t.Errorf("%s: %s", test.resources, plain)
		}
	}
	if log := serve(t, t.TempDir(), "--encryption-provider-config="+file, "--serve-core=false"); strings.Contains(log, "plain text") {
		t.Errorf("what is not served is warned of:\n%s", log)
	}
}
