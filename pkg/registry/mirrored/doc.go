// Package mirrored protects and writes the copies of a cluster's Services, Endpoints and
// EndpointSlices.
//
// A copy is an object with the annotation portolan.dev/mirrored-from. Guard is a layer of
// the storage: it rejects every write of a copy, in every verb and every API group, and
// every write that would make an object a copy. What passes is written by this package:
//
//   - REST serves the subresource mirror of portolan.dev. PUT writes a copy and DELETE
//     deletes it. The mirror (pkg/controllers/mirror) is its only client. Who may use it is
//     a question of rights on services/mirror, endpoints/mirror and endpointslices/mirror;
//     rights on services do not include them.
//     PUT also replaces an object of Portolan's own by a copy, if the object's annotation
//     portolan.dev/released-to has the UID of the copy. A Service's claims go over to the
//     copy in the same transaction.
//   - AdoptREST serves services/adopt. POST makes a copy Portolan's own: it removes the
//     annotation from the EndpointSlices, the Endpoints and then the Service. All else of
//     the objects stays: UIDs, addresses, ports, status and managed fields.
//
// A copy keeps what the cluster has decided: UID, creation time, managed fields and status.
// So a copy is written to the storage directly. It takes no admission, defaulting,
// allocation or validation of its spec, which the cluster's API server has done. The
// storage below is that of every Service: the copy and its claims are one transaction, and
// a value that another Service holds is rejected with the usual 422. The claims of a copy
// may lie outside every range, because they are values of the cluster's ranges.
package mirrored
