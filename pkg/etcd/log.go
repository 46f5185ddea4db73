package etcd

import (
	"slices"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"k8s.io/klog/v2"
)

const (
	// In each logPeriod the first logFirst occurrences of a message are logged, and
	// then one in logOneOfMany: a disk that is slow for an hour must not fill the
	// log, and the disk with it.
	logPeriod    = time.Minute
	logFirst     = 5
	logOneOfMany = 100

	// The verbosity at which etcd's own progress is logged.
	infoVerbosity  = 4
	debugVerbosity = 6

	// maxLogged limits a logged value, in bytes. A request to etcd names every key
	// that it writes, and there can be thousands.
	maxLogged = 1024
)

// newClientLogger returns a logger for etcd's client.
func newClientLogger() *zap.Logger { return newLogger(logCore{}) }

func newLogger(core logCore, options ...zap.Option) *zap.Logger {
	return zap.New(zapcore.NewSamplerWithOptions(core, logPeriod, logFirst, logOneOfMany), options...)
}

// logCore is a zapcore.Core that logs to klog: warnings and errors always, and
// etcd's progress at a high verbosity. It skips panics and fatal errors, which the
// logger's hooks handle.
type logCore struct {
	context []zapcore.Field
	// quiet, if true, makes warnings and errors count as progress. It may be nil.
	quiet *atomic.Bool
}

// Enabled implements zapcore.LevelEnabler.
func (c logCore) Enabled(level zapcore.Level) bool { return klog.V(c.verbosity(level)).Enabled() }

func (c logCore) verbosity(level zapcore.Level) klog.Level {
	switch {
	case level < zapcore.InfoLevel:
		return debugVerbosity
	case level < zapcore.WarnLevel || c.quiet != nil && c.quiet.Load():
		return infoVerbosity
	default:
		return 0
	}
}

// With implements zapcore.Core.
func (c logCore) With(fields []zapcore.Field) zapcore.Core {
	c.context = slices.Concat(c.context, fields)
	return c
}

// Check implements zapcore.Core. It drops what the database library bbolt logs,
// because bbolt returns the same errors.
func (c logCore) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if entry.Level >= zapcore.PanicLevel || entry.LoggerName == "bbolt" || !c.Enabled(entry.Level) {
		return checked
	}
	return checked.AddCore(entry, c)
}

// Write implements zapcore.Core.
func (c logCore) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	values, cause := logged(slices.Concat(c.context, fields))
	logger, verbosity := klog.Background().WithName("etcd"), c.verbosity(entry.Level)
	if entry.Level >= zapcore.ErrorLevel && verbosity == 0 {
		logger.Error(cause, entry.Message, values...)
		return nil
	}
	if cause != nil {
		values = append(values, "err", cause)
	}
	logger.V(int(verbosity)).Info(entry.Message, values...)
	return nil
}

// Sync implements zapcore.Core.
func (logCore) Sync() error {
	klog.Flush()
	return nil
}

// logged turns fields into keys and values, and returns the error among them
// separately.
func logged(fields []zapcore.Field) (values []any, cause error) {
	for _, field := range fields {
		if err, ok := field.Interface.(error); ok && field.Type == zapcore.ErrorType {
			cause = err
			continue
		}
		encoder := zapcore.NewMapObjectEncoder()
		field.AddTo(encoder)
		for key, value := range encoder.Fields {
			if text, ok := value.(string); ok && len(text) > maxLogged {
				value = text[:maxLogged] + "..."
			}
			values = append(values, key, value)
		}
	}
	return values, cause
}
