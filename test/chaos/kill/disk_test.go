//go:build linux

package kill

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"k8s.io/client-go/dynamic"

	"github.com/portolan-dev/portolan/test/framework"
)

// health returns whether a health endpoint reports ok, and its text.
func health(ctx context.Context, t *testing.T, client *http.Client, url string) (ok bool, says string) {
	t.Helper()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		return false, err.Error()
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return false, err.Error()
	}
	return response.StatusCode == http.StatusOK, string(text)
}

// awaitHealth waits until a health endpoint is ok, or is not.
func awaitHealth(t *testing.T, server *framework.Process, path string, want bool) {
	t.Helper()
	config, client := server.HTTP(t, dial)
	framework.Eventually(t, fmt.Sprintf("%s is ok: %t", path, want), func(ctx context.Context) (bool, error) {
		ok, says := health(ctx, t, client, config.Host+path)
		return ok == want, errors.New(says)
	})
}

// TestSlowDisk runs a server on a disk that is slow to sync. Writes take as
// long, or end with a 504 that says that they may have been carried out. The
// server reports that it is not ready, and recovers by itself when the disk
// does.
func TestSlowDisk(t *testing.T) {
	t.Parallel()
	s := newStore(t, framework.Seed(t), 0)
	disk := &framework.Disk{}
	server := disk.Serve(t, s.dir(), s.port, ranges...)
	server.WaitReady(t)
	connection := connect(t, server)
	under := func(delay time.Duration, until func(l *life)) *life {
		t.Helper()
		disk.Delay(delay)
		l := &life{servers: []dynamic.Interface{connection}, slow: true}
		s.write(l, func() { until(l) })
		t.Logf("syncs of %v: %d writes acknowledged, %d without an answer, %d refused", delay, l.count.Load(), l.unanswered.Load(),
			l.refused.Load())
		return l
	}
	acknowledge := func(writes int64) func(*life) {
		return func(l *life) { awaitCount(t, l, writes) }
	}

	under(0, acknowledge(100))
	if l := under(100*time.Millisecond, acknowledge(50)); l.unanswered.Load()+l.refused.Load() > 0 {
		t.Error("writes fail for a sync of 100 ms")
	}
	// A write takes one or two syncs, and etcd times out after 5 s.
	l := under(5*time.Second, func(*life) {
		awaitHealth(t, server, "/readyz", false)
		awaitHealth(t, server, "/livez?exclude=etcd", true)
	})
	if l.unanswered.Load() == 0 {
		t.Error("every write was answered though a sync takes 5 s")
	}
	disk.Delay(0)
	awaitHealth(t, server, "/readyz", true)
	// Clients leave objects in doubt alone until the end.
	under(0, acknowledge(50))
	server.Kill(t)
	s.checkStored(t)

	server = s.serve(t)
	server.WaitReady(t)
	connection = connect(t, server)
	s.checkShown(t, connection)
	expectAllFree(t, connection)
}

// awaitCount waits until clients have a number of acknowledgements.
func awaitCount(t *testing.T, l *life, writes int64) {
	t.Helper()
	framework.Eventually(t, fmt.Sprintf("%d writes are acknowledged", writes), func(context.Context) (bool, error) {
		acknowledged := l.count.Load()
		return acknowledged >= writes, fmt.Errorf("%d are", acknowledged)
	})
}

// TestSyncFails runs a server whose disk fails to sync under load. The content
// of such a disk is unknown, so the server exits with the reason, and
// acknowledges no write after the failure. After a restart all acknowledged
// writes are there.
func TestSyncFails(t *testing.T) {
	t.Parallel()
	s := newStore(t, framework.Seed(t), 0)
	disk := &framework.Disk{}
	server := disk.Serve(t, s.dir(), s.port, ranges...)
	server.WaitReady(t)
	l := &life{servers: []dynamic.Interface{connect(t, server)}, slow: true}
	s.write(l, func() {
		awaitCount(t, l, 50)
		l.ended.Store(true)
		disk.Fail(syscall.EIO)
		server.AwaitEnd(t)
	})
	if said := server.Output(); !strings.Contains(said, "input/output error") {
		t.Errorf("the server ended without the reason:\n%s", said)
	}
	t.Logf("%d writes acknowledged, %d without an answer", l.count.Load(), l.unanswered.Load())
	s.checkStored(t)
	server = s.serve(t)
	server.WaitReady(t)
	s.checkShown(t, connect(t, server))
}
