package metrics

import (
	"k8s.io/component-base/metrics"

	"github.com/portolan-dev/portolan/pkg/etcd/quota"
)

// Store reports how full an embedded etcd is.
type Store interface {
	Usage() quota.Usage
	Quota() int64
	Rejected() uint64
}

// storeCollector exports the sizes of a server's embedded etcd under etcd's names. etcd's
// own series belong to the process, and there are hundreds of them.
type storeCollector struct {
	metrics.BaseStableCollector
	store                        Store
	size, inUse, quota, rejected *metrics.Desc
}

var _ metrics.StableCollector = &storeCollector{}

// ExportStore adds the sizes of an embedded etcd to the metrics.
func (m *Metrics) ExportStore(store Store) {
	desc := func(name, help string) *metrics.Desc {
		return metrics.NewDesc(name, help, nil, nil, metrics.ALPHA, "")
	}
	m.registry.CustomMustRegister(&storeCollector{
		store: store,
		size:  desc("etcd_mvcc_db_total_size_in_bytes", "Size of the database file of the embedded etcd"),
		inUse: desc("etcd_mvcc_db_total_size_in_use_in_bytes", "Bytes of the database file of the embedded etcd that are not free pages"),
		quota: desc("etcd_server_quota_backend_bytes", "The server's --embedded-etcd-quota-bytes, which limits the bytes in use"),
		rejected: desc(metrics.BuildFQName(namespace, "store", "rejected_writes_total"),
			"Number of writes that were rejected because the embedded etcd had no room for them"),
	})
}

// DescribeWithStability implements metrics.StableCollector.
func (c *storeCollector) DescribeWithStability(ch chan<- *metrics.Desc) {
	for _, desc := range []*metrics.Desc{c.size, c.inUse, c.quota, c.rejected} {
		ch <- desc
	}
}

// CollectWithStability implements metrics.StableCollector.
func (c *storeCollector) CollectWithStability(ch chan<- metrics.Metric) {
	usage := c.store.Usage()
	ch <- metrics.NewLazyConstMetric(c.size, metrics.GaugeValue, float64(usage.Size))
	ch <- metrics.NewLazyConstMetric(c.inUse, metrics.GaugeValue, float64(usage.InUse))
	ch <- metrics.NewLazyConstMetric(c.quota, metrics.GaugeValue, float64(c.store.Quota()))
	ch <- metrics.NewLazyConstMetric(c.rejected, metrics.CounterValue, float64(c.store.Rejected()))
}
