// Package claims writes a Service and everything it claims in one transaction.
//
// Storage wraps the etcd3 store of Services, below the watch cache. On every attempt of
// every write (write.go) it compares the holdings of the stored Service with those of the
// new one (holdings.go) and puts the difference into the plan of the transaction (plan.go
// and package txn). New claims must be free, their ranges unchanged, and released claims the
// Service's own. Storage works on the objects of the attempt, not on the verb of the
// request: deletecollection, the removal of a last finalizer and a patch all pass through
// it, and no write passes through anything else.
//
// The state that a rejected transaction returns is entered into the index (package
// allocation) and decides the next step. If another replica has claimed a picked value, a
// create picks another one here, and an update runs admission again. A value that the
// client named is rejected with upstream's error.
//
// RangeStorage does the same for ServiceCIDRs, NodePortRanges and LoadBalancerPools, so that
// no claim is left outside every range. ProtectHeld protects held claims from the API's own
// writers.
//
// Several Services can hold one load-balancer address: those with the same sharing key and
// no port in common. They are the holders of its claim. A Service that joins or leaves the
// others writes the claim again, at the revision that it has read (sharing.go), so that two
// Services that join at once can't both get the same port. The last one to leave deletes
// the claim, or retains it. A Service without a load-balancer address waits for one. Its
// condition says so, and any update of it tries again.
//
// Cluster IPs, ports and load-balancer addresses differ in what a kind says (kind.go); all
// else is the same for all. The holder of a claim is its parent reference. It becomes text
// only in messages.
//
// A Service is deleted together with its Endpoints and its own EndpointSlices, in
// the same transaction; package cascade finds them.
//
// A claim in a namespace with a ClaimQuota also takes a permit of each limit that counts it
// (limits.go, charges.go). QuotaStorage writes the limits in the transaction of the
// ClaimQuota.
//
// Admission picks the values that a client left open. The storage finds the picks in the
// state of the request (package requeststate).
//
// Three words say who says no. A range refuses a Service (allocation.RefusedError). The
// holders and users of a value object to another holder (allocation.Objection). A plugin
// rejects a Service (requeststate.Picks.SetRejection), and so does the storage, which alone
// answers the client.
package claims
