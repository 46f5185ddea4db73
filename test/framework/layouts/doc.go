// Package layouts starts a cluster with a gateway beside it, for tests: a real
// kube-apiserver, portolan.dev registered in it, and kube-controller-manager, which talks
// to kube-apiserver or to the gateway.
package layouts
