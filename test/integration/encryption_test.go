package integration

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/server/options"
	"github.com/portolan-dev/portolan/test/harness"
)

const encryption = `apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
- resources: [ipaddresses.portolan.dev, nodeports.portolan.dev]
  providers:
  - aescbc:
      keys:
      - name: test
        secret: cG9ydG9sYW4tcG9ydG9sYW4tcG9ydG9sYW4tMTIzNDU=
`

// TestClaimsAreEncrypted makes sure that claims are written with a Service as
// their own store would write them: encrypted, where that is configured, and
// readable through the API.
func TestClaimsAreEncrypted(t *testing.T) {
	t.Parallel()
	config := filepath.Join(t.TempDir(), "encryption.yaml")
	if err := os.WriteFile(config, []byte(encryption), 0o600); err != nil {
		t.Fatal(err)
	}
	etcd := harness.StartEtcd(t)
	server := harness.Start(t, func(o *options.Options) {
		harness.On(etcd)(o)
		o.Etcd.EncryptionProviderConfigFilepath = config
	})
	client := server.Client.PortolanV1()
	svc, err := client.Services("default").Create(t.Context(), &v1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "secret"},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeNodePort, Ports: []corev1.ServicePort{{Port: 80}}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}

	for _, prefix := range []string{"/registry/portolan.dev/ipaddresses/", "/registry/portolan.dev/nodeports/"} {
		stored, err := etcd.Client.Get(t.Context(), prefix, clientv3.WithPrefix())
		if err != nil || len(stored.Kvs) != 1 {
			t.Fatalf("%s: %v, %v", prefix, stored, err)
		}
		if !bytes.HasPrefix(stored.Kvs[0].Value, []byte("k8s:enc:aescbc:v1:test:")) {
			t.Errorf("%s is stored as %q", prefix, stored.Kvs[0].Value)
		}
	}
	address, err := client.IPAddresses().Get(t.Context(), svc.Spec.ClusterIP, metav1.GetOptions{})
	if err != nil || address.Spec.ParentRef.UID != svc.UID {
		t.Errorf("the address: %v, %v", address, err)
	}
	// A change of protocols reads a claim and writes it again.
	twin := []byte(`[{"op":"add","path":"/spec/ports/-","value":{"name":"udp","port":80,"protocol":"UDP"}},{"op":"add","path":"/spec/ports/0/name","value":"tcp"}]`)
	if svc, err = client.Services("default").Patch(t.Context(), svc.Name, types.JSONPatchType, twin, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	ports, err := client.NodePorts().List(t.Context(), metav1.ListOptions{})
	if err != nil || len(ports.Items) != 1 || len(ports.Items[0].Spec.Protocols) != 2 {
		t.Errorf("the port: %v, %v", ports, err)
	}
	if err := client.Services("default").Delete(t.Context(), svc.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	left, err := etcd.Client.Get(t.Context(), "/registry/portolan.dev/nodeports/", clientv3.WithPrefix(), clientv3.WithCountOnly())
	if err != nil || left.Count != 0 {
		t.Errorf("%d ports are left, %v", left.Count, err)
	}
}
