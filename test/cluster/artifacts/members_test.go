//go:build e2e

package artifacts

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/portolan-dev/portolan/pkg/certificates/etcdsecrets"
	"github.com/portolan-dev/portolan/test/framework"
	"github.com/portolan-dev/portolan/test/framework/upstream"
)

// members are etcd's, run with the arguments of the StatefulSet on this machine.
type members struct {
	t      *testing.T
	binary string
	// cluster has the Secrets.
	cluster kubernetes.Interface
	// dir has the Secrets as the Pods mount them, and each member's volume.
	dir   string
	args  []string
	ports map[string]string
	run   [3]*exec.Cmd
}

// TestMembersRun wants the StatefulSet's arguments and the certificates that
// Portolan makes to be a cluster, whose peers are members only, whose clients
// have a certificate, which takes large transactions, and in which a member can be
// replaced as the README says.
func TestMembersRun(t *testing.T) {
	t.Parallel()
	m := newMembers(t, time.Now())
	client := m.client("client")
	large := client.Txn(t.Context())
	var puts []clientv3.Op
	for i := range 10_000 {
		puts = append(puts, clientv3.OpPut(fmt.Sprint("key-", i), strings.Repeat("x", 1000)))
	}
	if _, err := large.Then(puts...).Commit(); err != nil {
		t.Errorf("a transaction of 10 MB in %d operations: %v", len(puts), err)
	}
	for port, want := range map[string]map[string]bool{
		"client": {"": false, "client": true, "peer": true, "server": true},
		"peer":   {"": false, "client": false, "peer": true},
	} {
		for certificate, welcome := range want {
			if err := m.greet(port, certificate); (err == nil) != welcome {
				t.Errorf("with the certificate %q at the port for %ss: %v", certificate, port, err)
			}
		}
	}
	m.replace(client, 2)
}

// newMembers starts a cluster whose certificates were made at the given time.
func newMembers(t *testing.T, made time.Time) *members {
	t.Helper()
	m := &members{t: t, cluster: fake.NewClientset(), dir: framework.Directory(t), ports: map[string]string{}}
	m.binary = filepath.Join(m.dir, "etcd")
	// The release of the manifests, which Portolan embeds too; .bin has the one that
	// kube-apiserver is built for.
	build := exec.CommandContext(t.Context(), "go", "build", "-o", m.binary, "go.etcd.io/etcd/server/v3")
	build.Dir = framework.Path()
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	m.certify(made)
	m.args = podTemplate(t, Kustomize(t, "cluster").Get(t, "StatefulSet portolan/portolan-etcd")).Spec.Containers[0].Args
	for i := range m.run {
		for _, port := range []string{"2379", "2380", "2381"} {
			m.ports[fmt.Sprint(i, ":", port)] = framework.FreePort(t)
		}
	}
	for i := range m.run {
		m.start(i, "--initial-cluster-state=new")
	}
	m.waitReady()
	return m
}

// certify makes or renews the certificates at the given time, and changes the
// files as a kubelet does: all of a Secret at once.
func (m *members) certify(now time.Time) {
	m.t.Helper()
	err := etcdsecrets.Ensure(m.t.Context(), etcdsecrets.Config{
		Client: m.cluster, Namespace: "portolan", ClusterDomain: "cluster.local", Policy: etcdsecrets.DefaultPolicy,
		Now: func() time.Time { return now }, Progress: m.t.Output(),
	})
	if err != nil {
		m.t.Fatal(err)
	}
	for _, name := range []string{"server", "peer", "client"} {
		secret, err := m.cluster.CoreV1().Secrets("portolan").Get(m.t.Context(), "portolan-etcd-"+name, metav1.GetOptions{})
		if err != nil {
			m.t.Fatal(err)
		}
		files, err := os.MkdirTemp(m.dir, name+"-")
		if err != nil {
			m.t.Fatal(err)
		}
		for key, data := range secret.Data {
			if err := os.WriteFile(filepath.Join(files, key), data, 0o600); err != nil {
				m.t.Fatal(err)
			}
		}
		if err := os.Symlink(files, files+".link"); err != nil {
			m.t.Fatal(err)
		}
		if err := os.Rename(files+".link", filepath.Join(m.dir, name)); err != nil {
			m.t.Fatal(err)
		}
	}
}

func (m *members) port(i int, port string) string { return m.ports[fmt.Sprint(i, ":", port)] }

// here is a member's argument with the names and ports of this machine.
func (m *members) here(i int, arg string) string {
	pod := fmt.Sprint("portolan-etcd-", i)
	pairs := []string{"$(POD_NAME)", pod, "/var/lib/etcd", filepath.Join(m.dir, pod), "/etc/etcd", m.dir}
	for _, port := range []string{"2379", "2380", "2381"} {
		pairs = append(pairs, "0.0.0.0:"+port, "127.0.0.1:"+m.port(i, port))
	}
	pods := strings.NewReplacer(pairs...)
	pairs = nil
	for i := range m.run {
		for _, port := range []string{"2379", "2380"} {
			pairs = append(pairs, fmt.Sprintf("portolan-etcd-%d.portolan-etcd.portolan.svc:%s", i, port), "127.0.0.1:"+m.port(i, port))
		}
	}
	return strings.NewReplacer(pairs...).Replace(pods.Replace(arg))
}

// start runs a member with the StatefulSet's arguments, but that names and ports
// are those of this machine.
func (m *members) start(i int, state string) {
	m.t.Helper()
	pod := fmt.Sprint("portolan-etcd-", i)
	cmd := exec.Command(m.binary)
	for _, arg := range m.args {
		if strings.HasPrefix(arg, "--initial-cluster-state=") {
			arg = state
		}
		cmd.Args = append(cmd.Args, m.here(i, arg))
	}
	log, err := os.Create(filepath.Join(m.dir, pod+".log"))
	if err != nil {
		m.t.Fatal(err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	upstream.EndWithParent(cmd)
	if err := cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	m.run[i] = cmd
	m.t.Cleanup(func() { m.kill(i) })
}

func (m *members) kill(i int) {
	if m.run[i] == nil {
		return
	}
	if err := m.run[i].Process.Kill(); err != nil {
		m.t.Error(err)
	}
	if err := m.run[i].Wait(); err == nil {
		m.t.Errorf("member %d ended by itself", i)
	}
	m.run[i] = nil
}

// waitReady asks the members what their readiness probes ask.
func (m *members) waitReady() {
	m.t.Helper()
	for i := range m.run {
		framework.Eventually(m.t, fmt.Sprintf("member %d, whose log is in %s", i, m.dir), func(context.Context) (bool, error) {
			response, err := http.Get("http://127.0.0.1:" + m.port(i, "2381") + "/readyz")
			if err != nil {
				return false, err
			}
			defer response.Body.Close()
			return response.StatusCode == http.StatusOK, errors.New(response.Status)
		})
	}
}

// tls returns the config of a client with the certificate of a Secret, or none.
func (m *members) tls(secret string) *tls.Config {
	m.t.Helper()
	authority, err := os.ReadFile(filepath.Join(m.dir, "client", "ca.crt"))
	if err != nil {
		m.t.Fatal(err)
	}
	config := &tls.Config{RootCAs: x509.NewCertPool()}
	config.RootCAs.AppendCertsFromPEM(authority)
	if secret != "" {
		pair, err := tls.LoadX509KeyPair(filepath.Join(m.dir, secret, "tls.crt"), filepath.Join(m.dir, secret, "tls.key"))
		if err != nil {
			m.t.Fatal(err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config
}

func (m *members) client(secret string) *clientv3.Client {
	m.t.Helper()
	client, err := clientv3.New(clientv3.Config{
		Endpoints: []string{"https://127.0.0.1:" + m.port(0, "2379")}, TLS: m.tls(secret), DialTimeout: framework.Patience, Logger: zap.NewNop(),
		MaxCallSendMsgSize: 16 << 20,
	})
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() {
		if err := client.Close(); err != nil {
			m.t.Error(err)
		}
	})
	return client
}

// greet asks the first member for its version.
func (m *members) greet(port, secret string) error {
	m.t.Helper()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: m.tls(secret)}}
	defer client.CloseIdleConnections()
	response, err := client.Get("https://127.0.0.1:" + m.port(0, map[string]string{"client": "2379", "peer": "2380"}[port]) + "/version")
	if err != nil {
		return err
	}
	return response.Body.Close()
}

// replace loses a member's volume and does what the README says.
func (m *members) replace(client *clientv3.Client, i int) {
	m.t.Helper()
	ctx, pod := m.t.Context(), fmt.Sprint("portolan-etcd-", i)
	m.kill(i)
	if err := os.RemoveAll(filepath.Join(m.dir, pod)); err != nil {
		m.t.Fatal(err)
	}
	list, err := client.MemberList(ctx)
	if err != nil {
		m.t.Fatal(err)
	}
	for _, member := range list.Members {
		if member.Name == pod {
			if _, err := client.MemberRemove(ctx, member.ID); err != nil {
				m.t.Fatal(err)
			}
		}
	}
	// The other members accept a new one only when they have been connected for a
	// while.
	framework.Eventually(m.t, "a member is added", func(ctx context.Context) (bool, error) {
		_, err := client.MemberAdd(ctx, []string{"https://127.0.0.1:" + m.port(i, "2380")})
		return err == nil, err
	})
	m.start(i, "--initial-cluster-state=existing")
	m.waitReady()
	list, err = client.MemberList(ctx)
	if err != nil || len(list.Members) != 3 {
		m.t.Errorf("%v, %v", list, err)
	}
	// Once it has data it is started as it was at first.
	m.kill(i)
	m.start(i, "--initial-cluster-state=new")
	m.waitReady()
}
