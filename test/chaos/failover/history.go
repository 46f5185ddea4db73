package failover

import (
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"
)

// version names what one write left of a Service: writes label it. The empty
// one is no Service.
type version string

// result is what a request was told.
type result int

const (
	// done: a write was carried out, or a read has found a version.
	done result = iota
	// exists: a create has found a Service of the name.
	exists
	// conflict: the Service is not what the writer knew.
	conflict
	// absent: there is no Service of the name.
	absent
	// taken: somebody holds a value that the writer named.
	taken
	// unknown: there was no answer that says whether the write was carried out.
	unknown
)

// request is one entry of a history.
type request struct {
	client       int
	call, answer time.Duration
	name         string
	// write says what it was: a write takes a name's Service from one version
	// to another, a read finds one.
	write    bool
	from, to version
	result   result
	found    version
	// values that are taken, of a write that was refused for them.
	taken []string
	// holder is set by a read of a claim: value is its name, holder the UID.
	value, holder string
}

// sighting is what a version of a Service was seen to be.
type sighting struct {
	uid    string
	values []string
	// first is when somebody who saw it knew of it.
	first time.Duration
}

// history is what clients did and were told. It is safe for concurrent use.
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

// see takes note of what a version is. It must be called after the answer in
// which it was seen. What no client wrote has none.
func (h *history) see(v version, uid string, values []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, known := h.seen[v]; !known && v != "" {
		h.seen[v] = sighting{uid: uid, values: values, first: h.now()}
	}
}

// forever is when a write ends that may be carried out at any time.
const forever = time.Duration(math.MaxInt64)

// certain is the history without the doubts that can be resolved. Who writes
// must know the version that he replaces, so one that nobody has ever seen,
// nor the store when all was over, was never there. One that was seen was
// written before that.
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

// byName is what was done to each name, for nameModel.
func (h *history) byName() map[string][]porcupine.Operation {
	names := map[string][]porcupine.Operation{}
	for _, r := range h.certain() {
		if r.value == "" && r.result != taken {
			names[r.name] = append(names[r.name], operation(r, r))
		}
	}
	return names
}

// byValue is what was done to each address and port, for valueModel.
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

// without is what is in values and not in others.
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
