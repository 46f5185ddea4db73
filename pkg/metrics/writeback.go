package metrics

import (
	"k8s.io/component-base/metrics"

	"github.com/portolan-dev/portolan/pkg/controllers/writeback"
)

// writeBackCollector exports how many Services are written back to the cluster.
type writeBackCollector struct {
	metrics.BaseStableCollector
	status            *writeback.Status
	copies, conflicts *metrics.Desc
}

// NewWriteBackCollector makes the collector of what a process writes back to the cluster.
func NewWriteBackCollector(status *writeback.Status) metrics.StableCollector {
	desc := func(name, help string) *metrics.Desc {
		return metrics.NewDesc(metrics.BuildFQName(namespace, "write_back", name), help, nil, nil, metrics.ALPHA, "")
	}
	return &writeBackCollector{
		status: status,
		copies: desc("services", "Services that this process keeps in the cluster for kube-apiserver; 0 if another process leads"),
		conflicts: desc("conflicts",
			"Services that kube-apiserver is to connect to and that can't be written to the cluster; the events say why"),
	}
}

// DescribeWithStability implements metrics.StableCollector.
func (c *writeBackCollector) DescribeWithStability(ch chan<- *metrics.Desc) {
	ch <- c.copies
	ch <- c.conflicts
}

// CollectWithStability implements metrics.StableCollector.
func (c *writeBackCollector) CollectWithStability(ch chan<- metrics.Metric) {
	copies, conflicts := c.status.Counts()
	ch <- metrics.NewLazyConstMetric(c.copies, metrics.GaugeValue, float64(copies))
	ch <- metrics.NewLazyConstMetric(c.conflicts, metrics.GaugeValue, float64(conflicts))
}
