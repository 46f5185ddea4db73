//go:build e2e

package conformance

import (
	"errors"
	"path/filepath"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/portolan-dev/portolan/test/framework/upstream"
)

// controllers are those of kube-controller-manager that do what Portolan does by
// itself.
const controllers = "endpoints-controller,endpointslice-controller,endpointslice-mirroring-controller," +
	"namespace-controller,garbage-collector-controller,service-cidr-controller"

// TestKubernetes looks at a kube-apiserver with kube-controller-manager.
func TestKubernetes(t *testing.T) {
	dir := t.TempDir()
	programs := upstream.Programs{KubeAPIServer: program(t, "kube-apiserver"), Etcd: program(t, "etcd")}
	kube, err := upstream.StartKube(t.Context(), programs, dir, "--service-cluster-ip-range="+range4+","+range6,
		"--advertise-address="+advertised, "--endpoint-reconciler-type=lease")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(kube.Stop)
	manager, err := upstream.Launch("kube-controller-manager", dir, program(t, "kube-controller-manager"),
		"--kubeconfig="+kube.Kubeconfig, "--secure-port=0", "--leader-elect=false", "--kube-api-qps=1000", "--kube-api-burst=1000",
		"--controllers="+controllers)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		manager.Stop()
		if t.Failed() {
			t.Log(manager.Explain(errors.New("kube-controller-manager was stopped")))
		}
	})
	etcd, err := clientv3.New(clientv3.Config{Endpoints: []string{kube.EtcdURL}, DialTimeout: patience, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := etcd.Close(); err != nil {
			t.Error(err)
		}
	})
	kube.Config.QPS = -1
	run(t, side{kube.Config, etcd})
}

func program(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("../../../.bin", name))
	if err != nil {
		t.Fatal(err)
	}
	return path
}
