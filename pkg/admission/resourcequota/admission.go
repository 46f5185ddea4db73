package resourcequota

import (
	"context"
	"errors"
	"io"

	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/resourcequota"
	"k8s.io/apiserver/pkg/admission/plugin/resourcequota/apis/resourcequota/validation"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/admission/initializer"
	"github.com/portolan-dev/portolan/pkg/claims"
)

// PluginName is the plugin's name on the command line, upstream's.
const PluginName = resourcequota.PluginName

// workers is how many namespaces are evaluated at a time, as upstream.
const workers = 5

// Register makes the plugin known. Its configuration is upstream's
// apiserver.config.k8s.io ResourceQuotaConfiguration.
func Register(plugins *admission.Plugins) {
	plugins.Register(PluginName, func(config io.Reader) (admission.Interface, error) {
		configuration, err := resourcequota.LoadConfiguration(config)
		if err != nil {
			return nil, err
		}
		if errs := validation.ValidateConfiguration(configuration); len(errs) > 0 {
			return nil, errs.ToAggregate()
		}
		framework, err := resourcequota.NewResourceQuota(configuration, workers)
		if err != nil {
			return nil, err
		}
		return &Plugin{QuotaAdmission: framework}, nil
	})
}

// Plugin is the framework's plugin for the resources of this group.
type Plugin struct {
	*resourcequota.QuotaAdmission
	ledger *claims.Ledger
}

var (
	_ admission.ValidationInterface = &Plugin{}
	_ initializer.WantsLedger       = &Plugin{}
)

// SetLedger implements initializer.WantsLedger. An index that isn't complete
// charges creates that are refused then, no more.
func (p *Plugin) SetLedger(ledger *claims.Ledger, _ func() bool) { p.ledger = ledger }

// ValidateInitialization implements admission.InitializationValidator.
func (p *Plugin) ValidateInitialization() error {
	if p.ledger == nil {
		return errors.New("the plugin has no ledger of claims")
	}
	return p.QuotaAdmission.ValidateInitialization()
}

// Validate charges a create, or refuses it where a quota is used up.
func (p *Plugin) Validate(ctx context.Context, a admission.Attributes, o admission.ObjectInterfaces) error {
	if a.GetResource().Group != v1.GroupName || a.GetOperation() != admission.Create {
		return nil
	}
	charge := chargeOf(ctx)
	if charge.made {
		return nil
	}
	if refused, err := p.willBeRefused(ctx, a); err != nil || refused {
		return err
	}
	if err := p.QuotaAdmission.Validate(ctx, a, o); err != nil {
		return err
	}
	charge.made = true
	return nil
}

// willBeRefused says whether the storage will refuse a create.
func (p *Plugin) willBeRefused(ctx context.Context, a admission.Attributes) (bool, error) {
	svc, _, err := initializer.Services(a)
	if err != nil || svc == nil {
		return false, err
	}
	return p.ledger.Refuses(ctx, svc)
}
