package cmd

import (
	"io"
	"os"
	"runtime"
	"strings"

	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/component-base/logs"
	logsapi "k8s.io/component-base/logs/api/v1"
)

// applyLogs sets up the log of a server. Without -v, the text log contains Portolan's
// messages and, from libraries, errors and messages about requests, but not what they
// start and stop.
func applyLogs(o *logs.Options) error {
	streams := logsapi.LoggingOptions{ErrorStream: os.Stderr, InfoStream: os.Stdout}
	if o.Verbosity == 0 {
		streams.ErrorStream = withoutSetup{os.Stderr}
	}
	return logsapi.ValidateAndApplyWithOptions(o, &streams, utilfeature.DefaultFeatureGate)
}

// withoutSetup drops informational messages of libraries about their setup, and warnings
// that the server of custom resources leaves API versions to others. A line names the file
// that logged it, but not the package, so Write looks that up in the stack: the goroutine
// that logs a line also writes it.
type withoutSetup struct{ io.Writer }

var (
	loggers = []string{"k8s.io/klog/v2", "github.com/go-logr/logr."}
	// informative packages log about one request or one lease at level 0.
	informative = []string{"k8s.io/apiserver/pkg/server/httplog.", "k8s.io/utils/trace.", "k8s.io/client-go/tools/leaderelection."}
)

// installer is the function that warns of API versions without resources.
const installer = "k8s.io/apiserver/pkg/server.(*GenericAPIServer).installAPIResources"

// Write implements io.Writer.
func (w withoutSetup) Write(line []byte) (int, error) {
	if len(line) > 0 && line[0] == 'I' && isSetup(logCaller()) {
		return len(line), nil
	}
	if len(line) > 0 && line[0] == 'W' && strings.HasPrefix(logCaller(), installer) {
		return len(line), nil
	}
	return w.Writer.Write(line)
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

func isSetup(function string) bool {
	return strings.HasPrefix(function, "k8s.io/") && !hasAnyPrefix(function, informative)
}

func hasAnyPrefix(text string, prefixes []string) bool {
	for _, prefix := range prefixes {
		if strings.HasPrefix(text, prefix) {
			return true
		}
	}
	return false
}
