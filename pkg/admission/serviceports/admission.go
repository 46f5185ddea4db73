// Package serviceports is the admission plugin ServicePorts. It validates that the node
// ports that a client names lie in a range, which depends on the state of the server.
// The registry validates everything that depends on the object alone.
package serviceports

import (
	"context"
	"io"

	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/admission"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/admission/initializer"
	"github.com/portolan-dev/portolan/pkg/admission/serviceplugin"
	"github.com/portolan-dev/portolan/pkg/allocation"
	"github.com/portolan-dev/portolan/pkg/claims"
	"github.com/portolan-dev/portolan/pkg/requeststate"
)

// PluginName is the plugin's name on the command line.
const PluginName = "ServicePorts"

// Register registers the plugin.
func Register(plugins *admission.Plugins) {
	plugins.Register(PluginName, func(io.Reader) (admission.Interface, error) { return New(), nil })
}

// Plugin validates ports.
type Plugin struct {
	serviceplugin.Plugin
}

var (
	_ admission.ValidationInterface = &Plugin{}
	_ initializer.WantsLedger       = &Plugin{}
)

// New makes the plugin.
func New() *Plugin { return &Plugin{serviceplugin.New()} }

// Validate rejects a Service that names node ports outside every range. It does not check
// ports that the Service holds already, as their range may have been changed, or picked
// ports, which the storage replaces if their range has been deleted.
func (p *Plugin) Validate(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	return p.Decide(ctx, a, PluginName, func(svc, stored *v1.Service, picks *requeststate.Picks) (*field.Error, error) {
		who, err := p.Ledger.Requester(ctx, svc)
		if err != nil {
			return nil, err
		}
		return p.check(who, claims.NewClaims(svc, stored), picks), nil
	})
}

func (p *Plugin) check(who claims.Requester, values []allocation.Value, picks *requeststate.Picks) *field.Error {
	for _, value := range values {
		if value.Class != allocation.Port || picks.Picked(value) {
			continue
		}
		if cause := p.Ledger.CheckRange(who, value); cause != nil {
			picks.RecordFailure(value)
			return cause
		}
	}
	return nil
}
