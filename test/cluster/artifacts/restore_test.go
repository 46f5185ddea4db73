//go:build e2e

package artifacts

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/portolan-dev/portolan/test/framework"
)

// TestMembersRestore wants all members to begin with a snapshot that was taken
// and is restored as etcd's README says.
func TestMembersRestore(t *testing.T) {
	t.Parallel()
	m := newMembers(t, time.Now())
	server := framework.Start(t, m.connect)
	m.writes(server, "saved")
	m.tool("etcdctl", "--endpoints="+m.url(0, "2379"), "--cacert="+m.secret("client", "ca.crt"),
		"--cert="+m.secret("client", "tls.crt"), "--key="+m.secret("client", "tls.key"), "snapshot", "save", filepath.Join(m.dir, "snapshot.db"))
	m.writes(server, "lost")
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	snapshot, err := os.ReadFile(filepath.Join(m.dir, "snapshot.db"))
	if err != nil {
		t.Fatal(err)
	}
	restore := restoring(t).Spec.Template.Spec.InitContainers[1]
	for i := range m.run {
		m.kill(i)
		volume := m.here(i, "/var/lib/etcd")
		if err := os.RemoveAll(volume); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(volume, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(volume, "snapshot.db"), snapshot, 0o600); err != nil {
			t.Fatal(err)
		}
		var args []string
		for _, arg := range restore.Args {
			args = append(args, m.here(i, arg))
		}
		m.tool(restore.Command[0], args...)
	}
	for i := range m.run {
		m.start(i, "--initial-cluster-state=new")
	}
	m.waitReady()

	server = framework.Start(t, m.connect)
	list, err := server.Client.PortolanV1().Services("default").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(list.Items) == 0 {
		t.Error("nothing is restored")
	}
	for _, service := range list.Items {
		if !strings.HasPrefix(service.Name, "saved-") {
			t.Errorf("%s was made after the snapshot", service.Name)
		}
	}
	m.writes(server, "after")
}

// tool runs a program of etcd's.
func (m *members) tool(name string, args ...string) {
	m.t.Helper()
	program(m.t, name, args...)
}
