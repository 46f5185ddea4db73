// Package conformance asks a server, at the paths of kube-apiserver, for what
// Kubernetes' own conformance tests ask of an API server alone: of Services,
// Endpoints, EndpointSlices, ServiceCIDRs and IPAddresses, and of the kinds that
// are served beside them. Their sources are test/e2e of Kubernetes 1.36; the words
// are our own.
//
// Each behavior is a function that is run for a Portolan without a cluster, and,
// with the tag e2e, for a kube-apiserver 1.36 with kube-controller-manager: that
// says whether a test asks what upstream does. Where the two differ on purpose
// (package test/integration/defects has a list) nothing is asked here.
//
// What needs a kubelet or a network is not here. What kube-proxy makes of Services
// is in test/ecosystem/kubeproxy, and names are in test/ecosystem/dns.
package conformance
