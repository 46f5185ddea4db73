// Package admissionregistration is the registry of the objects that configure admission:
// policies with their bindings, and webhooks. The plugins of k8s.io/apiserver go by them.
//
//   - strategy.go has the rules of each kind, and table.go their columns.
//   - policy.go, binding.go, webhook.go and match.go validate the objects with upstream's
//     messages (pkg/apis/admissionregistration/validation), and expressions.go their CEL
//     expressions.
//   - params.go keeps users from reading, through a policy, objects that they may not read.
package admissionregistration
