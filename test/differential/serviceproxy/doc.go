// Package serviceproxy tests the way through a Service with the real kubectl and
// its proxy, on a server without a cluster. Built with the tag e2e, it compares
// what comes back with a kube-apiserver's.
package serviceproxy
