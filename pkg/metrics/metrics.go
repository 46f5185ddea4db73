// Package metrics has the metrics of one server and serves them at /metrics, beside those
// of k8s.io/apiserver.
//
// The metrics of k8s.io/apiserver belong to the process: its packages register them in one
// global registry. The metrics here have a registry per server, so that servers in one
// process don't mix their figures.
//
// The usage of ranges is read from the allocation index whenever metrics are collected.
// Everything else is counted where it happens, in packages txn and claims, which know this
// package only by the observers that they define.
//
// Names, labels and meaning are those of kube-apiserver's allocators
// (pkg/registry/core/service/ipallocator and portallocator), with portolan_ instead of
// kube_apiserver_. These are BETA; metrics without a counterpart there are ALPHA. In
// contrast to kube-apiserver, a counter counts each value once and not each attempt, picks
// that another write claimed first have a counter of their own, and a dry run counts
// nothing.
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
	// loadBalancersSystem has no counterpart in upstream's metrics.
	loadBalancersSystem = "loadbalancerip_allocator"
	indexSystem         = "allocation_index"
)

// Metrics are the metrics of one server.
type Metrics struct {
	registry metrics.KubeRegistry
	writes
	lags *lags
}

// New makes the metrics of a server with the given index.
func New(index *allocation.Index) *Metrics {
	m := &Metrics{registry: metrics.NewKubeRegistry(), writes: newWrites(), lags: newLags(time.Now)}
	m.registry.MustRegister(m.writes.all()...)
	m.registry.MustRegister(m.lags.seconds)
	m.writes.zero()
	m.registry.CustomMustRegister(newIndexCollector(index, m.lags))
	return m
}

// Register adds a collector of another package.
func (m *Metrics) Register(collector metrics.StableCollector) {
	m.registry.CustomMustRegister(collector)
}

// path is the generic server's path, and Prometheus' default.
const path = "/metrics"

// Install serves the metrics together with the process's metrics. It replaces the generic
// server's handler, which serves only the latter. If resettable is true, DELETE resets all
// metrics with labels, as the generic server's handler does.
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
