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

// phase is the answers that clients got during one fault, and until the cluster
// recovered.
type phase struct {
	name    string
	answers map[string]int
	// settled counts the last answers of requests, after retries.
	settled map[string]int
	// messages has an example of each error.
	messages map[string]string
	// longest is the duration of the slowest request.
	longest time.Duration
	// stall is the longest time without a successful write.
	stall    time.Duration
	requests int

	lastWrite time.Time
}

// answers collects the phases of a run. It is safe for concurrent use.
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

// add records the answer to a request, in the phase in which the request began.
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

// settle records the last answer of a request.
func (a *answers) settle(p *phase, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	p.settled[nameOf(err)]++
}

// usual are the answers of a healthy server.
var usual = sets.New("ok", "404 NotFound", "409 AlreadyExists", "409 Conflict", "422 Invalid")

// alike are answers with the same meaning to clients: no replica is available,
// or the outcome of the request is unknown. Which one a client gets depends on
// timing.
var alike = []sets.Set[string]{
	sets.New(lost, connectionRefused),
	sets.New("504 Timeout", "500 ", clientsTimeout),
}

// expectSettled reports requests that still failed after all retries, once all
// clients are done.
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

// expect reports answers that no client should get: kube-apiserver's clients
// got none like them when the same part was broken. A 500 is never right.
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

// unusual returns the sorted answers that are not usual.
func (a *answers) unusual(p *phase) []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return sets.List(sets.KeySet(p.answers).Difference(usual))
}

// text summarizes the answers.
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

// Reasons for no answer.
const (
	lost              = "no answer: connection lost"
	connectionRefused = "no answer: connection refused"
	clientsTimeout    = "no answer: the client's timeout"
)

// nameOf returns the code and reason of an answer, or the reason for none.
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
		strings.Contains(err.Error(), "connection lost"), strings.Contains(err.Error(), "connection force closed"),
		strings.Contains(err.Error(), "GOAWAY"):
		return lost
	}
	return "no answer: " + err.Error()
}
