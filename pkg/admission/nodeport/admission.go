// Package nodeport is the admission plugin NodePortAllocator. It fills in the node ports
// and the health check port that a client left open. The transaction that writes the
// Service claims the picked ports.
package nodeport

import (
	"context"
	"fmt"
	"io"

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
const PluginName = "NodePortAllocator"

// Register registers the plugin.
func Register(plugins *admission.Plugins) {
	plugins.Register(PluginName, func(io.Reader) (admission.Interface, error) { return New(), nil })
}

// Plugin fills in node ports.
type Plugin struct {
	serviceplugin.Plugin
}

var (
	_ admission.MutationInterface = &Plugin{}
	_ initializer.WantsLedger     = &Plugin{}
)

// New makes the plugin.
func New() *Plugin { return &Plugin{serviceplugin.New()} }

// Admit fills in the ports of a Service that is created or updated.
func (p *Plugin) Admit(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	return p.Decide(ctx, a, PluginName, func(svc, stored *v1.Service, picks *requeststate.Picks) (*field.Error, error) {
		service.Inherit(service.After{Service: svc}, service.Before{Service: stored})
		who, err := p.Ledger.Requester(ctx, svc)
		if err != nil {
			return nil, err
		}
		if cause := p.Ledger.CheckNamedRange(who, stored, allocation.Port); cause != nil {
			return cause, nil
		}
		return fill(svc, who, picks), nil
	})
}

func fill(svc *v1.Service, who claims.Requester, picks *requeststate.Picks) *field.Error {
	service.AdoptNodePorts(svc)
	picks.SetNamed(named(svc))
	for _, group := range service.OpenNodePorts(svc) {
		value, err := picks.Pick(fmt.Sprintf("port/%d", group[0]), allocation.Port, who.Of(allocation.Port))
		if err != nil {
			path := field.NewPath("spec", "ports").Index(group[0]).Child("nodePort")
			return field.Invalid(path, 0, claims.PortText(err))
		}
		for _, i := range group {
			svc.Spec.Ports[i].NodePort = value.Number.Port()
		}
	}
	if service.NeedsHealthCheckNodePort(svc) && svc.Spec.HealthCheckNodePort == 0 {
		value, err := picks.Pick("healthCheck", allocation.Port, who.Of(allocation.Port))
		if err != nil {
			return field.Invalid(field.NewPath("spec", "healthCheckNodePort"), 0, claims.PortText(err))
		}
		svc.Spec.HealthCheckNodePort = value.Number.Port()
	}
	return nil
}

// named returns the ports that the Service names itself.
func named(svc *v1.Service) []allocation.Value {
	var values []allocation.Value
	for i := range svc.Spec.Ports {
		if port := svc.Spec.Ports[i].NodePort; port != 0 {
			values = append(values, allocation.NodePort(port))
		}
	}
	if port := svc.Spec.HealthCheckNodePort; port != 0 {
		values = append(values, allocation.NodePort(port))
	}
	return values
}
