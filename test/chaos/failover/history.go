package failover

import (
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"
)

// version identifies a write of a Service, which sets it as a label. The empty
// version is no Service.
type version string

// result is the meaning of an answer.
type result int

const (
	// done: a write was carried out, or a read found a version.
	done result = iota
	// exists: a create found a Service with the name.
	exists
	// conflict: the Service is not the version that the client replaces.
	conflict
	// absent: there is no Service with the name.
	absent
	// taken: another Service holds a value that the client named.
	taken
	// unknown: the outcome of the write is not known.
	unknown
)

// request is one entry of a history.
type request struct {
	client       int
	call, answer time.Duration
	name         string
	// write distinguishes writes, which take a name's Service from one version
	// to another, from reads, which find one.
	write    bool
	from, to version
	result   result
	found    version
	// taken are the values for which a write was rejected.
	taken []string
	// value is set by a read of a claim, and holder is the UID of its holder.
	value, holder string
}

// sighting is the observed state of a version of a Service.
type sighting struct {
	uid    string
	values []string
	// first is when a client first knew of it.
	first time.Duration
}

// history is the requests of all clients and their results. It is safe for
// concurrent use.
type history struct {
	began time.Time

	mu       sync.Mutex
	requests []request
	seen     map[version]sighting
}

func newHistory() *history { return &history{began: time.Now(), seen: map[version]sighting{}} }

func (h *history) now() time.Duration { return time.Since(h.began) }

func (h *history) add(r request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.requests = append(h.requests, r)
}

// see records the state of a version. It must be called after the answer that
// contains the state. Services that no client wrote have no version.
func (h *history) see(v version, uid string, values []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, known := h.seen[v]; !known && v != "" {
		h.seen[v] = sighting{uid: uid, values: values, first: h.now()}
	}
}

// forever is the end of a write that may be carried out at any time.
const forever = time.Duration(math.MaxInt64)

// certain is the history without the doubts that can be resolved. A write names
// the version that it replaces, so a version that neither a client nor the
// final store has shown was never written. A version that was shown was written
// before that.
func (h *history) certain() []request {
	h.mu.Lock()
	defer h.mu.Unlock()
	var certain []request
	for _, r := range h.requests {
		if r.write && r.result == unknown {
			r.answer = forever
			if r.to != "" {
				sight, seen := h.seen[r.to]
				if !seen {
					continue
				}
				r.result, r.answer = done, sight.first
			}
		}
		certain = append(certain, r)
	}
	return certain
}

// byName returns the operations on each name, for nameModel.
func (h *history) byName() map[string][]porcupine.Operation {
	names := map[string][]porcupine.Operation{}
	for _, r := range h.certain() {
		if r.value == "" && r.result != taken {
			names[r.name] = append(names[r.name], operation(r, r))
		}
	}
	return names
}

// byValue returns the operations on each address and port, for valueModel.
func (h *history) byValue() map[string][]porcupine.Operation {
	values := map[string][]porcupine.Operation{}
	add := func(r request, value string, s step) { values[value] = append(values[value], operation(r, s)) }
	for _, r := range h.certain() {
		before, after := h.seen[r.from], h.seen[r.to]
		switch {
		case r.value != "":
			add(r, r.value, step{kind: look, holder: r.holder})
		case r.result == taken:
			for _, value := range r.taken {
				add(r, value, step{kind: refused, holder: before.uid})
			}
		case r.write && (r.result == done || r.result == unknown):
			for _, value := range without(after.values, before.values) {
				add(r, value, step{kind: take, holder: after.uid})
			}
			kind := release
			if r.result == unknown {
				kind = maybeRelease
			}
			for _, value := range without(before.values, after.values) {
				add(r, value, step{kind: kind, holder: before.uid})
			}
		}
	}
	return values
}

func operation(r request, input any) porcupine.Operation {
	return porcupine.Operation{ClientId: r.client, Input: input, Call: int64(r.call), Return: int64(r.answer), Output: nil}
}

// without returns the values that are not among others.
func without(values, others []string) (rest []string) {
	in := map[string]bool{}
	for _, value := range others {
		in[value] = true
	}
	for _, value := range values {
		if !in[value] {
			rest = append(rest, value)
		}
	}
	return rest
}

func (r result) String() string {
	return [...]string{"done", "exists", "conflict", "absent", "taken", "unknown"}[r]
}

func (r request) String() string {
	if r.write {
		return fmt.Sprintf("write of %s: %q to %q", r.name, r.from, r.to)
	}
	return fmt.Sprintf("read of %s: %q", r.name, r.found)
}
