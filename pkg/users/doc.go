// Package users authenticates and authorizes the users of a standalone server, beside
// the holders of its client certificates.
//
// It has the roles and bindings of a few groups, and reads the files that a kube-apiserver takes:
// static tokens, an AuthenticationConfiguration and an AuthorizationConfiguration. It
// reloads the latter two when they change. The authenticators and authorizers
// themselves are k8s.io/apiserver's.
package users
