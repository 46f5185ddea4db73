// Package ecosystem is the family of tests with the programs that are used
// together with Portolan. None of them is modified.
//
//	certmanager  what cert-manager is given, against its own types
//	dns          CoreDNS
//	ingress      Traefik
//	kubectl      kubectl, and the commands on the pages of the documentation
//	kubeproxy    kube-proxy
//
// The tests of dns, ingress and kubeproxy are tagged e2e. A module of its own
// keeps cert-manager's dependencies out of the server's.
package ecosystem
