package server

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/portolan-dev/portolan/pkg/controllers"
	"github.com/portolan-dev/portolan/pkg/etcd/quota"
)

// TestStoreSpaceIsADetail checks that a store that is nearly full is reported before
// writes are rejected.
func TestStoreSpaceIsADetail(t *testing.T) {
	const limit = 100 << 20
	for name, test := range map[string]struct {
		inUse int64
		want  string
	}{
		"room":        {limit/5*4 - 1, ""},
		"nearly full": {limit / 5 * 4, "the store is nearly full: 80.0 MiB of 100.0 MiB are in use. Delete objects, or restart"},
		"full":        {limit / 10 * 9, "the store is full: 90.0 MiB of 100.0 MiB are in use, and the rest is reserved"},
	} {
		t.Run(name, func(t *testing.T) {
			gate := quota.NewGate(limit, func() quota.Usage { return quota.Usage{Size: limit, InUse: test.inUse} }, time.Now)
			if got := spaceDetail(gate).problem(); !strings.HasPrefix(got, test.want) || (got == "") != (test.want == "") {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// TestNoLeaderIsADetail checks that a missing leader is reported in the details of the
// readiness, and leaves the server ready.
func TestNoLeaderIsADetail(t *testing.T) {
	ready := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	for name, test := range map[string]struct {
		path   string
		leader controllers.Leader
		want   string
	}{
		"no details":   {"/readyz", controllers.Leader{Silent: time.Hour}, "ok\n"},
		"another path": {"/livez?verbose", controllers.Leader{Silent: time.Hour}, "ok\n"},
		"health": {"/healthz?verbose", controllers.Leader{Silent: 90 * time.Second},
			"ok\n[!]controllers-leader: no process has run the controllers for 1m30s"},
		"a leader": {"/readyz?verbose", controllers.Leader{Identity: "a", Silent: 3 * time.Second}, "ok\n[+]controllers-leader ok\n"},
		"no leader": {"/readyz?verbose", controllers.Leader{Silent: 90 * time.Second},
			"ok\n[!]controllers-leader: no process has run the controllers for 1m30s"},
		"a silent leader": {"/readyz?verbose", controllers.Leader{Identity: "a", Silent: 90 * time.Second},
			"ok\n[!]controllers-leader: no process has run the controllers for 1m30s"},
	} {
		t.Run(name, func(t *testing.T) {
			handler := withDetails(ready, []detail{leaderDetail(func() controllers.Leader { return test.leader })})
			answer := httptest.NewRecorder()
			handler.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, test.path, nil))
			if got := answer.Body.String(); !strings.HasPrefix(got, test.want) || answer.Code != http.StatusOK {
				t.Errorf("got %d %q, want %q", answer.Code, got, test.want)
			}
		})
	}
}
