//go:build linux && e2e

package failover

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/sets"
)

// phase is what clients were told while one fault lasted, and until all was
// well after it.
type phase struct {
	name    string
	answers map[string]int
	// settled are the answers that clients were left with after they had tried
	// again.
	settled map[string]int
	// messages is an example of each error.
	messages map[string]string
	// longest is the longest time that one request took.
	longest time.Duration
	// stall is the longest time in which no write was carried out.
	stall    time.Duration
	requests int

	lastWrite time.Time
}

// answers are the phases of a run. They are safe for concurrent use.
type answers struct {
	mu     sync.Mutex
	phases []*phase
}

// begin starts a phase and returns it.
func (a *answers) begin(name string) *phase {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closeStall()
	p := &phase{name: name, answers: map[string]int{}, settled: map[string]int{}, messages: map[string]string{}, lastWrite: time.Now()}
	a.phases = append(a.phases, p)
	return p
}

func (a *answers) closeStall() {
	if len(a.phases) > 0 {
		p := a.phases[len(a.phases)-1]
		p.stall = max(p.stall, time.Since(p.lastWrite))
	}
}

// add takes note of how a request ended, in the phase in which it began.
func (a *answers) add(p *phase, write bool, took time.Duration, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	p.requests++
	p.longest = max(p.longest, took)
	answer := nameOf(err)
	p.answers[answer]++
	if err != nil && p.messages[answer] == "" {
		p.messages[answer] = err.Error()
	}
	if now := a.phases[len(a.phases)-1]; write && err == nil {
		now.stall = max(now.stall, time.Since(now.lastWrite))
		now.lastWrite = time.Now()
	}
}

func (a *answers) current() *phase {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.phases[len(a.phases)-1]
}

// settle adds what a client was left with.
func (a *answers) settle(p *phase, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	p.settled[nameOf(err)]++
}

// usual are the answers of a server on which nothing is broken.
var usual = sets.New("ok", "404 NotFound", "409 AlreadyExists", "409 Conflict", "422 Invalid")

// alike are answers that tell clients the same: there is no replica, or nobody
// knows what has become of the request. Which one it is, is a matter of moments.
var alike = []sets.Set[string]{
	sets.New(lost, connectionRefused),
	sets.New("504 Timeout", "500 ", clientsTimeout),
}

// expectSettled reports, when all clients are done, those that were left with an
// error after they had tried again.
func (a *answers) expectSettled(t testing.TB) {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, p := range a.phases {
		for answer, count := range p.settled {
			if !usual.Has(answer) {
				t.Errorf("%s: %d clients were left with %s", p.name, count, answer)
			}
		}
	}
}

// expect reports what no client should be told: what kube-apiserver was not seen
// to answer when the same was broken, nor anything like it. A 500 is never right.
func (a *answers) expect(t testing.TB, p *phase, upstream sets.Set[string]) {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	for answer, count := range p.answers {
		same := sets.New(answer)
		for _, set := range alike {
			if set.Has(answer) {
				same = set
			}
		}
		if strings.HasPrefix(answer, "500") || !upstream.Union(usual).HasAny(same.UnsortedList()...) {
			t.Errorf("%d clients were answered %s, such as %s; kube-apiserver answers %q", count, answer, p.messages[answer], sets.List(upstream))
		}
	}
}

// unusual are the answers that are not usual, in order.
func (a *answers) unusual(p *phase) []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return sets.List(sets.KeySet(p.answers).Difference(usual))
}

// text lists what was answered.
func (a *answers) text(p *phase) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	text := fmt.Sprintf("%d requests, the longest took %v; no write for %v; answers: %s; in the end: %s", p.requests,
		p.longest.Round(time.Millisecond), p.stall.Round(time.Millisecond), counts(p.answers), counts(p.settled))
	for _, answer := range slices.Sorted(maps.Keys(p.messages)) {
		text += "\n    " + answer + ": " + p.messages[answer]
	}
	return text
}

func counts(answers map[string]int) string {
	var parts []string
	for _, answer := range slices.Sorted(maps.Keys(answers)) {
		parts = append(parts, fmt.Sprintf("%d %s", answers[answer], answer))
	}
	return strings.Join(parts, ", ")
}

// Why there was no answer.
const (
	lost              = "no answer: connection lost"
	connectionRefused = "no answer: connection refused"
	clientsTimeout    = "no answer: the client's timeout"
)

// nameOf is the code and reason of an answer, or why there was none.
func nameOf(err error) string {
	var status apierrors.APIStatus
	var timeout net.Error
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &status):
		return fmt.Sprintf("%d %s", status.Status().Code, status.Status().Reason)
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return clientsTimeout
	case errors.Is(err, syscall.ECONNREFUSED):
		return connectionRefused
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF),
		strings.Contains(err.Error(), "connection lost"), strings.Contains(err.Error(), "GOAWAY"):
		return lost
	}
	return "no answer: " + err.Error()
}
