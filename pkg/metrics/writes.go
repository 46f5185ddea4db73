package metrics

import (
	"k8s.io/component-base/metrics"

	"github.com/portolan-dev/portolan/pkg/allocation"
	"github.com/portolan-dev/portolan/pkg/claims"
	"github.com/portolan-dev/portolan/pkg/requeststate"
	"github.com/portolan-dev/portolan/pkg/txn"
)

// writes are the metrics of writes and of the values that they claim.
type writes struct {
	addresses, ports, loadBalancers *allocations
	// of has the metrics of each class of values.
	of           map[allocation.Class]*allocations
	attempts     *metrics.Histogram
	transactions *metrics.CounterVec
	operations   *metrics.Histogram
}

// allocations are the metrics of a kind of values.
type allocations struct {
	total, errors *metrics.CounterVec
	lost          *metrics.Counter
	// durations are nil for ports, as upstream, and for load-balancer addresses. Where they are not, series have the
	// block as a label.
	durations *metrics.HistogramVec
}

// count adds one to a counter. Its arguments are not a slice, which would be allocated
// for every value.
func (a *allocations) count(counter *metrics.CounterVec, block string, scope requeststate.Scope) {
	if a.durations != nil {
		counter.WithLabelValues(block, string(scope)).Inc()
	} else {
		counter.WithLabelValues(string(scope)).Inc()
	}
}

func newAllocations(subsystem, values string, labels ...string) *allocations {
	labels = append(labels, "scope")
	return &allocations{
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
			Help: "Number of " + values + " that were picked for a request and had to be picked again: another write claimed them first, or their range was removed",
		}),
	}
}

func newWrites() writes {
	addresses, ports := newAllocations(addressesSystem, "cluster IPs", "cidr"), newAllocations(portsSystem, "node ports")
	loadBalancers := newAllocations(loadBalancersSystem, "load-balancer addresses")
	addresses.durations = metrics.NewHistogramVec(&metrics.HistogramOpts{
		Namespace: namespace, Subsystem: addressesSystem, Name: "allocation_duration_seconds", StabilityLevel: metrics.BETA,
		Help:    "Seconds that the write took which claimed a cluster IP, all its attempts together",
		Buckets: append([]float64{.0005, .001, .0025}, metrics.DefBuckets...),
	}, []string{"cidr"})
	return writes{
		addresses:     addresses,
		ports:         ports,
		loadBalancers: loadBalancers,
		of: map[allocation.Class]*allocations{
			allocation.IPv4: addresses, allocation.IPv6: addresses, allocation.Port: ports,
			allocation.LoadBalancerIPv4: loadBalancers, allocation.LoadBalancerIPv6: loadBalancers,
		},
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
		w.loadBalancers.total, w.loadBalancers.errors, w.loadBalancers.lost,
		w.addresses.durations, w.attempts, w.transactions, w.operations,
	}
}

// zero creates the series that are known in advance, so that the first event is an
// increase.
func (w *writes) zero() {
	for _, scope := range []requeststate.Scope{requeststate.Static, requeststate.Dynamic} {
		w.ports.total.WithLabelValues(string(scope))
		w.ports.errors.WithLabelValues(string(scope))
		w.loadBalancers.total.WithLabelValues(string(scope))
		w.loadBalancers.errors.WithLabelValues(string(scope))
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
	of := m.of[a.Value.Class]
	of.count(of.total, a.Block, a.Scope)
	if of.durations != nil {
		of.durations.WithLabelValues(a.Block).Observe(a.Took.Seconds())
	}
}

// Failed implements claims.Observer.
func (m *Metrics) Failed(f requeststate.Failure) {
	of := m.of[f.Class]
	of.count(of.errors, f.Block, f.Scope)
}

// Lost implements claims.Observer.
func (m *Metrics) Lost(class allocation.Class) { m.of[class].lost.Inc() }

// Wrote implements claims.Observer.
func (m *Metrics) Wrote(attempts int) { m.attempts.Observe(float64(attempts)) }

// ObserveRevision implements claims.Observer.
func (m *Metrics) ObserveRevision(class allocation.Class, revision int64) {
	m.lags.observeRevision(class, revision)
}

// Transaction is a txn.Observer.
func (m *Metrics) Transaction(result txn.Result, operations int) {
	m.transactions.WithLabelValues(string(result)).Inc()
	m.operations.Observe(float64(operations))
}
