package users

import (
	"bytes"
	"context"
	"os"
	"time"

	"k8s.io/apiserver/pkg/util/filesystem"
	"k8s.io/klog/v2"
)

// pollInterval is how often a file is read if it can't be watched, and how often a
// change that could not be applied is tried again. It is upstream's.
const pollInterval = time.Minute

// reloader applies a configuration file when it changes.
type reloader struct {
	what, file string
	apply      func(context.Context, []byte) error

	// reloaded and failed record upstream's metrics of the file.
	reloaded func(id, data string)
	failed   func(id string)
	// id identifies the server in metrics.
	id string
}

// run applies the file whenever its contents differ from those applied last, until
// ctx ends. If they can't be applied, the previous configuration stays in force.
func (r reloader) run(ctx context.Context, applied []byte) {
	logger := klog.FromContext(ctx).WithValues("file", r.file)
	filesystem.WatchUntil(ctx, pollInterval, r.file, func() {
		data, err := os.ReadFile(r.file)
		if err == nil {
			if bytes.Equal(data, applied) {
				return
			}
			err = r.apply(ctx, data)
		}
		if err != nil {
			logger.Error(err, "Reloading the file failed, the previous configuration stays in force", "what", r.what)
			r.failed(r.id)
			return
		}
		applied = data
		logger.Info("Reloaded the file", "what", r.what)
		r.reloaded(r.id, string(data))
	}, func(err error) {
		logger.Error(err, "Can't watch the file, reading it periodically instead", "what", r.what, "interval", pollInterval)
	})
}
