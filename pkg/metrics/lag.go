package metrics

import (
	"sync"
	"time"

	"k8s.io/component-base/metrics"

	"github.com/portolan-dev/portolan/pkg/allocation"
)

// lags measure how far the watch on claims trails the commits. Commits of other replicas
// can't be timed without a read from etcd, so the lags time this replica's own commits
// until the watch delivers them. They time one commit of each class at a time, which
// costs almost nothing.
type lags struct {
	now     func() time.Time
	seconds *metrics.HistogramVec
	// classes are the lags by class.
	classes []lag
}

type lag struct {
	mu sync.Mutex
	// observed is the revision that the watch has reached.
	observed int64
	// awaited is the revision of the commit that is being timed, 0 for none.
	awaited int64
	since   time.Time
}

func newLags(now func() time.Time) *lags {
	return &lags{now: now, classes: make([]lag, len(allocation.Classes())), seconds: metrics.NewHistogramVec(&metrics.HistogramOpts{
		Namespace: namespace, Subsystem: indexSystem, Name: "lag_seconds", StabilityLevel: metrics.ALPHA,
		Help:    "Seconds from a commit of this replica until its watch delivered the commit to the allocation index; a sample of all commits",
		Buckets: metrics.ExponentialBuckets(0.001, 2, 15),
	}, []string{"class"})}
}

// committed records that this replica has just claimed a value.
func (l *lags) committed(class allocation.Class, revision int64) {
	c := &l.classes[class]
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.observed >= revision:
		// The watch came before etcd's answer.
		l.observe(class, 0)
	case c.awaited == 0:
		c.awaited, c.since = revision, l.now()
	}
}

// observeRevision records that the watch has reached a revision.
func (l *lags) observeRevision(class allocation.Class, revision int64) {
	c := &l.classes[class]
	c.mu.Lock()
	defer c.mu.Unlock()
	c.observed = max(c.observed, revision)
	if c.awaited != 0 && c.awaited <= c.observed {
		l.observe(class, l.now().Sub(c.since))
		c.awaited = 0
	}
}

// awaiting returns how long the commit that is being timed has waited, 0 if there is none.
func (l *lags) awaiting(class allocation.Class) time.Duration {
	c := &l.classes[class]
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.awaited == 0 {
		return 0
	}
	return l.now().Sub(c.since)
}

func (l *lags) observe(class allocation.Class, lag time.Duration) {
	l.seconds.WithLabelValues(class.String()).Observe(lag.Seconds())
}
