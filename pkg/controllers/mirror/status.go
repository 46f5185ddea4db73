package mirror

import (
	"maps"
	"slices"
	"sync"
	"time"
)

// Reasons for which an object of the cluster is not copied.
const (
	// ReasonName is that Portolan's own object has its name.
	ReasonName = "name"
	// ReasonValue is that another Service holds one of its addresses or ports.
	ReasonValue = "value"
)

// Status records what the mirror does in this process, over all terms as the leader. It is
// safe for concurrent use.
type Status struct {
	mu        sync.Mutex
	running   bool
	conflicts map[string]conflict
	writes    map[Count]int64
	// waiting has the time of the first change of each object that is not dealt with yet,
	// and begun the same of those that a worker deals with.
	waiting, begun map[string]time.Time
}

// Count is what is counted of a resource: writes by verb, or conflicts by reason.
type Count struct{ Resource, What string }

type conflict struct {
	reason, message string
	// attempts is how often the write has been rejected.
	attempts int
}

// NewStatus returns the status of a process that mirrors nothing yet.
func NewStatus() *Status {
	return &Status{
		conflicts: map[string]conflict{}, writes: map[Count]int64{}, waiting: map[string]time.Time{}, begun: map[string]time.Time{},
	}
}

// Running reports whether this process mirrors: it leads, and reads the cluster's objects.
func (s *Status) Running() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.running
}

func (s *Status) started() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running = true
}

// Conflicts returns how many objects are not copied.
func (s *Status) Conflicts() map[Count]int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	counts := map[Count]int64{}
	for _, resource := range resources() {
		for _, reason := range []string{ReasonName, ReasonValue} {
			counts[Count{resource, reason}] = 0
		}
	}
	for key, c := range s.conflicts {
		if c.reported() {
			counts[Count{parseKey(key).resource, c.reason}]++
		}
	}
	return counts
}

// Writes returns how many copies were written and deleted.
func (s *Status) Writes() map[Count]int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	counts := map[Count]int64{}
	for _, resource := range resources() {
		for _, verb := range []string{verbPut, verbDelete} {
			counts[Count{resource, verb}] = s.writes[Count{resource, verb}]
		}
	}
	return counts
}

func (s *Status) wrote(resource, verb string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes[Count{resource, verb}]++
}

// reported reports whether a conflict has lasted for long enough. An address that moves
// from one Service of the cluster to another is taken for a moment.
func (c conflict) reported() bool { return c.reason == ReasonName || c.attempts >= reportAfter }

// reportAfter is the number of rejected attempts after which a conflict is reported.
const reportAfter = 5

// conflict records that an object can't be copied. It reports whether that is to be
// reported and whether it is news.
func (s *Status) conflict(key, reason, message string) (reported, news bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.conflicts[key]
	after := conflict{reason: reason, message: message, attempts: before.attempts + 1}
	s.conflicts[key] = after
	same := before.reason == reason && before.message == message && before.reported()
	return after.reported(), after.reported() && !same
}

// resolved records that nothing prevents a copy.
func (s *Status) resolved(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conflicts, key)
}

// changed records that an object has changed, in the cluster or here.
func (s *Status) changed(key string, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, waits := s.waiting[key]; !waits {
		s.waiting[key] = now
	}
}

// begin records that a worker begins to deal with the changes of an object. The worker must
// call done when it has ended, with whether it has succeeded. Changes of the meantime wait on.
func (s *Status) begin(key string) (done func(succeeded bool)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	since, waits := s.waiting[key]
	if !waits {
		return func(bool) {}
	}
	delete(s.waiting, key)
	s.begun[key] = since
	return func(succeeded bool) {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.begun, key)
		if !succeeded {
			s.waiting[key] = since
		}
	}
}

// Lag returns how long the oldest change has waited. It is 0 if no change waits, or if this
// process does not mirror. An object that can't be copied because of a conflict does not wait.
func (s *Status) Lag(now time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	var lag time.Duration
	if !s.running {
		return lag
	}
	for _, changes := range []map[string]time.Time{s.waiting, s.begun} {
		for _, since := range changes {
			lag = max(lag, now.Sub(since))
		}
	}
	return lag
}

// reset records the end of a term. It forgets the conflicts and what waits, because another
// process finds them from now on.
func (s *Status) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running = false
	clear(s.conflicts)
	clear(s.waiting)
}

// unresolved returns the keys of the objects that are not copied.
func (s *Status) unresolved() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.conflicts))
}
