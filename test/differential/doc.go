// Package differential is the family of tests that compare Portolan with a
// kube-apiserver.
//
//	conformance   the behavior that Kubernetes' conformance tests require
//	controllers   Endpoints and EndpointSlices beside kube-controller-manager's
//	guides        what the guides to Services have people type
//	replay        thousands of generated requests, answer by answer
//	serviceproxy  requests through a Service
//
// The comparisons are tagged e2e. Without the tag, conformance and serviceproxy
// test Portolan alone, with the same expectations.
package differential
