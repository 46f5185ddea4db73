// Package cluster is the family of tests of Portolan aggregated into a cluster.
//
//	aggregated    an installation as in artifacts/cluster, from start to end
//	artifacts     the manifests and the chart themselves
//	moving        Services that move from a cluster to Portolan
//	certificates  certificates that are made and renewed without cert-manager
//	delegation    authentication and authorization, which are the cluster's
//	layouts       the controllers of a cluster with a gateway beside it
//
// All tests but those of the manifests are tagged e2e.
package cluster
