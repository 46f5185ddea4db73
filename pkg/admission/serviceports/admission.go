// Package serviceports holds the admission plugin ServicePorts, which validates
// the ports of Services: names, numbers, duplicates and protocols, and that the
// node ports asked for lie in a range.
package serviceports

import (
	"context"
	"io"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/admission"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/apis/portolan/validation"
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

// Validate refuses a Service whose ports can't be served. The node ports that
// it already holds are not looked at again: their range may have been changed.
// Nor are those that were picked: should their range have gone, the storage
// finds others.
func (p *Plugin) Validate(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	svc, stored, err := p.Services(a)
	if err != nil || svc == nil {
		return err
	}
	errs := validation.ValidateServicePorts(svc)
	picks := claims.FromContext(ctx)
	for _, value := range claims.Taken(svc, stored) {
		if value.Class != allocation.Port || picks.Picked(value) {
			continue
		}
		if cause := p.Ledger.CheckRange(svc, value); cause != nil {
			picks.Fail(value)
			errs = append(errs, cause)
		}
	}
	if len(errs) > 0 {
		return apierrors.NewInvalid(v1.Kind("Service"), a.GetName(), errs)
	}
	return nil
}
