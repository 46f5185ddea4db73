//go:build e2e

package artifacts

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/big"
	"net"
	"path/filepath"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/certificates"
	"github.com/portolan-dev/portolan/pkg/server/options"
	"github.com/portolan-dev/portolan/test/framework"
)

// TestMembersRenew wants Portolan to serve on the members, which know it by its
// certificate, and nobody to have to be restarted when certificates are renewed.
func TestMembersRenew(t *testing.T) {
	t.Parallel()
	m := newMembers(t, time.Now().AddDate(0, -9, 0))
	server := framework.Start(t, m.connect)
	m.writes(server, "before")
	old := map[string]*big.Int{}
	for _, name := range []string{"server", "peer", "client"} {
		old[name] = m.serial(name)
	}

	m.certify(time.Now())
	m.writes(server, "renewed")
	for _, name := range []string{"server", "peer", "client"} {
		if m.serial(name).Cmp(old[name]) == 0 {
			t.Fatalf("the certificate of the %s is the old one", name)
		}
	}
	for i := range m.run {
		for port, secret := range map[string]string{"2379": "server", "2380": "peer"} {
			if got := m.shown(i, port); got.Cmp(m.serial(secret)) != 0 {
				t.Errorf("member %d shows another certificate at port %s than that of the %s", i, port, secret)
			}
		}
	}
	if got := m.caller(2); got.Cmp(m.serial("client")) != 0 {
		t.Error("Portolan comes with its old certificate")
	}
	m.start(2, "--initial-cluster-state=new")
	m.waitReady()
	for i := range m.run {
		m.kill(i)
		m.start(i, "--initial-cluster-state=new")
		m.waitReady()
		m.writes(server, fmt.Sprint("restarted-", i))
	}
}

// connect has a server use the members, with its certificate.
func (m *members) connect(o *options.Options) {
	transport := &o.Etcd.StorageConfig.Transport
	for i := range m.run {
		transport.ServerList = append(transport.ServerList, m.url(i, "2379"))
	}
	transport.TrustedCAFile = m.secret("client", "ca.crt")
	transport.CertFile, transport.KeyFile = m.secret("client", "tls.crt"), m.secret("client", "tls.key")
}

// secret is the file of a Secret, as it is mounted.
func (m *members) secret(name, key string) string { return filepath.Join(m.dir, name, key) }

func (m *members) url(i int, port string) string {
	return "https://127.0.0.1:" + m.port(i, port)
}

// writes wants a Service to be made. What is under way while a member is lost may
// fail, so it is tried again, by another name.
func (m *members) writes(server *framework.Server, name string) {
	m.t.Helper()
	attempt := 0
	framework.Eventually(m.t, name, func(ctx context.Context) (bool, error) {
		attempt++
		service := &v1.Service{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint(name, "-", attempt)},
			Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}},
		}
		_, err := server.Client.PortolanV1().Services("default").Create(ctx, service, metav1.CreateOptions{})
		return err == nil, err
	})
}

// serial is that of the certificate in a Secret.
func (m *members) serial(name string) *big.Int {
	m.t.Helper()
	secret, err := m.cluster.CoreV1().Secrets("portolan").Get(m.t.Context(), "portolan-etcd-"+name, metav1.GetOptions{})
	if err != nil {
		m.t.Fatal(err)
	}
	pair, err := certificates.Parse(secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey])
	if err != nil {
		m.t.Fatal(err)
	}
	return pair.Cert.SerialNumber
}

// shown is the serial of the certificate that a member presents.
func (m *members) shown(i int, port string) *big.Int {
	m.t.Helper()
	conn, err := tls.Dial("tcp", "127.0.0.1:"+m.port(i, port), m.tls("peer"))
	if err != nil {
		m.t.Fatal(err)
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].SerialNumber
}

// caller ends a member, takes its place for a moment, and returns the serial
// of the certificate of the client that connects.
func (m *members) caller(i int) *big.Int {
	m.t.Helper()
	m.kill(i)
	pair, err := tls.LoadX509KeyPair(m.secret("server", "tls.crt"), m.secret("server", "tls.key"))
	if err != nil {
		m.t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:"+m.port(i, "2379"))
	if err != nil {
		m.t.Fatal(err)
	}
	defer listener.Close()
	if err := listener.(*net.TCPListener).SetDeadline(time.Now().Add(framework.Patience)); err != nil {
		m.t.Fatal(err)
	}
	var client *x509.Certificate
	for client == nil {
		conn, err := listener.Accept()
		if err != nil {
			m.t.Fatal(err)
		}
		server := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAnyClientCert,
			NextProtos: []string{"h2"}})
		// Only an etcd client gets this far.
		if err := server.HandshakeContext(m.t.Context()); err == nil {
			client = server.ConnectionState().PeerCertificates[0]
		}
		if err := conn.Close(); err != nil {
			m.t.Fatal(err)
		}
	}
	return client.SerialNumber
}
