// Package mirror copies the Services, Endpoints and EndpointSlices of a cluster's API
// server into Portolan, continuously and in this direction alone.
//
//	cluster   Services ──────────┐
//	          Endpoints ─────────┼─→ decide ─→ PUT or DELETE …/NAME/mirror ─→ Portolan
//	          EndpointSlices ────┤
//	Portolan  the same three ────┘
//
// The caches of both sides are the only state. For each name, decide compares the object of
// the cluster with Portolan's and returns at most one write. So a restart writes nothing, a
// change is written once, and a deletion while the mirror was down is found by
// comparison. A write carries the resource version of the copy that was compared: a cache
// that lags makes a write fail and never makes a second one.
//
// A copy has the annotation portolan.dev/mirrored-from. Otherwise it equals its source,
// except for the resource version and the time of deletion: a copy of an object that waits
// for its finalizers stays as it is until the object is gone. Portolan keeps
// copies read-only (pkg/registry/mirrored), and claims the addresses and ports of a copied
// Service in the transaction that writes it.
//
// Endpoints and slices follow their Service: they are copied while the Service of their
// name is a copy, and also if neither side has such a Service. Portolan's own Service never
// gets a cluster's endpoints.
//
// The mirror never takes anything from Portolan's own objects. If one has the name of an
// object of the cluster, or holds an address or a port of it, the object is not copied. It
// is reported by an event in the cluster and a metric, and copied once the way is free. A
// Portolan Service with the UID of the cluster's has been adopted; that is no conflict.
//
// The one exception is an object with the annotation portolan.dev/released-to. Somebody who
// may write it has set the UID of the cluster's object there. The copy of that object then
// replaces it in one write. Endpoints and slices that Portolan's controllers wrote for such a
// Service are deleted once those of the cluster are copied.
package mirror
