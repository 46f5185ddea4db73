// Package loadbalancer reads what a Service asks of load-balancer pools: addresses, a pool,
// and a key under which it shares its addresses. It understands the annotations of MetalLB
// and of Cilium's LB IPAM, so that their manifests work unchanged:
//
//	asks for       field or annotation
//	addresses      spec.loadBalancerIP, portolan.dev/load-balancer-ips, metallb.io/loadBalancerIPs,
//	               metallb.universe.tf/loadBalancerIPs, lbipam.cilium.io/ips, io.cilium/lb-ipam-ips
//	a pool         portolan.dev/load-balancer-pool, metallb.io/address-pool, metallb.universe.tf/address-pool
//	a sharing key  portolan.dev/load-balancer-sharing-key, metallb.io/allow-shared-ip,
//	               metallb.universe.tf/allow-shared-ip, lbipam.cilium.io/sharing-key, io.cilium/lb-ipam-sharing-key
//	namespaces     lbipam.cilium.io/sharing-cross-namespace, io.cilium/lb-ipam-sharing-cross-namespace
//
// A Service can ask the same in several ways. If two of them differ, that is an error.
//
// The package is pure. It does not know which pools exist or what is free.
package loadbalancer
