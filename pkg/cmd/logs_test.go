package cmd

import (
	"fmt"
	"testing"
	"time"
)

func TestQuiet(t *testing.T) {
	t.Parallel()
	const (
		reflector = "k8s.io/apimachinery/pkg/util/runtime.logError"
		setup     = "k8s.io/apiserver/pkg/server.(*GenericAPIServer).Run"
		request   = "k8s.io/apiserver/pkg/server/httplog.(*respLogger).Log"
		own       = "github.com/portolan-dev/portolan/pkg/etcd.logCore.Write"
	)
	const failed = `reflector.go:227] "Failed to watch" err="failed to list *v1.Namespace: Unauthorized"`
	q := &quiet{logged: map[string]time.Time{}}
	start := time.Now()
	for i, step := range []struct {
		after    time.Duration
		severity string
		text     string
		function string
		dropped  bool
	}{
		{0, "I", "a.go:1] starting", setup, true},
		{0, "I", "a.go:1] GET /", request, false},
		{0, "I", "a.go:1] starting", own, false},
		{0, "W", "a.go:1] Skipping API", installer, true},
		{0, "E", failed, reflector, false},
		{time.Second, "E", failed, reflector, true},
		{time.Second, "E", failed + " again", reflector, false},
		{time.Second, "E", failed, own, false},
		{time.Second, "W", "a.go:1] slow", setup, false},
		{2 * time.Second, "W", "a.go:1] slow", setup, true},
		{3 * time.Second, "F", failed, reflector, false},
		{3 * time.Second, "E", "goroutine 1", reflector, false},
		{3 * time.Second, "E", "goroutine 1", reflector, false},
		{repeatPeriod, "E", failed, reflector, false},
		{repeatPeriod + time.Second, "E", failed, reflector, true},
		{3 * repeatPeriod, "E", failed, reflector, false},
	} {
		now := start.Add(step.after)
		line := fmt.Sprintf("%s%s 17 %s\n", step.severity, now.Format("0102 15:04:05.000000"), step.text)
		if got := q.drops([]byte(line), step.function, now); got != step.dropped {
			t.Errorf("step %d, %s: dropped is %v", i, line, got)
		}
	}
	for i := range 3 * maxLogged {
		if q.repeats(fmt.Appendf(nil, "E] %d", i), start) || len(q.logged) > maxLogged {
			t.Fatalf("error %d repeats, or %d errors are kept", i, len(q.logged))
		}
	}
}
