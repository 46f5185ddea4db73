package api

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
	"github.com/portolan-dev/portolan/test/framework"
)

const encryption = `apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
- resources:
  - ipaddresses.portolan.dev
  - nodeports.portolan.dev
  - endpoints.portolan.dev
  - endpointslices.portolan.dev
  - secrets
  - boats.harbor.example.com
  providers:
  - aescbc:
      keys:
      - name: test
        secret: cG9ydG9sYW4tcG9ydG9sYW4tcG9ydG9sYW4tMTIzNDU=
`

// encryptionFile returns a file with the configuration, and more of it.
func encryptionFile(t *testing.T, more string) string {
	t.Helper()
	config := filepath.Join(t.TempDir(), "encryption.yaml")
	if err := os.WriteFile(config, []byte(encryption+more), 0o600); err != nil {
		t.Fatal(err)
	}
	return config
}

// startEncrypted starts a server that encrypts claims, dependents, Secrets and boats.
func startEncrypted(t *testing.T) (*framework.Etcd, *framework.Server) {
	t.Helper()
	config := encryptionFile(t, "")
	etcd := framework.StartEtcd(t)
	return etcd, framework.Start(t, func(o *options.Options) {
		framework.On(etcd)(o)
		o.Etcd.EncryptionProviderConfigFilepath = config
	})
}

// expectEncrypted wants one key with the prefix, and ciphertext in it.
func expectEncrypted(t *testing.T, etcd *framework.Etcd, prefixes ...string) {
	t.Helper()
	for _, prefix := range prefixes {
		stored, err := etcd.Client.Get(t.Context(), prefix, clientv3.WithPrefix())
		if err != nil || len(stored.Kvs) != 1 {
			t.Fatalf("%s: %v, %v", prefix, stored, err)
		}
		if !bytes.HasPrefix(stored.Kvs[0].Value, []byte("k8s:enc:aescbc:v1:test:")) {
			t.Errorf("%s is stored as %q", prefix, stored.Kvs[0].Value)
		}
	}
}

// TestMarkedDependentsAreEncrypted is about objects that a Service's deletion
// reads and writes again.
func TestMarkedDependentsAreEncrypted(t *testing.T) {
	t.Parallel()
	etcd, server := startEncrypted(t)
	c := creator{t, server}
	c.service(serviceWith("web"))
	endpoints := endpointsNamed("web")
	endpoints.Finalizers = []string{"example.com/f"}
	c.endpoints(endpoints)
	c.slices(sliceOf("web", "web-1", finalized), sliceOf("web", "web-2"))
	c.deleteService("web")
	expectEncrypted(t, etcd, "/registry/portolan.dev/endpoints/", "/registry/portolan.dev/endpointslices/")
	if slice, err := slicesOf(server).Get(t.Context(), "web-1", metav1.GetOptions{}); err != nil || slice.DeletionTimestamp == nil {
		t.Errorf("the slice: %v, %v", slice, err)
	}
	if endpoints, err := endpointsOf(server).Get(t.Context(), "web", metav1.GetOptions{}); err != nil || endpoints.DeletionTimestamp == nil {
		t.Errorf("the Endpoints: %v, %v", endpoints, err)
	}
}

// TestClaimsAreEncrypted makes sure that claims are written with a Service as
// their own store would write them: encrypted, where that is configured, and
// readable through the API.
func TestClaimsAreEncrypted(t *testing.T) {
	t.Parallel()
	etcd, server := startEncrypted(t)
	client := server.Client.PortolanV1()
	svc, err := client.Services("default").Create(t.Context(), &v1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "secret"},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeNodePort, Ports: []corev1.ServicePort{{Port: 80}}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}

	expectEncrypted(t, etcd, "/registry/portolan.dev/ipaddresses/", "/registry/portolan.dev/nodeports/")
	address, err := client.IPAddresses().Get(t.Context(), svc.Spec.ClusterIP, metav1.GetOptions{})
	if err != nil || address.Spec.ParentRef.UID != svc.UID {
		t.Errorf("the address: %v, %v", address, err)
	}
	// A change of protocols reads a claim and writes it again.
	sameNumber := []byte(`[{"op":"add","path":"/spec/ports/-","value":{"name":"udp","port":80,"protocol":"UDP"}},{"op":"add","path":"/spec/ports/0/name","value":"tcp"}]`)
	if svc, err = client.Services("default").Patch(t.Context(), svc.Name, types.JSONPatchType, sameNumber, metav1.PatchOptions{}); err != nil {
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
