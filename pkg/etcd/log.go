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
	// Of one message the first few in each period are logged, and then one of
	// many: a disk that is slow for an hour must not fill the log, and the disk.
	logPeriod    = time.Minute
	logFirst     = 5
	logOneOfMany = 100

	// The verbosity at which etcd's own progress is logged.
	infoVerbosity  = 4
	debugVerbosity = 6

	// maxLogged is the size of a value that is logged. A request to etcd names
	// every key that it writes, which may be thousands.
	maxLogged = 1024
)

// newClientLogger makes a logger for etcd's client.
func newClientLogger() *zap.Logger { return newLogger(logCore{}) }

func newLogger(core logCore, options ...zap.Option) *zap.Logger {
	return zap.New(zapcore.NewSamplerWithOptions(core, logPeriod, logFirst, logOneOfMany), options...)
}

// logCore is a zapcore.Core that passes warnings and errors on to klog, and
// progress at a high verbosity. It leaves what ends the process to the hook for
// that.
type logCore struct {
	context []zapcore.Field
	// quiet, if it is set, makes warnings and errors count as progress.
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

// Check implements zapcore.Core. What the database library logs it returns as well.
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

// logged turns fields into keys and values, and takes the error out of them.
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
