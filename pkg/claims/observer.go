package claims

import (
	"time"

	"github.com/portolan-dev/portolan/pkg/allocation"
	"github.com/portolan-dev/portolan/pkg/requeststate"
)

// Allocation is a claim that was committed.
type Allocation struct {
	Value allocation.Value
	// Block is the block that an address lies in; see allocation.Index.BlockOf. It is
	// empty for a port.
	Block string
	Scope requeststate.Scope
	// Revision is that of the transaction.
	Revision int64
	// Took is the duration of the write with all its attempts.
	Took time.Duration
}

// Observer receives the results of claims and writes, for metrics. It receives each
// failure once, when the request ends, and nothing of dry runs. Requests and the watch
// call it concurrently. It must not block.
type Observer interface {
	Allocated(Allocation)
	Failed(requeststate.Failure)
	// Lost reports a pick that was replaced by another.
	Lost(allocation.Class)
	// Wrote reports the number of attempts of a write of a Service.
	Wrote(attempts int)
	// ObserveRevision reports the revision that the watch on claims of a class has
	// reached.
	ObserveRevision(class allocation.Class, revision int64)
}

// silent is an Observer that ignores everything.
type silent struct{}

func (silent) Allocated(Allocation)                    {}
func (silent) Failed(requeststate.Failure)             {}
func (silent) Lost(allocation.Class)                   {}
func (silent) Wrote(int)                               {}
func (silent) ObserveRevision(allocation.Class, int64) {}

// observe returns the ledger's observer, or a silent one.
func (l *Ledger) observe() Observer {
	if l.observer == nil {
		return silent{}
	}
	return l.observer
}

// allocated reports the claims that a write committed. picked is true for values that
// had been picked.
func (w *write) allocated(picked map[allocation.Value]bool, revision int64) {
	took := time.Since(w.began)
	for _, value := range w.last.take {
		a := Allocation{Value: value, Scope: requeststate.Static, Revision: revision, Took: took}
		if picked[value] {
			a.Scope = requeststate.Dynamic
		}
		if w.ledger.stored[value.Class].observesBlocks() {
			a.Block = w.ledger.Index.BlockOf(value)
		}
		w.observer.Allocated(a)
	}
}
