package metrics

import (
	"k8s.io/component-base/metrics"

	"github.com/portolan-dev/portolan/pkg/controllers"
)

const controllersSystem = "controllers"

// leaderCollector exports which process runs the controllers.
type leaderCollector struct {
	metrics.BaseStableCollector
	leadership             *controllers.Leadership
	leading, silent, lease *metrics.Desc
}

// NewLeaderCollector makes the collector of a process's knowledge of the leader of the
// controllers.
func NewLeaderCollector(leadership *controllers.Leadership) metrics.StableCollector {
	desc := func(name, help string, labels ...string) *metrics.Desc {
		return metrics.NewDesc(metrics.BuildFQName(namespace, controllersSystem, name), help, labels, nil, metrics.ALPHA, "")
	}
	return &leaderCollector{
		leadership: leadership,
		leading:    desc("leading", "1 if this process runs the controllers, 0 otherwise"),
		silent: desc("leader_silent_seconds",
			"Seconds since this process last saw the leader of the controllers renew its lease; the label is empty if no process has it", "holder"),
		lease: desc("leader_lease_seconds",
			"For how many seconds the lease stays the leader's without a renewal, as the leader claims; 0 without an election", "holder"),
	}
}

// DescribeWithStability implements metrics.StableCollector.
func (c *leaderCollector) DescribeWithStability(ch chan<- *metrics.Desc) {
	ch <- c.leading
	ch <- c.silent
	ch <- c.lease
}

// CollectWithStability implements metrics.StableCollector.
func (c *leaderCollector) CollectWithStability(ch chan<- metrics.Metric) {
	leader, leading := c.leadership.Leader(), 0.0
	if leader.Here {
		leading = 1
	}
	ch <- metrics.NewLazyConstMetric(c.leading, metrics.GaugeValue, leading)
	ch <- metrics.NewLazyConstMetric(c.silent, metrics.GaugeValue, leader.Silent.Seconds(), leader.Identity)
	ch <- metrics.NewLazyConstMetric(c.lease, metrics.GaugeValue, leader.Lease.Seconds(), leader.Identity)
}
