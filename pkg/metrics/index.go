package metrics

import (
	"math"
	"math/big"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/component-base/metrics"

	"github.com/portolan-dev/portolan/pkg/allocation"
	"github.com/portolan-dev/portolan/pkg/allocation/space"
)

// indexCollector reads the allocation index whenever metrics are collected. Its figures
// are right from the start, and those of a range disappear with it.
type indexCollector struct {
	metrics.BaseStableCollector
	index *allocation.Index
	lags  *lags

	allocatedAddresses, availableAddresses *metrics.Desc
	allocatedPorts, availablePorts         *metrics.Desc
	allocatedBalancers, availableBalancers *metrics.Desc
	revision, awaiting                     *metrics.Desc
}

var _ metrics.StableCollector = &indexCollector{}

func newIndexCollector(index *allocation.Index, lags *lags) *indexCollector {
	desc := func(level metrics.StabilityLevel, subsystem, name, help string, labels ...string) *metrics.Desc {
		return metrics.NewDesc(metrics.BuildFQName(namespace, subsystem, name), help, labels, nil, level, "")
	}
	const ofRanges = "; ports that two NodePortRanges both have are in the figures of both"
	const ofPools = "; addresses that two LoadBalancerPools both have are in the figures of both"
	return &indexCollector{
		index: index,
		lags:  lags,
		allocatedAddresses: desc(metrics.BETA, addressesSystem, "allocated_ips",
			"Number of addresses of a ServiceCIDR's CIDR that are claimed, by Services or as reservations", "cidr"),
		availableAddresses: desc(metrics.BETA, addressesSystem, "available_ips",
			"Number of addresses of a ServiceCIDR's CIDR that are not claimed", "cidr"),
		allocatedPorts: desc(metrics.BETA, portsSystem, "allocated_ports",
			"Number of ports of a NodePortRange that are claimed, by Services or as reservations"+ofRanges, "range", "auto_assign"),
		availablePorts: desc(metrics.BETA, portsSystem, "available_ports",
			"Number of ports of a NodePortRange that are not claimed"+ofRanges, "range", "auto_assign"),
		allocatedBalancers: desc(metrics.ALPHA, loadBalancersSystem, "allocated_ips",
			"Number of addresses of a LoadBalancerPool that are claimed, by Services or as reservations"+ofPools, "pool", "family"),
		availableBalancers: desc(metrics.ALPHA, loadBalancersSystem, "available_ips",
			"Number of addresses of a LoadBalancerPool that are not claimed"+ofPools, "pool", "family"),
		revision: desc(metrics.ALPHA, indexSystem, "revision",
			"The etcd revision of the last event of a claim that the watch delivered to the allocation index", "class"),
		awaiting: desc(metrics.ALPHA, indexSystem, "awaiting_seconds",
			"Seconds for which a commit of this replica, a sample of all commits, has waited for its event on the watch; 0 if none waits", "class"),
	}
}

// DescribeWithStability implements metrics.StableCollector.
func (c *indexCollector) DescribeWithStability(ch chan<- *metrics.Desc) {
	for _, desc := range []*metrics.Desc{
		c.allocatedAddresses, c.availableAddresses, c.allocatedPorts, c.availablePorts, c.allocatedBalancers, c.availableBalancers,
		c.revision, c.awaiting,
	} {
		ch <- desc
	}
}

// CollectWithStability implements metrics.StableCollector.
func (c *indexCollector) CollectWithStability(ch chan<- metrics.Metric) {
	gauge := func(desc *metrics.Desc, value float64, labels ...string) {
		ch <- metrics.NewLazyConstMetric(desc, metrics.GaugeValue, value, labels...)
	}
	c.collectAddresses(allocation.IPv4, gauge)
	c.collectAddresses(allocation.IPv6, gauge)
	c.collectPorts(gauge)
	c.collectBalancers(allocation.LoadBalancerIPv4, corev1.IPv4Protocol, gauge)
	c.collectBalancers(allocation.LoadBalancerIPv6, corev1.IPv6Protocol, gauge)
	for _, class := range allocation.Classes() {
		gauge(c.revision, float64(c.index.Revision(class)), class.String())
		gauge(c.awaiting, c.lags.awaiting(class).Seconds(), class.String())
	}
}

// collectAddresses collects each CIDR once, even if several ServiceCIDRs have it.
func (c *indexCollector) collectAddresses(class allocation.Class, gauge func(*metrics.Desc, float64, ...string)) {
	collected := map[string]bool{}
	for _, r := range c.index.Ranges(class) {
		for _, usage := range c.index.Usage(class, r.Name) {
			if collected[usage.Text] {
				continue
			}
			collected[usage.Text] = true
			gauge(c.allocatedAddresses, float64(usage.Allocated), usage.Text)
			gauge(c.availableAddresses, availableIn(usage), usage.Text)
		}
	}
}

// availableIn is exact even for a block with more addresses than fit into the figures.
func availableIn(usage allocation.BlockUsage) float64 {
	if count := space.PrefixCount(usage.Text); usage.Capacity == math.MaxUint64 && count != nil {
		capacity, _ := new(big.Float).SetInt(count).Float64()
		return capacity - float64(usage.Allocated)
	}
	return float64(usage.Free)
}

// collectPorts collects the figures in the status of each NodePortRange.
func (c *indexCollector) collectPorts(gauge func(*metrics.Desc, float64, ...string)) {
	for _, r := range c.index.Ranges(allocation.Port) {
		var allocated, free uint64
		for _, usage := range c.index.Usage(allocation.Port, r.Name) {
			allocated += usage.Allocated
			free += usage.Free
		}
		automatic := strconv.FormatBool(r.Mode == allocation.Automatic)
		gauge(c.allocatedPorts, float64(allocated), r.Name, automatic)
		gauge(c.availablePorts, float64(free), r.Name, automatic)
	}
}

// collectBalancers collects the figures in the status of each LoadBalancerPool, of one
// family.
func (c *indexCollector) collectBalancers(class allocation.Class, family corev1.IPFamily, gauge func(*metrics.Desc, float64, ...string)) {
	for _, r := range c.index.Ranges(class) {
		if len(r.Blocks) == 0 {
			continue
		}
		capacity := new(big.Int)
		for _, block := range r.Blocks {
			capacity.Add(capacity, block.Span.Count())
		}
		var allocated uint64
		for _, usage := range c.index.Usage(class, r.Name) {
			allocated += usage.Allocated
		}
		free, _ := new(big.Float).SetInt(capacity).Float64()
		gauge(c.allocatedBalancers, float64(allocated), r.Name, string(family))
		gauge(c.availableBalancers, free-float64(allocated), r.Name, string(family))
	}
}
