// Package clusterip is the admission plugin ClusterIPAllocator. It fills in the IP
// families and the cluster IPs that a client left open. The transaction that writes the
// Service claims the picked addresses.
package clusterip

import (
	"context"
	"io"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/admission"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/admission/initializer"
	"github.com/portolan-dev/portolan/pkg/admission/serviceplugin"
	"github.com/portolan-dev/portolan/pkg/allocation"
	"github.com/portolan-dev/portolan/pkg/claims"
	"github.com/portolan-dev/portolan/pkg/requeststate"
	"github.com/portolan-dev/portolan/pkg/service"
)

// PluginName is the plugin's name on the command line.
const PluginName = "ClusterIPAllocator"

// Register registers the plugin.
func Register(plugins *admission.Plugins) {
	plugins.Register(PluginName, func(io.Reader) (admission.Interface, error) { return New(), nil })
}

// Plugin fills in cluster IPs.
type Plugin struct {
	serviceplugin.Plugin
}

var (
	_ admission.MutationInterface = &Plugin{}
	_ initializer.WantsLedger     = &Plugin{}
)

// New makes the plugin.
func New() *Plugin { return &Plugin{serviceplugin.New()} }

// Admit fills in the families and addresses of a Service that is created or updated.
func (p *Plugin) Admit(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	return p.Decide(ctx, a, PluginName, func(svc, stored *v1.Service, picks *requeststate.Picks) (*field.Error, error) {
		after, before := service.After{Service: svc}, service.Before{Service: stored}
		service.Inherit(after, before)
		if errs := service.DefaultIPFamilies(after, before, p.Ledger.Families()); len(errs) > 0 {
			return nil, apierrors.NewInvalid(a.GetKind().GroupKind(), a.GetName(), errs)
		}
		who, err := p.Ledger.Requester(ctx, svc)
		if err != nil {
			return nil, err
		}
		if cause := p.Ledger.CheckNamedRange(who, stored, allocation.IPv4); cause != nil {
			return cause, nil
		}
		return p.fill(svc, who, picks), nil
	})
}

// fill uses addresses that are reserved for the Service before it picks others. It stops at
// the first address that can't be picked: the list must have no gaps.
func (p *Plugin) fill(svc *v1.Service, who claims.Requester, picks *requeststate.Picks) *field.Error {
	for _, open := range service.OpenClusterIPs(svc) {
		class, slot := claims.AddressClass(open.Family), "address/"+string(open.Family)
		if reserved := p.Ledger.Reserved(who, class, picks); len(reserved) > 0 {
			picks.UseReserved(slot, reserved[0].Value)
			setClusterIP(&svc.Spec, open.Index, reserved[0].Value.String())
			continue
		}
		value, err := picks.Pick(slot, class, who.Of(class))
		if err != nil {
			return claims.FieldError(svc, allocation.Value{Class: class}, err)
		}
		setClusterIP(&svc.Spec, open.Index, value.String())
	}
	return nil
}

// setClusterIP sets an address in a list that may be shorter than its index.
func setClusterIP(spec *corev1.ServiceSpec, index int, address string) {
	for len(spec.ClusterIPs) <= index {
		spec.ClusterIPs = append(spec.ClusterIPs, "")
	}
	spec.ClusterIPs[index] = address
	spec.ClusterIP = spec.ClusterIPs[0]
}
