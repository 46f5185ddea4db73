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

// applyLogs sets up the log of a server. Without -v, the text log has what
// Portolan says, and of libraries what went wrong and what happened to requests,
// but not what they set up and take down.
func applyLogs(o *logs.Options) error {
	streams := logsapi.LoggingOptions{ErrorStream: os.Stderr, InfoStream: os.Stdout}
	if o.Verbosity == 0 {
		streams.ErrorStream = withoutSetup{os.Stderr}
	}
	return logsapi.ValidateAndApplyWithOptions(o, &streams, utilfeature.DefaultFeatureGate)
}

// withoutSetup drops the information that libraries log about their set-up. The
// line says which file logged it, but not of which package, so that is looked up
// in the stack: a line is written by the goroutine that logs it.
type withoutSetup struct{ io.Writer }

var (
	loggers = []string{"k8s.io/klog/v2", "github.com/go-logr/logr."}
	// What they log at level 0 is about one request or one lease.
	informative = []string{"k8s.io/apiserver/pkg/server/httplog.", "k8s.io/utils/trace.", "k8s.io/client-go/tools/leaderelection."}
)

func (w withoutSetup) Write(line []byte) (int, error) {
	if len(line) > 0 && line[0] == 'I' && isSetup(logCaller()) {
		return len(line), nil
	}
	return w.Writer.Write(line)
}

// logCaller is the function that called the logger which calls Write.
func logCaller() string {
	// The first are Callers, logCaller and Write.
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
