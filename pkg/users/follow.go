package users

import (
	"bytes"
	"context"
	"os"
	"time"

	"k8s.io/apiserver/pkg/util/filesystem"
	"k8s.io/klog/v2"
)

// pollInterval is how often a file is read that tells nothing of its changes, and
// what could not be applied is tried again. It is upstream's.
const pollInterval = time.Minute

// followed is a configuration file and what is done with it when it changes. The
// rest are upstream's metrics of it.
type followed struct {
	what, file string
	apply      func(context.Context, []byte) error

	reloaded func(id, data string)
	failed   func(id string)
	// id is the server's, in metrics.
	id string
}

// run applies what the file has whenever that is not what was applied last, until
// the context ends. What can't be applied leaves everything as it was.
func (f followed) run(ctx context.Context, applied []byte) {
	logger := klog.FromContext(ctx).WithValues("file", f.file)
	filesystem.WatchUntil(ctx, pollInterval, f.file, func() {
		data, err := os.ReadFile(f.file)
		if err == nil {
			if bytes.Equal(data, applied) {
				return
			}
			err = f.apply(ctx, data)
		}
		if err != nil {
			logger.Error(err, "What the file says now can't be applied; what it said before goes on", "what", f.what)
			f.failed(f.id)
			return
		}
		applied = data
		logger.Info("Applied what the file says now", "what", f.what)
		f.reloaded(f.id, string(data))
	}, func(err error) {
		logger.Error(err, "Can't watch the file; it is read again and again", "what", f.what, "interval", pollInterval)
	})
}
