// Package clusterip holds the admission plugin ClusterIPAllocator, which fills
// in the IP families and the cluster IPs that a client left open. What it picks
// is claimed, or refused, by the transaction that writes the Service.
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
	"github.com/portolan-dev/portolan/pkg/allocation"
	"github.com/portolan-dev/portolan/pkg/claims"
	"github.com/portolan-dev/portolan/pkg/service"
)

// PluginName is the plugin's name on the command line.
const PluginName = "ClusterIPAllocator"

// Register makes the plugin known.
func Register(plugins *admission.Plugins) {
	plugins.Register(PluginName, func(io.Reader) (admission.Interface, error) { return New(), nil })
}

// Plugin fills in cluster IPs.
type Plugin struct {
	initializer.Plugin
}

var (
	_ admission.MutationInterface = &Plugin{}
	_ initializer.WantsLedger     = &Plugin{}
)

// New makes the plugin.
func New() *Plugin { return &Plugin{initializer.NewPlugin()} }

// Admit settles families and addresses of a Service that is created or changed.
func (p *Plugin) Admit(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	svc, stored, err := p.Services(a)
	if err != nil || svc == nil {
		return err
	}
	after, before := service.After{Service: svc}, service.Before{Service: stored}
	service.Inherit(after, before)
	if errs := service.DefaultIPFamilies(after, before, p.Ledger.Families()); len(errs) > 0 {
		return apierrors.NewInvalid(a.GetKind().GroupKind(), a.GetName(), errs)
	}
	picks, err := p.Picks(ctx)
	if err != nil {
		return err
	}
	picks.Refuse(PluginName, fill(svc, picks))
	return nil
}

// fill stops at the first address that there is none for: the list has no gaps.
func fill(svc *v1.Service, picks *claims.Picks) *field.Error {
	for _, open := range service.OpenClusterIPs(svc) {
		value, err := picks.Pick("address/"+string(open.Family), classOf(open.Family))
		if err != nil {
			return claims.FieldError(svc, allocation.Value{Class: classOf(open.Family)}, err)
		}
		setClusterIP(&svc.Spec, open.Index, value.String())
	}
	return nil
}

// setClusterIP puts an address into a list that may end before its index.
func setClusterIP(spec *corev1.ServiceSpec, index int, address string) {
	for len(spec.ClusterIPs) <= index {
		spec.ClusterIPs = append(spec.ClusterIPs, "")
	}
	spec.ClusterIPs[index] = address
	spec.ClusterIP = spec.ClusterIPs[0]
}

func classOf(family corev1.IPFamily) allocation.Class {
	if family == corev1.IPv6Protocol {
		return allocation.IPv6
	}
	return allocation.IPv4
}
