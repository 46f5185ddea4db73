// Package importer fills an empty store with the Services of a Kubernetes cluster, and with
// their claims, ranges, Endpoints and EndpointSlices.
//
//	FromSnapshot ─┐
//	              ├─→ Contents ─→ NewPlan ─→ Plan ─→ Writer ─→ store
//	FromCluster ──┘                 │
//	                                └─→ Problems
//
// A plan imports everything or names the problems. kube-apiserver writes a
// Service and its claims one after the other, so its claims can disagree with its Services:
// two Services hold one address, a claim has no Service, a Service has no claim. Each such
// leak is a [Problem], with advice and with what a repair would do. Only a plan without open
// problems is written.
//
// The writer puts each Service and its claims into one transaction, with other Services as
// far as etcd's limits allow. The store's format record marks the store as unfinished until
// the last transaction: no server starts on it (package format). An import that fails
// removes what it wrote. One that is killed leaves the mark; the next import removes the
// rest and starts again.
//
// UIDs, creation timestamps, managed fields, status and owners are kept. Beside a cluster,
// an owner that is a v1 Service or Endpoints becomes one of portolan.dev/v1, because the
// cluster's garbage collector finds it only there (package portolanclient).
//
// # What is left out
//
// Other kinds, but for Namespaces in a standalone server's store. Objects are not validated:
// kube-apiserver accepted them. Values that are encrypted at rest can't be read.
package importer
