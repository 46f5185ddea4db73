//go:build e2e

package store

import (
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"
	"go.etcd.io/etcd/server/v3/storage/schema"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/portolan-dev/portolan/pkg/server/options"
	"github.com/portolan-dev/portolan/test/framework"
)

// TestSnapshotOfFullStore saves a snapshot of a full store. The restored store
// is full as well, has room at once with a larger quota, and recovers when
// objects are deleted.
func TestSnapshotOfFullStore(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	s.create("kept")
	s.fill("fill")
	if !s.reportsFull("/readyz") {
		t.Error("the store is not full")
	}
	file := filepath.Join(t.TempDir(), "snapshot.db")
	portolan(t, "snapshot", file, "--kubeconfig="+s.server.Kubeconfig)

	larger := start(t, func(o *options.Options) {
		o.DataDir, o.EmbeddedQuotaBytes = restoreSound(t, file), 2*quota
	})
	if larger.reportsFull("/readyz") {
		t.Error("a store with room says that it is full")
	}
	larger.create("larger")
	larger.checkClaims()
	larger.verify()

	serveFull(t, file)
}

// TestSnapshotOfFullExternalEtcd saves a snapshot of an external etcd with the
// alarm NOSPACE, with etcdctl, and restores it as an embedded store.
func TestSnapshotOfFullExternalEtcd(t *testing.T) {
	t.Parallel()
	external := framework.StartEtcd(t, smallQuota)
	server := framework.Start(t, framework.On(external))
	s := &store{T: t, server: server, core: kubernetes.NewForConfigOrDie(server.Config)}
	s.create("kept")
	for {
		large := secret("", 900_000)
		large.GenerateName = "fill-"
		_, err := s.core.CoreV1().Secrets("default").Create(t.Context(), large, metav1.CreateOptions{})
		if codeOf(err) == http.StatusInsufficientStorage {
			break
		}
		if err != nil && codeOf(err) != http.StatusGatewayTimeout {
			t.Fatal(err)
		}
	}
	file := filepath.Join(t.TempDir(), "snapshot.db")
	etcdctl := exec.CommandContext(t.Context(), framework.Program(t, "etcdctl"), "--endpoints="+external.URL, "snapshot", "save", file)
	if out, err := etcdctl.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", etcdctl, err, out)
	}
	if n := countAlarms(t, file); n != 1 {
		t.Errorf("the snapshot has %d alarms", n)
	}
	serveFull(t, file)
}

// serveFull restores the snapshot of a full store and serves it. The store must
// be full, and must recover.
func serveFull(t *testing.T, file string) {
	t.Helper()
	dir := restoreSound(t, file)
	s := start(t, func(o *options.Options) { o.DataDir = dir })
	if _, err := s.core.CoreV1().Services("default").Get(t.Context(), "kept", metav1.GetOptions{}); err != nil {
		t.Error(err)
	}
	// An external etcd has no reserve, so the snapshot may hold more than fits.
	restored := s.countSecrets()
	s.fill("more")
	s.checkFits(restored)
	if !s.reportsFull("/readyz") {
		t.Error("the restored store doesn't say that it is full")
	}
	s.checkClaims()
	t.Logf("deleted %d objects", s.clear())
	s.recovers()
	s.create("after")
	s.checkClaims()
	s.verify()
	if n := countAlarms(t, databaseOf(dir)); n != 0 {
		t.Errorf("the store has %d alarms after it was full", n)
	}
}

// restoreSound restores a snapshot to a new data directory. Portolan verify
// must find nothing, and etcd must have no alarm.
func restoreSound(t *testing.T, file string) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "data")
	for _, args := range [][]string{{"restore", file, "--data-dir=" + dir}, {"verify", "--data-dir=" + dir}} {
		if out := portolan(t, args...); !strings.Contains(out, "\nOK: ") {
			t.Errorf("portolan %q: %s", args, out)
		}
		if n := countAlarms(t, databaseOf(dir)); n != 0 {
			t.Errorf("the store has %d alarms after portolan %s", n, args[0])
		}
	}
	return dir
}

func databaseOf(dataDir string) string { return filepath.Join(dataDir, "etcd", "member", "snap", "db") }

// countAlarms counts the alarms in a database or snapshot that no etcd uses.
func countAlarms(t *testing.T, file string) (n int) {
	t.Helper()
	db, err := bolt.Open(file, 0, &bolt.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.View(func(tx *bolt.Tx) error {
		n = tx.Bucket(schema.Alarm.Name()).Stats().KeyN
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return n
}

// create creates a Service.
func (s *store) create(name string) {
	s.Helper()
	if _, err := s.core.CoreV1().Services("default").Create(s.Context(), service(name), metav1.CreateOptions{}); err != nil {
		s.Errorf("creating a Service: %v", err)
	}
}
