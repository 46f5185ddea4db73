// Package claimquota is the registry of ClaimQuotas. Package claims enforces them, and
// computes the status for clients. Nothing of the status is stored.
package claimquota

import (
	"context"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/rest"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/apis/portolan/validation"
	"github.com/portolan-dev/portolan/pkg/registry/generic"
)

var (
	_ rest.RESTCreateStrategy  = strategy{}
	_ rest.RESTUpdateStrategy  = strategy{}
	_ rest.RESTDeleteStrategy  = strategy{}
	_ rest.ResetFieldsStrategy = strategy{}
)

// strategy has no counterpart upstream. ResourceQuotas store their status.
type strategy struct {
	generic.DefaultStrategy
}

// Rules returns the rules of ClaimQuotas.
func Rules(typer runtime.ObjectTyper) generic.Rules {
	return generic.Rules{Strategy: strategy{generic.NewDefaultStrategy(typer)}}
}

func (strategy) NamespaceScoped() bool { return true }

func (strategy) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return generic.ResetFields(fieldpath.NewSet(fieldpath.MakePathOrDie("status")))
}

func (strategy) PrepareForCreate(_ context.Context, obj runtime.Object) {
	obj.(*v1.ClaimQuota).Status = v1.ClaimQuotaStatus{}
}

func (strategy) PrepareForUpdate(_ context.Context, obj, _ runtime.Object) {
	obj.(*v1.ClaimQuota).Status = v1.ClaimQuotaStatus{}
}

func (strategy) Validate(_ context.Context, obj runtime.Object) field.ErrorList {
	return validation.ValidateClaimQuotaCreate(obj.(*v1.ClaimQuota))
}

func (strategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	return validation.ValidateClaimQuotaUpdate(obj.(*v1.ClaimQuota), old.(*v1.ClaimQuota))
}
