// Package ingress proves that an unmodified Traefik routes requests by the
// Ingresses of a Portolan without a cluster, as artifacts/examples/traefik says.
//
// Traefik, Portolan and the programs behind the Services are in a network
// namespace of the test's own, where a documentation block is the machine's:
// endpoints can't be on loopback.
package ingress
