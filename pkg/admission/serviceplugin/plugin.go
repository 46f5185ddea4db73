package initializer

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/admission"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/claims"
)

// Plugin is what the plugins for Services share: the ledger, the wait for its
// index, and the choice of the requests that concern them.
type Plugin struct {
	*admission.Handler
	// Ledger is set when the server starts.
	Ledger *claims.Ledger
}

var _ WantsLedger = &Plugin{}

// NewPlugin makes the shared part of a plugin for creates and updates.
func NewPlugin() Plugin {
	return Plugin{Handler: admission.NewHandler(admission.Create, admission.Update)}
}

// SetLedger implements WantsLedger.
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

// Services picks the new and the stored Service out of a request, once the
// index is complete. What it returns is as for the function of this name.
func (p *Plugin) Services(a admission.Attributes) (after, before *v1.Service, err error) {
	if after, before, err = Services(a); err != nil || after == nil {
		return nil, nil, err
	}
	if !p.WaitForReady() {
		return nil, nil, apierrors.NewServiceUnavailable("the allocation index is not complete yet; try again")
	}
	return after, before, nil
}

// Services returns the new and the stored Service of a request, whichever API group it
// asked in. The new one is nil for a request that does not write the spec of a Service;
// the stored one is nil on create.
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

// Picks are the request's set of picks, to choose values into.
func (p *Plugin) Picks(ctx context.Context) (*claims.Picks, error) {
	picks := claims.FromContext(ctx)
	if picks == nil {
		return nil, apierrors.NewInternalError(errors.New("the request carries no set of picks"))
	}
	return picks, nil
}
