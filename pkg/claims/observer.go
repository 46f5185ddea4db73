package claims

import (
	"time"

	"github.com/portolan-dev/portolan/pkg/allocation"
)

// Scope says who chose a value, in the words of upstream's metrics.
type Scope string

const (
	// Static is the scope of a value that the client named.
	Static Scope = "static"
	// Dynamic is the scope of a value that was picked for the request.
	Dynamic Scope = "dynamic"
)

// Allocation is a claim that was committed.
type Allocation struct {
	Value allocation.Value
	// Block that the value lies in; see allocation.Index.BlockOf.
	Block string
	Scope Scope
	// Revision of the transaction.
	Revision int64
	// Took is how long the write took, all its attempts together.
	Took time.Duration
}

// Failure is a value that a request can't have and is refused for: one that it
// names and that is taken or lies outside every range, or one that is to be
// picked where nothing is left.
type Failure struct {
	Class allocation.Class
	// Block that the value lies in, or the only one that it could have been
	// picked from; empty if there is no one block.
	Block string
	Scope Scope
}

// Observer is told what becomes of claims and writes, for metrics. Failures are
// told of when the request ends, once, however many attempts it made.
// Dry runs are not told of. An observer is called on the way of requests and of
// the watch, by several at once, and returns at once.
type Observer interface {
	Allocated(Allocation)
	Failed(Failure)
	// Lost tells of a pick that had to be given up for another.
	Lost(allocation.Class)
	// Wrote tells how many attempts a write of a Service made.
	Wrote(attempts int)
	// Told tells that the watch on claims of a class has come to a revision.
	Told(class allocation.Class, revision int64)
}

// silent observes nothing.
type silent struct{}

func (silent) Allocated(Allocation)         {}
func (silent) Failed(Failure)               {}
func (silent) Lost(allocation.Class)        {}
func (silent) Wrote(int)                    {}
func (silent) Told(allocation.Class, int64) {}

// observe is the ledger's observer, or a silent one.
func (l *Ledger) observe() Observer {
	if l.observer == nil {
		return silent{}
	}
	return l.observer
}
