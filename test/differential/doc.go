// Package differential is the family of tests that compare Portolan with a
// kube-apiserver.
//
//	access        what users may do, and how the server answers about it
//	conformance   the behavior that Kubernetes' conformance tests require
//	controllers   Endpoints and EndpointSlices beside kube-controller-manager's
//	guides        the commands of popular guides to Services
//	replay        thousands of generated requests, answer by answer
//	serviceproxy  requests through a Service
//
// The comparisons are tagged e2e. Without the tag, conformance and serviceproxy
// test Portolan alone, with the same expectations.
package differential
