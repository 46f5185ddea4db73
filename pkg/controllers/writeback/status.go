package writeback

import (
	"sync"

	"k8s.io/apimachinery/pkg/types"
)

// Status records what is written back, for metrics. A process that does not lead records
// nothing.
type Status struct {
	mu        sync.Mutex
	copies    map[types.NamespacedName]bool
	conflicts map[types.NamespacedName]string
}

// NewStatus returns a Status without copies.
func NewStatus() *Status {
	return &Status{copies: map[types.NamespacedName]bool{}, conflicts: map[types.NamespacedName]string{}}
}

// Counts returns how many Services are written back, and how many can't be.
func (s *Status) Counts() (copies, conflicts int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.copies), len(s.conflicts)
}

// reset forgets everything, when the process does not lead any more.
func (s *Status) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.copies)
	clear(s.conflicts)
}

func (s *Status) written(name types.NamespacedName) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.copies[name] = true
	delete(s.conflicts, name)
}

func (s *Status) forget(name types.NamespacedName) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.copies, name)
	delete(s.conflicts, name)
}

// conflict reports whether a conflict is new.
func (s *Status) conflict(name types.NamespacedName, reason string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	known := s.conflicts[name] == reason
	s.conflicts[name] = reason
	delete(s.copies, name)
	return !known
}
