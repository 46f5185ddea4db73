// Package cascade deletes what a Service leaves behind, in the transaction that
// deletes the Service: the Endpoints of its name, and the EndpointSlices that carry
// its name in the label kubernetes.io/service-name and that it or its Endpoints own,
// or that the controllers wrote. The next Service of the name inherits none of them.
// Those with finalizers are marked for deletion in the same transaction, as a DELETE
// would do.
//
// Slices that another writer made stay, as in Kubernetes. So do slices that the watch
// cache does not have yet because another replica has just written them; slices that
// this replica wrote count at once (Writes). What etcd does not take in one
// transaction stays as well, since a Service can always be deleted. Whatever stays is
// left to its owner reference.
//
// Every object in the plan is guarded by the revision that the caches have. A
// transaction that is rejected brings the true state along, and the next attempt uses
// that.
package cascade
