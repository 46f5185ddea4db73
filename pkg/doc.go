// Package pkg has no code. Its comment is the glossary of the packages below it.
//
//   - aggregated: a server that a cluster's kube-apiserver forwards portolan.dev to. Its
//     users, rights and namespaces are the cluster's.
//   - gateway: a server beside a cluster that serves the core API groups of its kinds and
//     forwards every other request to the cluster's kube-apiserver.
//   - standalone: a server without a cluster. It serves the core API groups too.
//   - core API groups: the groups in which kube-apiserver serves Services and their
//     kin (v1, discovery.k8s.io, networking.k8s.io, …). portolan.dev and the core API
//     groups serve the same stores.
//   - kind: a type of objects, and its row in the table of kinds (package registry).
//   - value: an address or a port.
//   - class: the values that compete with each other: cluster IPs of a family, ports,
//     load-balancer addresses of a family.
//   - kind of values: cluster IPs, ports or load-balancer addresses, with everything that
//     differs between them (package claims).
//   - claim: the object that records who holds a value: an IPAddress, a NodePort or a
//     LoadBalancerIP. A held claim carries the UID of its Service.
//   - reservation: a claim that no Service holds. A user made it by hand, or a deleted
//     Service left it. It can be for a Service, which gets the value when it needs one.
//   - listing: the list of the reservations for a Service (package claims).
//   - sharing: several Services hold one load-balancer address, under the same key and
//     with different ports.
//   - holder: the parent reference of a claim. If it has a UID, that Service holds the
//     claim.
//   - share: what a Service holds of a value that several hold: its ports. The sharing
//     key says which Services share (package allocation).
//   - range: a ServiceCIDR, a NodePortRange or a LoadBalancerPool, which says which values
//     exist. A block is one CIDR, or one run of values, of a range.
//   - static band: the lower part of a block, from which values are picked last.
//   - index: one replica's picture of ranges and claims, in memory (package allocation).
//     It is a hint; the transaction decides.
//   - feed: what keeps the index up to date from watches.
//   - use: a load-balancer address in the status of a Service that does not claim it, because
//     another controller has given it. The index keeps it from others.
//   - pick: a value that the server chose for a request and that is not claimed yet.
//   - slot: the place in a Service that a pick is for.
//   - request state: the picks and the few other things that a request carries from one
//     part of the server to another (package requeststate).
//   - ledger: turns claims into plans, and answers from etcd into facts of the index
//     (package claims).
//   - plan: what one write adds to its transaction: guards, puts and deletes (package
//     txn).
//   - guard: a key and the revision that the transaction compares it with.
//   - move: the replacement of what a Service holds of one range by values of another
//     (claims.Ledger.Renumber).
//   - limit: the most that the Services of a namespace may hold of a kind of values, from a
//     ClaimQuota.
//   - permit: a numbered slot of a limit. A limit of N has N of them, and each claim under
//     it takes one (package permits).
//   - dependents: the Endpoints and EndpointSlices that are deleted with a Service
//     (package cascade).
//   - batch: several objects of one kind that one transaction writes.
//   - seed: the first range of an empty store, from the flags.
package pkg
