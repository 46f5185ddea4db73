// Package serviceaccount is the registry of ServiceAccounts and of their subresource token,
// which issues tokens.
package serviceaccount

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/portolan-dev/portolan/apis/core/validation"
	"github.com/portolan-dev/portolan/pkg/registry/generic"
)

// mountableAnnotation limits the Secrets that Pods may mount. It is deprecated.
const mountableAnnotation = "kubernetes.io/enforce-mountable-secrets"

var (
	_ rest.RESTCreateStrategy = strategy{}
	_ rest.RESTUpdateStrategy = strategy{}
	_ rest.RESTDeleteStrategy = strategy{}
)

// strategy follows upstream's (pkg/registry/core/serviceaccount).
type strategy struct {
	generic.DefaultStrategy
}

// Rules returns the rules of ServiceAccounts.
func Rules(typer runtime.ObjectTyper) generic.Rules {
	return generic.Rules{Strategy: strategy{generic.NewDefaultStrategy(typer)}}
}

func (strategy) NamespaceScoped() bool { return true }

func (strategy) PrepareForCreate(_ context.Context, obj runtime.Object) {
	keepSecretNames(obj.(*corev1.ServiceAccount))
}

func (strategy) PrepareForUpdate(_ context.Context, obj, _ runtime.Object) {
	keepSecretNames(obj.(*corev1.ServiceAccount))
}

// keepSecretNames drops everything but the names of Secrets. It replaces the slice, which
// other objects can share.
func keepSecretNames(account *corev1.ServiceAccount) {
	if len(account.Secrets) == 0 {
		return
	}
	names := make([]corev1.ObjectReference, len(account.Secrets))
	for i, secret := range account.Secrets {
		names[i].Name = secret.Name
	}
	account.Secrets = names
}

func (strategy) Validate(_ context.Context, obj runtime.Object) field.ErrorList {
	return validation.ValidateServiceAccount(obj.(*corev1.ServiceAccount))
}

func (strategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	return validation.ValidateServiceAccountUpdate(obj.(*corev1.ServiceAccount), old.(*corev1.ServiceAccount))
}

func (strategy) WarningsOnCreate(_ context.Context, obj runtime.Object) []string {
	return warnings(obj.(*corev1.ServiceAccount), &corev1.ServiceAccount{})
}

func (strategy) WarningsOnUpdate(_ context.Context, obj, old runtime.Object) []string {
	return warnings(obj.(*corev1.ServiceAccount), old.(*corev1.ServiceAccount))
}

// warnings warns of an annotation that is new.
func warnings(account, old *corev1.ServiceAccount) []string {
	_, before := old.Annotations[mountableAnnotation]
	if _, has := account.Annotations[mountableAnnotation]; !has || before {
		return nil
	}
	const warning = "metadata.annotations[%s]: deprecated in v1.32+; prefer separate namespaces to isolate access to mounted secrets"
	return []string{fmt.Sprintf(warning, mountableAnnotation)}
}
