// Package metrics holds the metrics of one server and serves them at /metrics,
// beside those of k8s.io/apiserver.
//
// Those of k8s.io/apiserver belong to the process: its packages register them in
// one global registry. These are the server's own, in a registry of its own, so
// that servers in one process don't mix their numbers.
//
// How full ranges are is read from the allocation index whenever somebody asks.
// The rest is counted where it arises, in packages txn and claims, which know
// this one only by the observers that they define.
//
// Names, labels and meaning are those of kube-apiserver's allocators
// (pkg/registry/core/service/ipallocator and portallocator), with portolan_ in
// the place of kube_apiserver_; these are BETA. What has no counterpart there is
// ALPHA. Unlike there, a counter counts each value once and not each attempt at
// it, values that were picked and lost to somebody else have a counter of their
// own, and a dry run counts nothing.
package metrics

import (
	"io"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apiserver/pkg/server/mux"
	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"

	"github.com/portolan-dev/portolan/pkg/allocation"
)

const (
	namespace       = "portolan"
	addressesSystem = "clusterip_allocator"
	portsSystem     = "nodeport_allocator"
	indexSystem     = "allocation_index"
)

// Metrics are those of one server.
type Metrics struct {
	registry metrics.KubeRegistry
	writes
	lags *lags
}

// New makes the metrics of a server that has the given index.
func New(index *allocation.Index) *Metrics {
	m := &Metrics{registry: metrics.NewKubeRegistry(), writes: newWrites(), lags: newLags(time.Now)}
	m.registry.MustRegister(m.writes.all()...)
	m.registry.MustRegister(m.lags.seconds)
	m.writes.zero()
	m.registry.CustomMustRegister(newIndexCollector(index, m.lags))
	return m
}

// Register adds what another package collects.
func (m *Metrics) Register(collector metrics.StableCollector) {
	m.registry.CustomMustRegister(collector)
}

// path is where the generic server has its metrics, and where Prometheus looks
// by default.
const path = "/metrics"

// Install serves the metrics together with the process's in the place of the
// generic server's handler, which has only those. Where resettable is true,
// DELETE forgets the series of all that have labels, as with the generic
// server's.
func (m *Metrics) Install(mux *mux.PathRecorderMux, resettable bool) {
	all := metrics.HandlerFor(prometheus.Gatherers{legacyregistry.DefaultGatherer, m.registry}, metrics.HandlerOpts{})
	mux.Unregister(path)
	mux.HandleFunc(path, func(w http.ResponseWriter, req *http.Request) {
		if !resettable || req.Method != http.MethodDelete {
			all.ServeHTTP(w, req)
			return
		}
		legacyregistry.Reset()
		m.registry.Reset()
		_, _ = io.WriteString(w, "metrics reset\n")
	})
}
