package server

import (
	"context"
	"fmt"
	"net"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/server/filters"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/portolan-dev/portolan/pkg/registry/serviceproxy"
	"github.com/portolan-dev/portolan/pkg/server/options"
)

// applyServiceProxy decides which addresses the service proxy connects to, and exempts
// its requests from timeouts. It comes after applyCluster.
func (c *Config) applyServiceProxy(o *options.Options) error {
	// These are the long-running requests of kube-apiserver, as far as they are served here.
	c.Generic.LongRunningFunc = snapshotLongRunning(filters.BasicLongRunningRequestCheck(sets.NewString("watch"), sets.NewString("proxy")))

	allowed, err := o.ServiceProxyNetworks()
	if err != nil {
		return err
	}
	public := c.Generic.PublicAddress
	c.Extra.ServiceProxy = serviceproxy.AddressPolicy{
		Allowed:        allowed,
		LocalAddresses: func() ([]netip.Addr, error) { return localAddresses(public) },
	}
	if !o.InCluster() {
		return nil
	}
	client, err := corev1client.NewForConfig(c.Generic.ClientConfig)
	if err != nil {
		return fmt.Errorf("client of the cluster's Pods: %w", err)
	}
	c.Extra.ServiceProxy.Pods = func(ctx context.Context, namespace, name string) (*corev1.Pod, error) {
		return client.Pods(namespace).Get(ctx, name, metav1.GetOptions{})
	}
	return nil
}

// localAddresses returns the current addresses of this machine, and the advertised one.
func localAddresses(public net.IP) ([]netip.Addr, error) {
	interfaces, err := net.InterfaceAddrs()
	if err != nil {
		return nil, err
	}
	var local []netip.Addr
	add := func(ip net.IP) {
		if address, ok := netip.AddrFromSlice(ip); ok {
			local = append(local, address.Unmap())
		}
	}
	for _, network := range interfaces {
		if network, ok := network.(*net.IPNet); ok {
			add(network.IP)
		}
	}
	add(public)
	return local, nil
}
