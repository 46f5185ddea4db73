package conformance

import (
	"net"
	"testing"

	"github.com/portolan-dev/portolan/pkg/server/options"
	"github.com/portolan-dev/portolan/test/framework"
)

// TestPortolan tests a Portolan without a cluster, with its defaults.
func TestPortolan(t *testing.T) {
	etcd := framework.StartEtcd(t)
	portolan := framework.StartAll(t, func(o *options.Options) {
		framework.On(etcd)(o)
		o.ClusterIPRanges = []string{range4, range6}
		o.Run.AdvertiseAddress = net.ParseIP(advertised)
	})
	t.Cleanup(func() { framework.Verify(t, etcd.Client) })
	run(t, server{portolan.Config, etcd.Client, false})
}
