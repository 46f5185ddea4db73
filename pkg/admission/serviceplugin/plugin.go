// Package serviceplugin is the base of the admission plugins for Services.
package serviceplugin

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/admission"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/admission/initializer"
	"github.com/portolan-dev/portolan/pkg/claims"
	"github.com/portolan-dev/portolan/pkg/requeststate"
)

// Plugin has the ledger, waits for its index, and selects the requests that write
// Services.
type Plugin struct {
	*admission.Handler
	// Ledger is set when the server starts.
	Ledger *claims.Ledger
}

var _ initializer.WantsLedger = &Plugin{}

// New makes the base of a plugin for creates and updates.
func New() Plugin {
	return Plugin{Handler: admission.NewHandler(admission.Create, admission.Update)}
}

// SetLedger implements initializer.WantsLedger.
func (p *Plugin) SetLedger(ledger *claims.Ledger, synced func() bool) {
	p.Ledger = ledger
	p.SetReadyFunc(synced)
}

// ValidateInitialization implements admission.InitializationValidator.
func (p *Plugin) ValidateInitialization() error {
	if p.Ledger == nil {
		return errors.New("the plugin has no ledger of claims")
	}
	return nil
}

// Decision is what a plugin does with a Service. It may change svc. stored is nil on
// create. The field error is the plugin's reason to reject the Service, for the storage
// to return; any other error ends the request.
type Decision func(svc, stored *v1.Service, picks *requeststate.Picks) (*field.Error, error)

// Decide runs a plugin's decision on the Service that a request writes, once the index
// is complete, and records the rejection. It ignores other requests.
func (p *Plugin) Decide(ctx context.Context, a admission.Attributes, plugin string, decide Decision) error {
	svc, stored, err := Services(a)
	if err != nil || svc == nil {
		return err
	}
	if !p.WaitForReady() {
		return apierrors.NewServiceUnavailable("the allocation index is not complete yet; try again")
	}
	picks := requeststate.From(ctx).Picks
	if picks == nil {
		return apierrors.NewInternalError(errors.New("the request carries no set of picks"))
	}
	cause, err := decide(svc, stored, picks)
	if err != nil {
		return err
	}
	if cause != nil {
		picks.SetRejection(plugin, cause)
	} else {
		picks.ClearRejection(plugin)
	}
	return nil
}

// Services returns the new and the stored Service of a request, in whichever API group it
// asked. The new one is nil for a request that does not write the spec of a Service. The
// stored one is nil on create.
func Services(a admission.Attributes) (after, before *v1.Service, err error) {
	resource := a.GetResource().GroupResource()
	if resource != v1.Resource("services") && resource != corev1.Resource("services") || a.GetSubresource() != "" {
		return nil, nil, nil
	}
	after, ok := a.GetObject().(*v1.Service)
	if !ok {
		return nil, nil, apierrors.NewBadRequest(fmt.Sprintf("a Service was expected, not %T", a.GetObject()))
	}
	before, _ = a.GetOldObject().(*v1.Service)
	return after, before, nil
}
