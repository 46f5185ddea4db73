// Package secret is the registry of Secrets, in which ingress controllers find
// the certificates of hosts. They are stored as they are unless encryption is
// configured.
package secret

import (
	"context"
	"crypto/tls"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	apigeneric "k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/portolan-dev/portolan/apis/core/validation"
	"github.com/portolan-dev/portolan/pkg/registry/generic"
)

var (
	_ rest.RESTCreateStrategy = strategy{}
	_ rest.RESTUpdateStrategy = strategy{}
	_ rest.RESTDeleteStrategy = strategy{}
)

// strategy follows upstream's (pkg/registry/core/secret).
type strategy struct {
	generic.DefaultStrategy
}

// Rules returns the rules of Secrets.
func Rules(typer runtime.ObjectTyper) generic.Rules {
	return generic.Rules{Strategy: strategy{generic.NewDefaultStrategy(typer)}}
}

func (strategy) NamespaceScoped() bool { return true }

func (strategy) PrepareForCreate(context.Context, runtime.Object) {}

func (strategy) PrepareForUpdate(_ context.Context, _, _ runtime.Object) {}

func (strategy) Validate(_ context.Context, object runtime.Object) field.ErrorList {
	return validation.ValidateSecret(object.(*corev1.Secret))
}

func (strategy) ValidateUpdate(_ context.Context, object, old runtime.Object) field.ErrorList {
	return validation.ValidateSecretUpdate(object.(*corev1.Secret), old.(*corev1.Secret))
}

func (strategy) WarningsOnCreate(_ context.Context, object runtime.Object) []string {
	return warnings(object.(*corev1.Secret))
}

func (strategy) WarningsOnUpdate(_ context.Context, object, _ runtime.Object) []string {
	return warnings(object.(*corev1.Secret))
}

// warnings are about a certificate that nobody could serve with its key, which is
// not refused.
func warnings(secret *corev1.Secret) []string {
	if secret.Type != corev1.SecretTypeTLS {
		return nil
	}
	if _, err := tls.X509KeyPair(secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey]); err != nil {
		return []string{err.Error()}
	}
	return nil
}

// Attributes returns what Secrets are selected by.
func Attributes(object runtime.Object) (labels.Set, fields.Set, error) {
	secret, ok := object.(*corev1.Secret)
	if !ok {
		return nil, nil, fmt.Errorf("the store of Secrets was handed a %T", object)
	}
	set := apigeneric.ObjectMetaFieldsSet(&secret.ObjectMeta, true)
	set["type"] = string(secret.Type)
	return secret.Labels, set, nil
}
