// Package loadbalancerip is the registry of LoadBalancerIPs, the claims on load-balancer
// addresses. Clients make reservations here. The transactions of Services write the claims
// that they hold, without this package, and the guard in package claims protects those.
package loadbalancerip

import (
	"context"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/rest"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/apis/portolan/validation"
	"github.com/portolan-dev/portolan/pkg/registry/claim"
	"github.com/portolan-dev/portolan/pkg/registry/generic"
)

var (
	_ rest.RESTCreateStrategy = strategy{}
	_ rest.RESTUpdateStrategy = strategy{}
	_ rest.RESTDeleteStrategy = strategy{}
)

// strategy follows the strategy of IPAddresses. Upstream has no such kind.
type strategy struct {
	generic.DefaultStrategy
}

// Rules returns the rules of LoadBalancerIPs.
func Rules(typer runtime.ObjectTyper) generic.Rules {
	return generic.Rules{Strategy: strategy{generic.DefaultStrategy{ObjectTyper: typer, NameGenerator: claim.NoNameGenerator{}}}}
}

func (strategy) NamespaceScoped() bool { return false }

func (strategy) PrepareForCreate(context.Context, runtime.Object) {}

// PrepareForUpdate keeps the parent of a claim that a Service holds and that was not
// reserved, if an update names the Service: the file with the reservation can be applied
// although the Service came first.
func (strategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	claim, stored := &obj.(*v1.LoadBalancerIP).Spec, &old.(*v1.LoadBalancerIP).Spec
	if parent := claim.ParentRef; stored.ParentRef == nil && parent != nil && parent.IsService() {
		names := func(h v1.LoadBalancerIPHolder) bool { return h.Namespace == parent.Namespace && h.Name == parent.Name }
		if slices.ContainsFunc(stored.Holders, names) {
			claim.ParentRef = nil
		}
	}
}

func (strategy) Validate(_ context.Context, obj runtime.Object) field.ErrorList {
	return validation.ValidateLoadBalancerIPCreate(obj.(*v1.LoadBalancerIP), time.Now())
}

func (strategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	return validation.ValidateLoadBalancerIPUpdate(obj.(*v1.LoadBalancerIP), old.(*v1.LoadBalancerIP))
}
