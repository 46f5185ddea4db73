package metrics

import (
	"k8s.io/component-base/metrics"

	"github.com/portolan-dev/portolan/pkg/allocation"
	"github.com/portolan-dev/portolan/pkg/claims"
	"github.com/portolan-dev/portolan/pkg/txn"
)

// writes count what becomes of writes and of the values they claim.
type writes struct {
	addresses allocations
	ports     allocations
	// durations are of addresses only, as upstream.
	durations    *metrics.HistogramVec
	attempts     *metrics.Histogram
	transactions *metrics.CounterVec
	operations   *metrics.Histogram
}

// allocations are the counters that addresses and ports both have.
type allocations struct {
	total, errors *metrics.CounterVec
	lost          *metrics.Counter
}

func newAllocations(subsystem, values string, labels ...string) allocations {
	labels = append(labels, "scope")
	return allocations{
		total: metrics.NewCounterVec(&metrics.CounterOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "allocation_total", StabilityLevel: metrics.BETA,
			Help: "Number of " + values + " that were claimed for Services, by who chose them: the client (static) or the server (dynamic)",
		}, labels),
		errors: metrics.NewCounterVec(&metrics.CounterOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "allocation_errors_total", StabilityLevel: metrics.BETA,
			Help: "Number of " + values + " that requests were refused: taken or outside every range (static), or none left (dynamic)",
		}, labels),
		lost: metrics.NewCounter(&metrics.CounterOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "lost_picks_total", StabilityLevel: metrics.ALPHA,
			Help: "Number of " + values + " that were picked for a request and had to be picked again: somebody else was quicker, or their range went",
		}),
	}
}

func newWrites() writes {
	return writes{
		addresses: newAllocations(addressesSystem, "cluster IPs", "cidr"),
		ports:     newAllocations(portsSystem, "node ports"),
		durations: metrics.NewHistogramVec(&metrics.HistogramOpts{
			Namespace: namespace, Subsystem: addressesSystem, Name: "allocation_duration_seconds", StabilityLevel: metrics.BETA,
			Help:    "Seconds that the write took which claimed a cluster IP, all its attempts together",
			Buckets: append([]float64{.0005, .001, .0025}, metrics.DefBuckets...),
		}, []string{"cidr"}),
		attempts: metrics.NewHistogram(&metrics.HistogramOpts{
			Namespace: namespace, Name: "service_write_attempts", StabilityLevel: metrics.ALPHA,
			Help:    "How often a write of a Service was tried until it was through or given up",
			Buckets: []float64{1, 2, 3, 4, 6, 8, 16},
		}),
		transactions: metrics.NewCounterVec(&metrics.CounterOpts{
			Namespace: namespace, Name: "transactions_total", StabilityLevel: metrics.ALPHA,
			Help: "Number of transactions of Services, and of changes of ranges, sent to etcd, by outcome: " +
				"committed, object_conflict, claim_conflict (a claim, a range or what goes with a Service), error (etcd refused to run it), full (etcd has no space), unknown (no answer)",
		}, []string{"outcome"}),
		operations: metrics.NewHistogram(&metrics.HistogramOpts{
			Namespace: namespace, Name: "transaction_operations", StabilityLevel: metrics.ALPHA,
			Help:    "Operations in a transaction, as etcd's --max-txn-ops counts them",
			Buckets: metrics.ExponentialBuckets(1, 2, 13),
		}),
	}
}

func (w *writes) all() []metrics.Registerable {
	return []metrics.Registerable{
		w.addresses.total, w.addresses.errors, w.addresses.lost, w.ports.total, w.ports.errors, w.ports.lost,
		w.durations, w.attempts, w.transactions, w.operations,
	}
}

// zero makes the series that are known beforehand, so that the first event is
// an increase.
func (w *writes) zero() {
	for _, scope := range []claims.Scope{claims.Static, claims.Dynamic} {
		w.ports.total.WithLabelValues(string(scope))
		w.ports.errors.WithLabelValues(string(scope))
	}
	for _, result := range []txn.Result{
		txn.ResultCommitted, txn.ResultObjectConflict, txn.ResultClaimConflict, txn.ResultError, txn.ResultFull, txn.ResultUnknown,
	} {
		w.transactions.WithLabelValues(string(result))
	}
}

var _ claims.Observer = &Metrics{}

// Allocated implements claims.Observer.
func (m *Metrics) Allocated(a claims.Allocation) {
	m.lags.committed(a.Value.Class, a.Revision)
	if a.Value.Class == allocation.Port {
		m.ports.total.WithLabelValues(string(a.Scope)).Inc()
		return
	}
	m.addresses.total.WithLabelValues(a.Block, string(a.Scope)).Inc()
	m.durations.WithLabelValues(a.Block).Observe(a.Took.Seconds())
}

// Failed implements claims.Observer.
func (m *Metrics) Failed(f claims.Failure) {
	if f.Class == allocation.Port {
		m.ports.errors.WithLabelValues(string(f.Scope)).Inc()
		return
	}
	m.addresses.errors.WithLabelValues(f.Block, string(f.Scope)).Inc()
}

// Lost implements claims.Observer.
func (m *Metrics) Lost(class allocation.Class) {
	if class == allocation.Port {
		m.ports.lost.Inc()
		return
	}
	m.addresses.lost.Inc()
}

// Wrote implements claims.Observer.
func (m *Metrics) Wrote(attempts int) { m.attempts.Observe(float64(attempts)) }

// Told implements claims.Observer.
func (m *Metrics) Told(class allocation.Class, revision int64) { m.lags.told(class, revision) }

// Transaction is a txn.Observer.
func (m *Metrics) Transaction(result txn.Result, operations int) {
	m.transactions.WithLabelValues(string(result)).Inc()
	m.operations.Observe(float64(operations))
}
