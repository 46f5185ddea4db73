// Package rbac decides what roles and bindings allow, with the semantics of
// kube-apiserver's RBAC (plugin/pkg/auth/authorizer/rbac, pkg/registry/rbac/validation).
//
//   - Policy is an index of roles and bindings. A decision visits only the bindings that
//     name the user or one of the user's groups, cluster-wide and in the namespace of the
//     request.
//   - matches.go has the rules of what one rule allows. They are pure functions.
//   - authorizer.go adapts a Policy to the framework's interfaces.
package rbac
