package metrics

import (
	"sync"
	"time"

	"k8s.io/component-base/metrics"

	"github.com/portolan-dev/portolan/pkg/allocation"
)

// classes are all there are, in the order of their numbers.
var classes = [...]allocation.Class{allocation.IPv4, allocation.IPv6, allocation.Port}

// lags measure how far the watch, which tells the allocation index of claims,
// trails what is committed. What others commit can't be timed without asking
// etcd, so it is this replica's own commits that are timed until the watch tells
// of them; one at a time of each class, which costs next to nothing.
type lags struct {
	now     func() time.Time
	seconds *metrics.HistogramVec
	classes [len(classes)]lag
}

type lag struct {
	mu   sync.Mutex
	told int64
	// awaited is the revision of the commit that is being timed, 0 for none.
	awaited int64
	since   time.Time
}

func newLags(now func() time.Time) *lags {
	return &lags{now: now, seconds: metrics.NewHistogramVec(&metrics.HistogramOpts{
		Namespace: namespace, Subsystem: indexSystem, Name: "lag_seconds", StabilityLevel: metrics.ALPHA,
		Help:    "Seconds from a commit of this replica until its own watch told the allocation index of it; a sample of all commits",
		Buckets: metrics.ExponentialBuckets(0.001, 2, 15),
	}, []string{"class"})}
}

// committed takes note that this replica has claimed a value just now.
func (l *lags) committed(class allocation.Class, revision int64) {
	c := &l.classes[class]
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.told >= revision:
		// The watch was quicker than etcd's answer.
		l.observe(class, 0)
	case c.awaited == 0:
		c.awaited, c.since = revision, l.now()
	}
}

// told takes note that the watch has come to a revision.
func (l *lags) told(class allocation.Class, revision int64) {
	c := &l.classes[class]
	c.mu.Lock()
	defer c.mu.Unlock()
	c.told = max(c.told, revision)
	if c.awaited != 0 && c.awaited <= c.told {
		l.observe(class, l.now().Sub(c.since))
		c.awaited = 0
	}
}

// awaiting is for how long the commit that is being timed has waited, 0 if none
// is.
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
