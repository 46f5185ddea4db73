// Package delegation proves that a server with a cluster leaves it to the
// cluster who is known and who may do what, and what becomes of requests while
// the cluster is away. The cluster is a real kube-apiserver; its users ask the
// server directly, and so does what passes for its aggregation layer. A gateway
// also forwards their requests, as theirs.
package delegation
