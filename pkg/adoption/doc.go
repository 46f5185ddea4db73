// Package adoption moves Services of a cluster over to Portolan, and back.
//
// Both sides are asked with the rights of the caller: portolan.dev of the one, core v1 of
// the other. For each Service, in this order:
//
//  1. POST services/NAME/adopt makes the copy Portolan's own (pkg/registry/mirrored). From
//     here on Portolan's controllers keep its endpoints, starting from those that the
//     cluster has made, and the mirror leaves it alone.
//  2. The cluster's Service is deleted, with its UID as the precondition. Its cluster IPs
//     and node ports stay claimed in Portolan throughout.
//
// Either step can be repeated. A command that was interrupted between the two is run again:
// the plan then has the second step alone.
package adoption
