package failover

import (
	"fmt"
	"slices"
)

// stream is a list and the events of one watch of all Services. It is not safe
// for concurrent use.
type stream struct {
	// revision is the resource version of the last event.
	revision uint64
	services map[string]seenService
	// holders has the name of the Service that holds a value.
	holders map[string]string
	// steps are the changes in the order of the events.
	steps []change
	wrong []string
}

type seenService struct {
	version version
	uid     string
	values  []string
}

// change takes a name's Service from one version to another, as a write does.
type change struct {
	name     string
	from, to version
}

// list starts over: earlier events need not lead to this state.
func (s *stream) list(revision uint64, services map[string]seenService) {
	if revision < s.revision {
		s.fault("a list at %d, after %d", revision, s.revision)
	}
	s.revision, s.services, s.holders = revision, map[string]seenService{}, map[string]string{}
	for name, svc := range services {
		s.put(name, svc)
	}
}

// event adds the next event. A deleted Service has an empty version.
func (s *stream) event(revision uint64, added bool, name string, svc seenService) {
	if revision <= s.revision {
		s.fault("%s at %d, after %d", name, revision, s.revision)
	}
	before, known := s.services[name]
	switch {
	case added && known:
		s.fault("%s was added at %d and was there", name, revision)
	case !added && !known:
		s.fault("%s was changed or deleted at %d and was not there", name, revision)
	case known && before.uid != svc.uid:
		s.fault("%s became another at %d", name, revision)
	}
	s.revision = revision
	s.steps = append(s.steps, change{name: name, from: before.version, to: svc.version})
	for _, value := range before.values {
		if s.holders[value] == name {
			delete(s.holders, value)
		}
	}
	delete(s.services, name)
	if svc.version != "" {
		s.put(name, svc)
	}
}

func (s *stream) put(name string, svc seenService) {
	for _, value := range svc.values {
		if holder, held := s.holders[value]; held {
			s.fault("%s is held by %s and by %s at %d", value, holder, name, s.revision)
		}
		s.holders[value] = name
	}
	s.services[name] = svc
}

func (s *stream) fault(format string, args ...any) {
	s.wrong = append(s.wrong, fmt.Sprintf(format, args...))
}

// unwritten returns the changes that no client wrote: events are missing, wrong
// or out of order.
func (s *stream) unwritten(h *history) (unwritten []change) {
	h.mu.Lock()
	defer h.mu.Unlock()
	written := map[change]bool{}
	for _, r := range h.requests {
		if r.write && (r.result == done || r.result == unknown) {
			written[change{name: r.name, from: r.from, to: r.to}] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(s.steps), func(step change) bool { return written[step] })
}
