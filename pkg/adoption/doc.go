// Package adoption moves Services of a cluster over to Portolan, and back.
//
// All requests have the rights of the caller. They go to portolan.dev at Portolan, and to
// core v1 at the cluster. Adopting takes two steps for each Service, in this order:
//
//  1. POST services/NAME/adopt makes the copy Portolan's own (pkg/registry/mirrored). From
//     here on Portolan's controllers keep its endpoints, starting from those that the
//     cluster has made, and the mirror leaves it alone.
//  2. The cluster's Service is deleted, with its UID as the precondition. Its cluster IPs
//     and node ports stay claimed in Portolan throughout.
//
// Releasing is the way back:
//
//  1. The Service is created at the cluster with the same addresses and ports, and with the
//     annotation portolan.dev/released-from, which has the UID of Portolan's. Status and
//     managed fields follow. kube-apiserver chooses the UID and the time of creation.
//  2. Handwritten Endpoints and EndpointSlices are created there too. Then the command waits
//     until the cluster's slices have all addresses that Portolan's have.
//  3. Portolan's objects get the annotation portolan.dev/released-to, which has the UID of
//     the cluster's of the same name. The mirror then replaces each by the copy, the
//     Service and its claims in one transaction (pkg/controllers/mirror). It deletes the
//     slices that Portolan's controllers wrote once the cluster's are copied.
//  4. The annotation portolan.dev/released-from is removed.
//
// Until the third step Portolan's Service is the one that counts, and its addresses and ports
// stay claimed throughout. Each step can be repeated. A command that was interrupted is run
// again: the plan then has the remaining steps.
package adoption
