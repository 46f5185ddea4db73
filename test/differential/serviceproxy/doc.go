// Package serviceproxy tests requests through a Service, with the real kubectl
// and its proxy, on a server without a cluster. With the tag e2e, it compares
// the answers with those of a kube-apiserver.
package serviceproxy
