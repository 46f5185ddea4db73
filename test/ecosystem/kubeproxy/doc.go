// Package kubeproxy proves that an unmodified kube-proxy serves what a Portolan
// without a cluster has, as artifacts/examples/kube-proxy says, and what a gateway to a
// cluster has: it writes nftables, and clients reach the backends of Services over TCP
// and UDP.
//
// Everything is in network namespaces that the tests make: the node's, in which
// Portolan and kube-proxy run, that of each Pod, and one outside. None has a route
// out. Their addresses are those set aside for documentation (RFC 5737, RFC 3849).
package kubeproxy
