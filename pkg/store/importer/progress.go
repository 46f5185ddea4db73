package importer

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"k8s.io/component-base/term"
)

const (
	barWidth = 30
	// barPeriod and linePeriod are the times between two updates of a progress bar, and
	// between two lines of progress. What takes less time shows none.
	barPeriod  = 200 * time.Millisecond
	linePeriod = 5 * time.Second
)

// progress shows how far a loop is: a bar on a terminal, lines otherwise. Several
// goroutines may add to it.
type progress struct {
	out     io.Writer
	verb    string
	total   int
	period  time.Duration
	started time.Time
	bar     bool

	mu    sync.Mutex
	done  int
	next  time.Time
	shown bool
}

// newProgress returns the progress of a loop over total objects. The verb is past tense. A
// nil writer shows nothing.
func newProgress(out io.Writer, verb string, total int) *progress {
	if out == nil {
		out = io.Discard
	}
	_, _, err := term.TerminalSize(out)
	p := &progress{out: out, verb: verb, total: total, bar: err == nil, started: time.Now(), period: linePeriod}
	if p.bar {
		p.period = barPeriod
	}
	p.next = p.started.Add(p.period)
	return p
}

func (p *progress) add(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done += n
	if now := time.Now(); now.After(p.next) {
		p.next = now.Add(p.period)
		p.print(now)
	}
}

// print shows the state. The caller holds the lock.
func (p *progress) print(now time.Time) {
	p.shown = true
	text := fmt.Sprintf("%s %d of %d objects", p.verb, p.done, p.total)
	if p.done > 0 && p.done < p.total {
		left := time.Duration(float64(now.Sub(p.started)) * float64(p.total-p.done) / float64(p.done))
		text += fmt.Sprintf(", %v left", left.Round(time.Second))
	}
	if !p.bar {
		_, _ = fmt.Fprintln(p.out, text)
		return
	}
	filled := barWidth * p.done / max(p.total, 1)
	// The escape sequence erases the rest of an earlier, longer line.
	_, _ = fmt.Fprintf(p.out, "\r[%s%s] %s\x1b[K", strings.Repeat("=", filled), strings.Repeat(" ", barWidth-filled), text)
}

// end shows the last state of a bar and ends its line.
func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar && p.shown {
		p.print(time.Now())
		_, _ = fmt.Fprintln(p.out)
	}
}
