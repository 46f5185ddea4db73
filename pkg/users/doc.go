// Package users says who is known to a server without a cluster, beyond the
// holders of its client certificates, and what users may do.
//
// Both are said by groups, and by the files that a kube-apiserver takes: static
// tokens, an AuthenticationConfiguration and an AuthorizationConfiguration. Those
// two are followed as they change. What makes them work is k8s.io/apiserver's.
package users
