package store

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"

	"github.com/portolan-dev/portolan/pkg/server/options"
	"github.com/portolan-dev/portolan/pkg/store/snapshot"
	"github.com/portolan-dev/portolan/test/framework"
)

// TestBackupWhileServing saves a snapshot of a server under load and restores
// it. Older watches must end rather than miss events.
func TestBackupWhileServing(t *testing.T) {
	t.Parallel()
	server := framework.Start(t, nil)
	for i := range 20 {
		server.CreateService(t, fmt.Sprint("saved-", i))
	}
	file := filepath.Join(t.TempDir(), "snapshot.db")
	portolan(t, "snapshot", file, "--kubeconfig="+server.Kubeconfig)
	server.CreateService(t, "lost")
	seen := server.ListServices(t)
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}

	dir := "--data-dir=" + server.DataDir
	if _, stderr, err := framework.Command(t, "restore", file, dir); err == nil ||
		!strings.Contains(stderr, "move that aside first, with \"mv "+server.DataDir+"/etcd ") {
		t.Errorf("over a store: %v, %s", err, stderr)
	}
	if err := os.Rename(filepath.Join(server.DataDir, "etcd"), filepath.Join(server.DataDir, "etcd.old")); err != nil {
		t.Fatal(err)
	}
	out := portolan(t, "restore", file, dir)
	for _, want := range []string{"\nOK: ", "kubeconfigs that were created from them still work", "portolan serve " + dir} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in %s", want, out)
		}
	}
	// The client's certificate remains valid.
	again := framework.Start(t, server.Again(t))
	restored, err := server.Client.PortolanV1().Services("").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(restored.Items) != 20 {
		t.Errorf("%d Services were restored", len(restored.Items))
	}
	server.ExpectExpired(t, seen.ResourceVersion)
	again.CreateService(t, "lost")
	if err := again.Stop(); err != nil {
		t.Fatal(err)
	}
	if out := portolan(t, "verify", dir); !strings.Contains(out, "\nOK: ") {
		t.Error(out)
	}
}

// TestSnapshotIsForMasters rejects snapshots for other users. The audit log
// must name the user.
func TestSnapshotIsForMasters(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	policy, log := filepath.Join(dir, "policy.yaml"), filepath.Join(dir, "audit.log")
	if err := os.WriteFile(policy, []byte("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- level: Metadata\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	server := framework.Start(t, func(o *options.Options) {
		o.Audit.PolicyFile, o.Audit.LogOptions.Path = policy, log
	})
	for _, group := range []string{"portolan:readers", "portolan:writers"} {
		kubeconfig := filepath.Join(dir, group)
		portolan(t, "user", "add", "somebody", "--group="+group, "--data-dir="+server.DataDir, "--out="+kubeconfig)
		file := filepath.Join(dir, "snapshot.db")
		_, stderr, err := framework.Command(t, "snapshot", file, "--kubeconfig="+kubeconfig)
		if err == nil || !strings.Contains(stderr, "forbidden") {
			t.Errorf("%s: %v, %s", group, err, stderr)
		}
		if left, err := filepath.Glob(file + "*"); err != nil || len(left) > 0 {
			t.Errorf("%s: %v is left, %v", group, left, err)
		}
	}
	anonymous := rawClient(t, rest.AnonymousClientConfig(server.Config))
	if err := anonymous.Get().AbsPath(snapshot.Path).Do(t.Context()).Error(); !apierrors.IsUnauthorized(err) {
		t.Errorf("anonymous: %v", err)
	}
	if err := rawClient(t, server.Config).Post().AbsPath(snapshot.Path).Do(t.Context()).Error(); !apierrors.IsMethodNotSupported(err) {
		t.Errorf("POST: %v", err)
	}
	portolan(t, "snapshot", filepath.Join(dir, "snapshot.db"), "--kubeconfig="+server.Kubeconfig)
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	for _, who := range []string{"somebody", "portolan-admin"} {
		found := false
		for line := range strings.SplitSeq(string(data), "\n") {
			found = found || strings.Contains(line, snapshot.Path) && strings.Contains(line, who)
		}
		if !found {
			t.Errorf("the audit log does not name %s", who)
		}
	}
}

// TestSnapshotOfExternal wants the error to name the command for an external
// etcd.
func TestSnapshotOfExternal(t *testing.T) {
	t.Parallel()
	server := framework.Start(t, framework.On(framework.StartEtcd(t)))
	_, stderr, err := framework.Command(t, "snapshot", filepath.Join(t.TempDir(), "snapshot.db"), "--kubeconfig="+server.Kubeconfig)
	if err == nil || !strings.Contains(stderr, "etcdctl snapshot save FILE") {
		t.Errorf("%v, %s", err, stderr)
	}
}

// TestSnapshotTakesItsTime reads a snapshot slowly. The request timeout must
// not cut it off, and a server that stops must not wait for it.
func TestSnapshotTakesItsTime(t *testing.T) {
	t.Parallel()
	// The server must start within it, on a machine that is busy.
	const timeout = 4 * time.Second
	// Writes may take longer than the timeout, so another server makes them.
	filled := framework.Start(t, nil)
	secrets := kubernetes.NewForConfigOrDie(filled.Config).CoreV1().Secrets("default")
	for i := range 24 {
		secret := &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("large-", i)}, Data: map[string][]byte{"data": make([]byte, 900<<10)},
		}
		if _, err := secrets.Create(t.Context(), secret, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := filled.Stop(); err != nil {
		t.Fatal(err)
	}
	again := filled.Again(t)
	server := framework.Start(t, func(o *options.Options) {
		again(o)
		o.Run.RequestTimeout = timeout
	})
	open := func(ctx context.Context) (io.ReadCloser, error) {
		stream, err := rawClient(t, server.Config).Get().AbsPath(snapshot.Path).Stream(ctx)
		if err == nil {
			_, err = io.ReadFull(stream, make([]byte, 1))
		}
		return stream, err
	}
	stream, err := open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * timeout)
	rest, err := io.Copy(io.Discard, stream)
	if err := stream.Close(); err != nil || rest < 20<<20 {
		t.Errorf("%d bytes came, %v", rest, err)
	}
	if err != nil {
		t.Errorf("a slow reader: %v", err)
	}

	stopping := func(ctx context.Context) (io.ReadCloser, error) {
		stream, err := open(ctx)
		if err != nil {
			return nil, err
		}
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
		return stream, nil
	}
	file := filepath.Join(t.TempDir(), "snapshot.db")
	if _, err := snapshot.Save(t.Context(), file, stopping); err == nil {
		t.Error("a server that stopped has sent all of a snapshot")
	}
	if left, err := filepath.Glob(file + "*"); err != nil || len(left) > 0 {
		t.Errorf("%v is left, %v", left, err)
	}
}

// TestRestoreRefuses rejects files that are no snapshots of Portolan.
func TestRestoreRefuses(t *testing.T) {
	t.Parallel()
	server := framework.Start(t, nil)
	server.CreateService(t, "saved")
	from := t.TempDir()
	whole := filepath.Join(from, "snapshot.db")
	portolan(t, "snapshot", whole, "--kubeconfig="+server.Kubeconfig)
	if _, stderr, err := framework.Command(t, "restore", whole, "--data-dir="+server.DataDir); err == nil ||
		!strings.Contains(stderr, "is in use by another process") {
		t.Errorf("of a server that runs: %v, %s", err, stderr)
	}
	data, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	etcd := framework.StartEtcd(t)
	foreign := filepath.Join(from, "foreign.db")
	if _, err := snapshot.Save(t.Context(), foreign, etcd.Client.Snapshot); err != nil {
		t.Fatal(err)
	}
	write := func(name string, data []byte) string {
		file := filepath.Join(from, name)
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	flipped := append([]byte(nil), data...)
	flipped[len(flipped)/2] ^= 1
	for name, test := range map[string]struct{ file, want string }{
		"missing":  {filepath.Join(from, "missing.db"), "no such file"},
		"empty":    {write("empty.db", nil), "not a whole snapshot"},
		"half":     {write("half.db", data[:len(data)/2]), "not a whole snapshot"},
		"flipped":  {write("flipped.db", flipped), "checksum is wrong"},
		"database": {write("database.db", data[:len(data)-32]), "not a whole snapshot"},
		"foreign":  {foreign, "not a snapshot of a store of Portolan"},
	} {
		dir := filepath.Join(t.TempDir(), "data")
		_, stderr, err := framework.Command(t, "restore", test.file, "--data-dir="+dir)
		if err == nil || !strings.Contains(stderr, test.want) || strings.Contains(stderr, "goroutine") {
			t.Errorf("%s: %v, %s", name, err, stderr)
		}
		if left, err := filepath.Glob(filepath.Join(dir, "[^l]*")); err != nil || len(left) > 0 {
			t.Errorf("%s: %v is left, %v", name, left, err)
		}
	}
}

// portolan runs a command that must succeed, and returns its output.
func portolan(t *testing.T, args ...string) string {
	t.Helper()
	stdout, stderr, err := framework.Command(t, args...)
	if err != nil {
		t.Fatalf("portolan %q: %v\n%s%s", args, err, stdout, stderr)
	}
	return stdout
}

func rawClient(t *testing.T, config *rest.Config) *rest.RESTClient {
	t.Helper()
	config = rest.CopyConfig(config)
	config.NegotiatedSerializer = scheme.Codecs.WithoutConversion()
	client, err := rest.UnversionedRESTClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}
