// Package verify reads a whole store at one etcd revision and proves that its
// claims are right: every value that a Service holds is claimed for it, every
// claim's holder holds the value, and no value is held twice. Portolan has no
// repair loop, because it writes a Service and its claims in one transaction. This
// package checks that this works.
//
// Read reads the contents of a store, and Check, which is pure, checks them. Check
// ignores a claim's other fields (labels, managed fields), and Endpoints and
// EndpointSlices, which claim nothing.
package verify
