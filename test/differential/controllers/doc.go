// Package controllers compares the Endpoints and EndpointSlices that Portolan's
// controllers make with those of kube-controller-manager. The Pods and Nodes are
// in a kube-apiserver, beside which kube-controller-manager runs as well.
//
// All tests are tagged e2e.
package controllers
