// Package claims writes a Service and everything it claims in one transaction.
//
// Storage wraps the etcd3 store of Services, below the watch cache. On every
// attempt of every write it compares what the stored Service holds with what
// the new one will, and puts the difference into the plan of the transaction
// (package txn): new claims must be free, the ranges they lie in unchanged,
// released ones the Service's own. It works on the objects of the attempt, not
// on the request's verb: a delete collection, the removal of a last finalizer
// and a patch all pass here and nowhere else.
//
// When a transaction is refused, what etcd holds instead is entered into the
// index (package allocation) and decides what happens: a value that was picked
// for the request and lost to another replica is picked again, here and only
// here; one that the client asked for by name is refused with upstream's error.
//
// A Service is deleted together with its Endpoints and its own EndpointSlices, in
// the same transaction; package cascade finds them.
//
// Picks are the values chosen for a request on admission. They are made known
// to the storage through the request's context and given back when the request
// ends without them.
package claims
