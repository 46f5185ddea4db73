package cmd

import (
	"bytes"
	"io"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"

	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/component-base/logs"
	logsapi "k8s.io/component-base/logs/api/v1"
)

// applyLogs sets up the log of a server. Without -v, the text log contains Portolan's
// messages and, from libraries, errors and messages about requests, but not what they
// start and stop, and no error again within repeatPeriod.
func applyLogs(o *logs.Options) error {
	streams := logsapi.LoggingOptions{ErrorStream: os.Stderr, InfoStream: os.Stdout}
	if o.Verbosity == 0 {
		streams.ErrorStream = &quiet{Writer: os.Stderr, logged: map[string]time.Time{}}
	}
	return logsapi.ValidateAndApplyWithOptions(o, &streams, utilfeature.DefaultFeatureGate)
}

// repeatPeriod is how long an error of a library is not logged again. Informers retry every
// few seconds, so a cluster that rejects the server's credentials would fill the log and hide
// the message that says what to change.
const repeatPeriod = 5 * time.Minute

// maxLogged is how many errors are remembered. When there are more, all are forgotten.
const maxLogged = 1000

// quiet drops of what libraries log: informational messages about their setup, warnings that
// the server of custom resources leaves API versions to others, and errors and warnings that
// repeat. A line names the file that logged it, but not the package, so Write looks that up in
// the stack: the goroutine that logs a line also writes it.
type quiet struct {
	io.Writer

	mu sync.Mutex
	// logged is when each error and warning was logged last.
	logged map[string]time.Time
}

var (
	loggers = []string{"k8s.io/klog/v2", "github.com/go-logr/logr."}
	// informative packages log about one request or one lease at level 0.
	informative = []string{"k8s.io/apiserver/pkg/server/httplog.", "k8s.io/utils/trace.", "k8s.io/client-go/tools/leaderelection."}
)

// installer is the function that warns of API versions without resources.
const installer = "k8s.io/apiserver/pkg/server.(*GenericAPIServer).installAPIResources"

// Write implements io.Writer.
func (q *quiet) Write(line []byte) (int, error) {
	if q.drops(line, logCaller(), time.Now()) {
		return len(line), nil
	}
	return q.Writer.Write(line)
}

// drops reports whether a line that a function logged is not for the log.
func (q *quiet) drops(line []byte, function string, now time.Time) bool {
	if len(line) == 0 || !strings.HasPrefix(function, "k8s.io/") {
		return false
	}
	switch line[0] {
	case 'I':
		return !hasAnyPrefix(function, informative)
	case 'W', 'E':
		return strings.HasPrefix(function, installer) || q.repeats(line, now)
	}
	return false
}

// repeats reports whether a line was logged within repeatPeriod. If not, it records the line.
func (q *quiet) repeats(line []byte, now time.Time) bool {
	// The header has the time.
	_, text, found := bytes.Cut(line, []byte("] "))
	if !found {
		return false
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if at, known := q.logged[string(text)]; known && now.Sub(at) < repeatPeriod {
		return true
	}
	if len(q.logged) >= maxLogged {
		clear(q.logged)
	}
	q.logged[string(text)] = now
	return false
}

// logCaller returns the name of the function that called the logger.
func logCaller() string {
	// The first three frames are Callers, logCaller and Write.
	const skipped, depth = 3, 16
	var callers [depth]uintptr
	frames := runtime.CallersFrames(callers[:runtime.Callers(skipped, callers[:])])
	for {
		frame, more := frames.Next()
		if !hasAnyPrefix(frame.Function, loggers) || !more {
			return frame.Function
		}
	}
}

func hasAnyPrefix(text string, prefixes []string) bool {
	for _, prefix := range prefixes {
		if strings.HasPrefix(text, prefix) {
			return true
		}
	}
	return false
}
