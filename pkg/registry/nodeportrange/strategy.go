// Package nodeportrange is the registry of NodePortRanges. The usage in their status is
// computed on every read and never stored. So are the conditions that package claims
// computes for clients.
//
// This package does not check whether ports that are removed from a range are held. The
// transaction of the write does, because it sees the claims (package claims).
package nodeportrange

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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
	_ rest.RESTUpdateStrategy  = statusStrategy{}
	_ rest.ResetFieldsStrategy = statusStrategy{}
)

// strategy follows the strategy of ServiceCIDRs. Upstream has no such kind.
type strategy struct {
	generic.DefaultStrategy
}

// Rules returns the rules of NodePortRanges. Every read sets the usage.
func Rules(typer runtime.ObjectTyper, usage Usage) generic.Rules {
	main := strategy{generic.NewDefaultStrategy(typer)}
	return generic.Rules{Strategy: main, Status: statusStrategy{main}, Fill: func(obj runtime.Object) { fill(usage, obj) }}
}

func (strategy) NamespaceScoped() bool { return false }

func (strategy) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return generic.ResetFields(fieldpath.NewSet(fieldpath.MakePathOrDie("status")))
}

func (strategy) PrepareForCreate(_ context.Context, obj runtime.Object) {
	obj.(*v1.NodePortRange).Status = v1.NodePortRangeStatus{}
}

func (strategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	ports := obj.(*v1.NodePortRange)
	ports.Status = old.(*v1.NodePortRange).Status
	dropComputed(&ports.Status)
}

func (strategy) Validate(_ context.Context, obj runtime.Object) field.ErrorList {
	return validation.ValidateNodePortRangeCreate(obj.(*v1.NodePortRange))
}

func (strategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	return validation.ValidateNodePortRangeUpdate(obj.(*v1.NodePortRange), old.(*v1.NodePortRange))
}

// statusStrategy follows the status strategy of ServiceCIDRs.
type statusStrategy struct {
	strategy
}

// GetResetFields includes the usage, so that no field manager owns fields that are never
// stored.
func (statusStrategy) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return generic.ResetFields(fieldpath.NewSet(
		fieldpath.MakePathOrDie("metadata"),
		fieldpath.MakePathOrDie("spec"),
		fieldpath.MakePathOrDie("status", "capacity"),
		fieldpath.MakePathOrDie("status", "allocated"),
		fieldpath.MakePathOrDie("status", "free"),
	).Union(generic.ComputedRangeConditions()))
}

func (statusStrategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	ports, oldPorts := obj.(*v1.NodePortRange), old.(*v1.NodePortRange)
	ports.Spec = oldPorts.Spec
	metav1.ResetObjectMetaForStatus(&ports.ObjectMeta, &oldPorts.ObjectMeta)
	dropComputed(&ports.Status)
}

func (statusStrategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	return validation.ValidateNodePortRangeStatusUpdate(obj.(*v1.NodePortRange), old.(*v1.NodePortRange))
}

func dropComputed(status *v1.NodePortRangeStatus) {
	status.Capacity, status.Allocated, status.Free = 0, 0, 0
	status.Conditions = v1.StoredRangeConditions(status.Conditions)
}
