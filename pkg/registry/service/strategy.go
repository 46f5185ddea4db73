// Package service is the registry of Services.
//
// The strategy has the rules of the object itself. It neither picks nor writes claims:
// admission picks the values that the client left open, and package claims commits them
// with the Service.
package service

import (
	"context"

	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	apigeneric "k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/rest"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	corev1 "k8s.io/api/core/v1"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/apis/portolan/validation"
	"github.com/portolan-dev/portolan/pkg/registry/generic"
	"github.com/portolan-dev/portolan/pkg/requeststate"
	"github.com/portolan-dev/portolan/pkg/service"
)

var (
	_ rest.RESTCreateStrategy  = strategy{}
	_ rest.RESTUpdateStrategy  = strategy{}
	_ rest.RESTDeleteStrategy  = strategy{}
	_ rest.ResetFieldsStrategy = strategy{}
	_ rest.RESTUpdateStrategy  = statusStrategy{}
	_ rest.ResetFieldsStrategy = statusStrategy{}
)

// upstreamVersion is the core version that serves the store too.
const upstreamVersion = "v1"

type strategy struct {
	generic.DefaultStrategy
}

// Rules returns the rules of Services.
func Rules(typer runtime.ObjectTyper, families Families) generic.Rules {
	main := strategy{generic.NewDefaultStrategy(typer)}
	return generic.Rules{Strategy: main, Status: statusStrategy{main}, Normalize: func(obj runtime.Object) { normalize(obj, families) }}
}

func (strategy) NamespaceScoped() bool { return true }

func (strategy) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return generic.ResetFields(fieldpath.NewSet(fieldpath.MakePathOrDie("status")), upstreamVersion)
}

// PrepareForCreate clears the status, which only an update of the status writes, and the
// server for a Service that gets load-balancer addresses.
func (strategy) PrepareForCreate(ctx context.Context, obj runtime.Object) {
	svc := obj.(*v1.Service)
	svc.Status = statusOr(ctx, corev1.ServiceStatus{})
	service.Inherit(service.After{Service: svc}, service.Before{})
}

// PrepareForUpdate repeats the rules that the allocating admission plugins have applied,
// so that they hold with those plugins disabled. The rules are idempotent.
func (strategy) PrepareForUpdate(ctx context.Context, obj, old runtime.Object) {
	svc, oldSvc := obj.(*v1.Service), old.(*v1.Service)
	svc.Status = statusOr(ctx, oldSvc.Status)
	service.Inherit(service.After{Service: svc}, service.Before{Service: oldSvc})
}

// statusOr returns the status that admission has decided on or, if it has not, another.
func statusOr(ctx context.Context, other corev1.ServiceStatus) corev1.ServiceStatus {
	if decided := requeststate.From(ctx).Picks.Status(); decided != nil {
		return *decided
	}
	return other
}

func (strategy) Validate(_ context.Context, obj runtime.Object) field.ErrorList {
	return validation.ValidateServiceCreate(obj.(*v1.Service))
}

func (strategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	return validation.ValidateServiceUpdate(obj.(*v1.Service), old.(*v1.Service))
}

func (strategy) WarningsOnCreate(_ context.Context, obj runtime.Object) []string {
	return validation.ServiceWarnings(obj.(*v1.Service), nil)
}

func (strategy) WarningsOnUpdate(ctx context.Context, obj, old runtime.Object) []string {
	svc, oldSvc := obj.(*v1.Service), old.(*v1.Service)
	warnings := validation.ServiceWarnings(svc, oldSvc)
	if requeststate.From(ctx).StrategicPatch {
		warnings = append(warnings, droppedProtocols(svc, oldSvc)...)
	}
	return warnings
}

func (strategy) AllowCreateOnUpdate(context.Context) bool { return true }

type statusStrategy struct {
	strategy
}

func (statusStrategy) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return generic.ResetFields(fieldpath.NewSet(fieldpath.MakePathOrDie("spec")), upstreamVersion)
}

// PrepareForUpdate keeps what the server writes of the status.
func (statusStrategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	svc, oldSvc := obj.(*v1.Service), old.(*v1.Service)
	svc.Spec = oldSvc.Spec
	service.KeepLoadBalancer(service.After{Service: svc}, service.Before{Service: oldSvc})
}

func (statusStrategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	return validation.ValidateServiceStatusUpdate(obj.(*v1.Service), old.(*v1.Service))
}

func (statusStrategy) WarningsOnUpdate(_ context.Context, obj, _ runtime.Object) []string {
	return validation.ServiceStatusWarnings(obj.(*v1.Service))
}

// AllowCreateOnUpdate returns false. Upstream's status strategy returns true, so that an
// update of the status creates a Service with any addresses that the client sends.
func (statusStrategy) AllowCreateOnUpdate(context.Context) bool { return false }

// Attributes returns the labels and fields that select Services.
func Attributes(obj runtime.Object) (labels.Set, fields.Set, error) {
	svc := obj.(*v1.Service)
	set := apigeneric.ObjectMetaFieldsSet(&svc.ObjectMeta, true)
	set["spec.clusterIP"] = svc.Spec.ClusterIP
	set["spec.type"] = string(svc.Spec.Type)
	return svc.Labels, set, nil
}
