// Package moving proves that what a cluster has moves to Portolan whole: an import from its
// API or from a snapshot of its etcd, the copies of Services that the cluster's own
// components need, and the policy that keeps others from writing past Portolan.
package moving
