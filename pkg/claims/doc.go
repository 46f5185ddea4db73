// Package claims writes a Service and everything it claims in one transaction.
//
// Storage wraps the etcd3 store of Services, below the watch cache. On every attempt of
// every write it compares the holdings of the stored Service with those of the new one
// and puts the difference into the plan of the transaction (package txn). New claims
// must be free, their ranges unchanged, and released claims the Service's own. Storage
// works on the objects of the attempt, not on the verb of the request: deletecollection,
// the removal of a last finalizer and a patch all pass through it, and no write passes
// through anything else.
//
// The state that a rejected transaction returns is entered into the index (package
// allocation) and decides the next step. If another replica has claimed a picked value, a
// create picks another one here, and an update runs admission again. A value that the
// client named is rejected with upstream's error.
//
// RangeStorage does the same for ServiceCIDRs and NodePortRanges, so that no claim is
// left outside every range. ProtectHeld protects held claims from the API's own writers.
//
// Addresses and ports differ in what a kind says (kind.go); all else is the same for
// both. The holder of a claim is its parent reference. It becomes text only in messages.
//
// A Service is deleted together with its Endpoints and its own EndpointSlices, in
// the same transaction; package cascade finds them.
//
// # State of a request
//
// Picks are the values chosen for a request in admission. The storage finds them in the
// request's context; values that the request did not claim are returned when it ends.
// Picks also keep everything else that a request carries from one attempt to the next:
// the refusals of plugins, the values that it failed to get, and whether it has been
// charged to a quota.
//
// Other state in contexts is kept by the package that uses it, under a key of its own,
// because it has another lifetime or belongs to another layer: package txn has the plan,
// which each storage call sets, and the dry run, which the generic store sets above it;
// package storage the batch sizes of one watch; package server/auth whether a backend was
// unavailable, which it answers outside of the framework's filters; and the kind Service
// whether a patch is strategic, which concerns its warnings alone.
package claims
