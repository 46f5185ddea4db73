//go:build e2e && linux

package kill

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/portolan-dev/portolan/test/framework"
)

// TestProbesDuringDefragmentation makes a defragmentation take longer than the
// health checks wait for etcd, as with a store of gigabytes. The server is then
// not ready, but alive.
func TestProbesDuringDefragmentation(t *testing.T) {
	t.Parallel()
	const (
		// history is how long deleted objects stay in the store. The disk is slow by
		// then, so that the beginning of the defragmentation can be seen.
		history  = 5 * time.Second
		slowSync = 200 * time.Millisecond
		// hangingSync is more than health checks wait. A defragmentation syncs at least
		// four times.
		hangingSync = 3 * time.Second
	)
	disk, dir := &framework.Disk{}, t.TempDir()
	server := disk.Serve(t, dir, framework.FreePort(t), "--etcd-compaction-interval="+history.String())
	server.WaitReady(t)
	secrets := kubernetes.NewForConfigOrDie(server.Config(t)).CoreV1().Secrets(namespace)
	for i := range 24 {
		large := &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("large-", i)}, Data: map[string][]byte{"data": make([]byte, 900_000)},
		}
		if _, err := secrets.Create(t.Context(), large, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := secrets.DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
		t.Fatal(err)
	}
	disk.Delay(slowSync)
	framework.Eventually(t, "etcd writes a new file", func(context.Context) (bool, error) {
		// etcd names it so, see its storage/backend.
		files, err := filepath.Glob(filepath.Join(dir, "etcd", "member", "snap", "db.tmp.*"))
		return len(files) > 0, err
	})
	disk.Delay(hangingSync)

	config, client := server.HTTP(t, dial)
	probes := 0
	unready := make(chan struct{})
	go func() {
		defer close(unready)
		awaitHealth(t, server, "/readyz", false)
	}()
	framework.Eventually(t, "the server is not ready", func(ctx context.Context) (bool, error) {
		if ok, says := health(ctx, t, client, config.Host+"/livez"); !ok {
			t.Errorf("the server is not alive: %s", says)
		}
		probes++
		select {
		case <-unready:
			return true, nil
		default:
			return t.Failed(), nil
		}
	})
	disk.Delay(0)
	t.Logf("alive in %d probes", probes)
	awaitHealth(t, server, "/readyz", true)
	// It answers probes before it says so.
	framework.Eventually(t, "the server logs the defragmentation", func(context.Context) (bool, error) {
		return strings.Contains(server.Output(), "Defragmented the embedded etcd"), nil
	})
}
