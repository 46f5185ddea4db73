//go:build e2e

package replay

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// report collects the differences that a run finds, by kind.
type report struct {
	mu        sync.Mutex
	better    []better
	used      []int
	sequences int
	requests  int
	equal     int
	groups    map[string]*group
	broken    []string
}

// group collects differences that look alike.
type group struct {
	count    int
	examples []string
}

const maxExamples = 2

func newReport(exceptions []better) *report {
	return &report{better: exceptions, used: make([]int, len(exceptions)), groups: map[string]*group{}}
}

func (r *report) ended() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sequences++
}

// compare records how two answers differ, and reports whether both servers hold
// the same afterwards.
func (r *report) compare(e *exchange) bool {
	found := differences("", e.theirs.comparable(), e.ours.comparable())
	known := -1
	if len(found) > 0 {
		known = slices.IndexFunc(r.better, func(b better) bool { return b.holds(e) })
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests++
	if e.ours.code >= 500 {
		r.broken = append(r.broken, fmt.Sprintf("%s: %s: %d %s", e.sequence, e.step, e.ours.code, asJSON(e.ours.body)))
	}
	switch {
	case len(found) == 0:
		r.equal++
	case known >= 0:
		r.used[known]++
		return r.better[known].same
	default:
		r.add(e, found)
		return false
	}
	return true
}

var (
	indexes = regexp.MustCompile(`/\d+`)
	values  = regexp.MustCompile(`"(\\.|[^"\\])*"|\b[0-9a-f:.]*\d[0-9a-f:.]*\b`)
)

func (r *report) add(e *exchange, found []difference) {
	var paths []string
	for _, d := range found {
		paths = append(paths, indexes.ReplaceAllString(d.path, "/#"))
	}
	slices.Sort(paths)
	paths = slices.Compact(paths)
	key := fmt.Sprintf("upstream %d %s, Portolan %d %s, differ in %s", e.theirs.code, gist(&e.theirs), e.ours.code, gist(&e.ours),
		strings.Join(paths, " "))
	g := r.groups[key]
	if g == nil {
		g = &group{}
		r.groups[key] = g
	}
	g.count++
	if len(g.examples) < maxExamples {
		g.examples = append(g.examples, describe(e, found))
	}
}

// gist summarizes an error without the values.
func gist(a *answer) string {
	status, ok := a.body.(map[string]any)
	if a.successful() || !ok {
		return ""
	}
	message := fmt.Sprint(status["message"])
	return values.ReplaceAllString(message, "_")
}

func describe(e *exchange, found []difference) string {
	var text strings.Builder
	fmt.Fprintf(&text, "  %s\n    %s", e.sequence, e.step)
	switch {
	case e.step.Edit != nil:
		fmt.Fprintf(&text, "\n    last object with %s", asJSON(e.step.Edit))
	case e.step.Body != nil:
		fmt.Fprintf(&text, "\n    %s", asJSON(e.step.Body))
	}
	for _, d := range found {
		fmt.Fprintf(&text, "\n      %s", d)
	}
	return text.String()
}

func asJSON(value any) string {
	if text, ok := value.(string); ok {
		return text
	}
	raw, err := json.Marshal(value)
	if err != nil {
		return err.Error()
	}
	return string(raw)
}

// checkUsed fails for each exception that no request has shown.
func (r *report) checkUsed(t *testing.T) {
	t.Helper()
	for i, b := range r.better {
		if r.used[i] == 0 {
			t.Errorf("no request shows that %s (%s)", b.what, b.line)
		}
	}
}

// print reports how many answers were equal, and the most frequent kinds of
// differences, with examples.
func (r *report) print(t *testing.T, show int) {
	t.Helper()
	t.Logf("%d sequences, %d requests: %d answers equal", r.sequences, r.requests, r.equal)
	for i, b := range r.better {
		t.Logf("%6d better: %s %s", r.used[i], b.line, b.what)
	}
	for _, broken := range r.broken {
		t.Errorf("a server error: %s", broken)
	}
	type kind struct {
		key string
		*group
	}
	var kinds []kind
	total := 0
	for key, g := range r.groups {
		kinds = append(kinds, kind{key, g})
		total += g.count
	}
	if total == 0 {
		return
	}
	slices.SortFunc(kinds, func(a, b kind) int {
		if a.count != b.count {
			return b.count - a.count
		}
		return strings.Compare(a.key, b.key)
	})
	t.Errorf("%d answers differ, in %d ways", total, len(kinds))
	for _, kind := range kinds[:min(show, len(kinds))] {
		t.Errorf("%d times: %s\n%s", kind.count, kind.key, strings.Join(kind.examples, "\n"))
	}
}
