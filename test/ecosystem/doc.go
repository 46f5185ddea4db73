// Package ecosystem is the family of tests with the programs that are used
// together with Portolan. None of them is modified.
//
//	browser      Chromium, with portolan ui
//	certmanager  what cert-manager is given, against its own types
//	dns          CoreDNS
//	gatewayapi   a controller of Gateway API, made with controller-runtime
//	helm         Helm
//	ingress      Traefik
//	kubectl      kubectl, and the commands on the pages of the documentation
//	kubeproxy    kube-proxy
//	python       the Python client of Kubernetes
//
// The tests of browser, dns, ingress, kubeproxy and python are tagged e2e. Modules of their own
// keep the dependencies of browser, certmanager and gatewayapi out of the server's.
package ecosystem
