package metrics

import (
	"time"

	"k8s.io/component-base/metrics"

	"github.com/portolan-dev/portolan/pkg/controllers/mirror"
)

const mirrorSystem = "mirror"

// mirrorCollector exports what the mirror of a cluster's Services does.
type mirrorCollector struct {
	metrics.BaseStableCollector
	status                          *mirror.Status
	running, lag, conflicts, writes *metrics.Desc
}

// NewMirrorCollector makes the collector of a process's mirror. The process that runs the
// controllers mirrors; all figures of the others are 0.
func NewMirrorCollector(status *mirror.Status) metrics.StableCollector {
	desc := func(name, help string, labels ...string) *metrics.Desc {
		return metrics.NewDesc(metrics.BuildFQName(namespace, mirrorSystem, name), help, labels, nil, metrics.ALPHA, "")
	}
	return &mirrorCollector{
		status:  status,
		running: desc("running", "1 if this process mirrors the cluster's Services, 0 if another leads or the cluster's can't be read"),
		lag:     desc("lag_seconds", "How long the oldest change that the mirror has seen and not dealt with has waited; 0 if none waits"),
		conflicts: desc("conflicts", "Objects of the cluster that are not mirrored because Portolan's own object has the name (reason name), "+
			"or another Service holds an address or a port (reason value)", "resource", "reason"),
		writes: desc("writes_total", "Copies of the cluster's objects that this process wrote (put) or deleted (delete)", "resource", "verb"),
	}
}

// DescribeWithStability implements metrics.StableCollector.
func (c *mirrorCollector) DescribeWithStability(ch chan<- *metrics.Desc) {
	ch <- c.running
	ch <- c.lag
	ch <- c.conflicts
	ch <- c.writes
}

// CollectWithStability implements metrics.StableCollector.
func (c *mirrorCollector) CollectWithStability(ch chan<- metrics.Metric) {
	running := 0.0
	if c.status.Running() {
		running = 1
	}
	ch <- metrics.NewLazyConstMetric(c.running, metrics.GaugeValue, running)
	ch <- metrics.NewLazyConstMetric(c.lag, metrics.GaugeValue, c.status.Lag(time.Now()).Seconds())
	for count, n := range c.status.Conflicts() {
		ch <- metrics.NewLazyConstMetric(c.conflicts, metrics.GaugeValue, float64(n), count.Resource, count.What)
	}
	for count, n := range c.status.Writes() {
		ch <- metrics.NewLazyConstMetric(c.writes, metrics.CounterValue, float64(n), count.Resource, count.What)
	}
}
