//go:build linux && e2e

package failover

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/test/framework"
)

// kind describes the server program of the replicas.
type kind struct {
	name string
	// services is the resource of Services, whose group differs between
	// Portolan and kube-apiserver.
	services schema.GroupVersionResource
	// claims says that a Service and its claims are written together, and that
	// claims can be read at any moment.
	claims bool
	// pace is the time between two requests while clients are free. The servers
	// share the machine with the test.
	pace time.Duration
	// command returns the command of a replica, with its directory, port and
	// members of etcd. It writes admin.kubeconfig into the directory.
	command func(t testing.TB, dir, port, etcdServers string) *exec.Cmd
}

// The ranges are small, so that a lost value is noticed: 254 addresses and 256
// ports.
const (
	addressRange = "10.96.0.0/24"
	portRange    = "30000-30255"
)

var portolan = kind{
	name:     "portolan",
	services: v1.SchemeGroupVersion.WithResource("services"),
	claims:   true,
	pace:     4 * time.Millisecond,
	command: func(t testing.TB, dir, port, etcdServers string) *exec.Cmd {
		return framework.Portolan(t, "serve", "--data-dir="+dir, "--secure-port="+port, "--etcd-servers="+etcdServers,
			"--service-cluster-ip-range="+addressRange, "--service-node-port-range="+portRange,
			// Only the clients write Services: all values are counted.
			"--controllers=false", "--kubernetes-service=false",
			"--etcd-count-metric-poll-period=0", "--shutdown-delay-duration=2s", "--shutdown-watch-termination-grace-period=5s")
	},
}

// replica is one of several servers on the same store.
type replica struct {
	*process
	processes *processes
	kind      *kind
	name      string
	dir       string
	port      string
	// servers are the replica's own addresses of the members of etcd.
	servers []string
	client  dynamic.Interface
	http    *http.Client
	config  *rest.Config
	// ready is the result of the last probe of /readyz.
	ready atomic.Bool
}

// newReplica starts a replica and waits until it is ready.
func newReplica(t testing.TB, name string, k *kind, s *store) *replica {
	t.Helper()
	r := &replica{processes: s.processes, kind: k, name: name, dir: t.TempDir(), port: framework.FreePort(t)}
	for _, m := range s.members {
		r.servers = append(r.servers, "http://"+s.network.listen(t, name, m.name, m.client).address)
	}
	r.start(t)
	await(t, name+" has a kubeconfig", func(context.Context) error {
		_, err := os.Stat(filepath.Join(r.dir, "admin.kubeconfig"))
		return err
	})
	r.connect(t)
	r.awaitReady(t)
	return r
}

func (r *replica) start(t testing.TB) {
	t.Helper()
	r.process = r.processes.launch(t, r.name, r.dir, r.kind.command(t, r.dir, r.port, strings.Join(r.servers, ",")))
}

// connect makes a client with connections of its own, and no limit on its rate.
func (r *replica) connect(t testing.TB) {
	t.Helper()
	var err error
	if r.config, err = clientcmd.BuildConfigFromFlags("", filepath.Join(r.dir, "admin.kubeconfig")); err != nil {
		t.Fatal(err)
	}
	r.config.QPS = -1
	if r.http, err = rest.HTTPClientFor(r.config); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.http.CloseIdleConnections)
	if r.client, err = dynamic.NewForConfigAndClient(r.config, r.http); err != nil {
		t.Fatal(err)
	}
}

func (r *replica) services() dynamic.ResourceInterface {
	return r.client.Resource(r.kind.services).Namespace(namespace)
}

// get requests one of the server's own paths. It returns an error unless the
// code is 200.
func (r *replica) get(ctx context.Context, path string) error {
	_, err := r.text(ctx, path)
	return err
}

// text is get with the body of the answer.
func (r *replica) text(ctx context.Context, path string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.config.Host+path, nil)
	if err != nil {
		return "", err
	}
	response, err := r.http.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", path, response.Status)
	}
	return string(text), err
}

func (r *replica) awaitReady(t testing.TB) {
	t.Helper()
	await(t, r.name+" is ready", func(ctx context.Context) error { return r.get(ctx, "/readyz") })
	r.ready.Store(true)
}

// awaitNotReady returns when the replica reports that it is not ready.
func (r *replica) awaitNotReady(t testing.TB) {
	t.Helper()
	await(t, r.name+" is not ready", func(ctx context.Context) error {
		if r.get(ctx, "/readyz") == nil {
			return errors.New("it is ready")
		}
		return nil
	})
}

const (
	probePeriod  = 200 * time.Millisecond
	probeTimeout = time.Second
)

// probe polls the readiness of the replica until the context ends, like a load
// balancer.
func (r *replica) probe(ctx context.Context) {
	wait.UntilWithContext(ctx, func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, probeTimeout)
		defer cancel()
		r.ready.Store(r.get(ctx, "/readyz") == nil)
	}, probePeriod)
}
