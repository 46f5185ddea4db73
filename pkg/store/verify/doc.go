// Package verify reads a whole store at one etcd revision and proves that its
// claims are right: what a Service holds is claimed for it, every claim that
// names a holder is held by that holder, and nothing is held twice. Portolan
// has no repair loop because a Service and its claims are one transaction; this
// is how that is checked rather than believed.
//
// Check is pure. Read is where the contents come from. What is not proved: that
// a claim's other fields (labels, managed fields) are as Portolan writes them,
// and anything about Endpoints and EndpointSlices, which claim nothing.
package verify
