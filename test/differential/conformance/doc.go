// Package conformance tests the behavior that Kubernetes' own conformance tests
// require of an API server alone, at the paths of kube-apiserver: of Services,
// Endpoints, EndpointSlices, ServiceCIDRs and IPAddresses, and of the kinds
// that are served beside them. Their sources are in test/e2e of Kubernetes
// 1.36; the words are our own.
//
// Each behavior is a function that runs against a Portolan without a cluster
// and, with the tag e2e, against a kube-apiserver 1.36 with
// kube-controller-manager. The second run proves that a test requires what
// upstream does. Intended differences are not tested here; package
// test/integration/defects lists them.
//
// Tests that need a kubelet or a network are elsewhere:
// test/ecosystem/kubeproxy tests Services in kube-proxy, and test/ecosystem/dns
// their names.
package conformance
