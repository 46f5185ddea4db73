// Package serviceports holds the admission plugin ServicePorts, which validates
// what takes the server's state to judge about the ports of Services: that the
// node ports asked for lie in a range. What can be told from the object alone is
// the registry's to validate.
package serviceports

import (
	"context"
	"io"

	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/admission"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/admission/initializer"
	"github.com/portolan-dev/portolan/pkg/allocation"
	"github.com/portolan-dev/portolan/pkg/claims"
)

// PluginName is the plugin's name on the command line.
const PluginName = "ServicePorts"

// Register makes the plugin known.
func Register(plugins *admission.Plugins) {
	plugins.Register(PluginName, func(io.Reader) (admission.Interface, error) { return New(), nil })
}

// Plugin validates ports.
type Plugin struct {
	initializer.Plugin
}

var (
	_ admission.ValidationInterface = &Plugin{}
	_ initializer.WantsLedger       = &Plugin{}
)

// New makes the plugin.
func New() *Plugin { return &Plugin{initializer.NewPlugin()} }

// Validate refuses a Service that asks for node ports that lie in no range. The
// ones that it already holds are not looked at again: their range may have been
// changed. Nor are those that were picked: should their range have gone, the
// storage finds others.
func (p *Plugin) Validate(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	svc, stored, err := p.Services(a)
	if err != nil || svc == nil {
		return err
	}
	picks, err := p.Picks(ctx)
	if err != nil {
		return err
	}
	picks.Refuse(PluginName, p.check(svc, stored, picks))
	return nil
}

func (p *Plugin) check(svc, stored *v1.Service, picks *claims.Picks) *field.Error {
	for _, value := range claims.Taken(svc, stored) {
		if value.Class != allocation.Port || picks.Picked(value) {
			continue
		}
		if cause := p.Ledger.CheckRange(svc, value); cause != nil {
			picks.Fail(value)
			return cause
		}
	}
	return nil
}
