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
		return fill(svc, who, p.Ledger.Reserved(who, allocation.Port, picks), picks), nil
	})
}

func fill(svc *v1.Service, who claims.Requester, reserved []allocation.Reservation, picks *requeststate.Picks) *field.Error {
	service.AdoptNodePorts(svc)
	picks.SetNamed(named(svc))
	useReserved(svc, reserved, picks)
	for _, group := range service.OpenNodePorts(svc) {
		value, err := picks.Pick(slotOf(group[0]), allocation.Port, who.Of(allocation.Port))
		if err != nil {
			path := field.NewPath("spec", "ports").Index(group[0]).Child("nodePort")
			return field.Invalid(path, 0, claims.PortText(err))
		}
		for _, i := range group {
			svc.Spec.Ports[i].NodePort = value.Number.Port()
		}
	}
	if service.NeedsHealthCheckNodePort(svc) && svc.Spec.HealthCheckNodePort == 0 {
		value, err := picks.Pick(slotOf(service.HealthCheckIndex), allocation.Port, who.Of(allocation.Port))
		if err != nil {
			return field.Invalid(field.NewPath("spec", "healthCheckNodePort"), 0, claims.PortText(err))
		}
		svc.Spec.HealthCheckNodePort = value.Number.Port()
	}
	return nil
}

// useReserved fills in the ports that are reserved for the Service.
func useReserved(svc *v1.Service, reserved []allocation.Reservation, picks *requeststate.Picks) {
	ports := make([]service.ReservedPort, len(reserved))
	for i, r := range reserved {
		ports[i] = service.ReservedPort{
			NodePort: r.Value.Number.Port(), Protocols: r.Protocols, ServicePorts: r.ServicePorts, HealthCheck: r.HealthCheck,
		}
	}
	for _, assigned := range service.AssignReservedPorts(svc, ports) {
		picks.UseReserved(slotOf(assigned.Index), allocation.NodePort(assigned.NodePort))
	}
}

func slotOf(index int) string {
	if index == service.HealthCheckIndex {
		return "healthCheck"
	}
	return fmt.Sprintf("port/%d", index)
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
