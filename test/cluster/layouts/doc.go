// Package layouts runs the controllers of a cluster with a gateway beside it in both
// layouts: kube-controller-manager talks to kube-apiserver, or to the gateway. It proves
// what the table of artifacts/docs/gateway-layouts.md says.
package layouts
