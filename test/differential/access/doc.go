// Package access compares what a Portolan without a cluster lets users do, and how it
// answers about that, with a kube-apiserver with RBAC: reviews, roles and bindings, and
// requests for what is not served.
package access
