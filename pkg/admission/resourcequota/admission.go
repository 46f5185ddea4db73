package resourcequota

import (
	"context"
	"errors"
	"io"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/resourcequota"
	"k8s.io/apiserver/pkg/admission/plugin/resourcequota/apis/resourcequota/validation"

	"github.com/portolan-dev/portolan/apis/core"
	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/admission/initializer"
	"github.com/portolan-dev/portolan/pkg/admission/serviceplugin"
	"github.com/portolan-dev/portolan/pkg/claims"
	"github.com/portolan-dev/portolan/pkg/requeststate"
)

// PluginName is the plugin's name on the command line, upstream's.
const PluginName = resourcequota.PluginName

// workers is how many namespaces are evaluated at a time, as upstream.
const workers = 5

// Register registers the plugin. Its configuration is upstream's
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

// Plugin is the framework's plugin for the resources of portolan.dev.
type Plugin struct {
	*resourcequota.QuotaAdmission
	ledger *claims.Ledger
}

var (
	_ admission.ValidationInterface = &Plugin{}
	_ initializer.WantsLedger       = &Plugin{}
)

// SetLedger implements initializer.WantsLedger. The plugin does not wait for the index:
// with an incomplete one it only charges some creates that are then rejected.
func (p *Plugin) SetLedger(ledger *claims.Ledger, _ func() bool) { p.ledger = ledger }

// ValidateInitialization implements admission.InitializationValidator.
func (p *Plugin) ValidateInitialization() error {
	if p.ledger == nil {
		return errors.New("the plugin has no ledger of claims")
	}
	return p.QuotaAdmission.ValidateInitialization()
}

// Validate charges a create, or rejects it if a quota is used up.
func (p *Plugin) Validate(ctx context.Context, a admission.Attributes, o admission.ObjectInterfaces) error {
	if a.GetOperation() != admission.Create {
		return nil
	}
	if group, shared := core.Group(a.GetResource().Resource); shared && a.GetResource().Group == group {
		a = portolanAttributes{a}
	}
	if a.GetResource().Group != v1.GroupName {
		return nil
	}
	// Without a request, every call is charged.
	picks := requeststate.From(ctx).Picks
	if picks.Charged() {
		return nil
	}
	if rejected, err := p.willBeRejected(ctx, a); err != nil || rejected {
		return err
	}
	if err := p.QuotaAdmission.Validate(ctx, a, o); err != nil {
		return err
	}
	picks.SetCharged()
	return nil
}

// portolanAttributes are those of a create in a core API group, as of one in portolan.dev:
// it is the same object, which the controller counts there.
type portolanAttributes struct{ admission.Attributes }

// GetResource returns the resource in portolan.dev.
func (a portolanAttributes) GetResource() schema.GroupVersionResource {
	return v1.SchemeGroupVersion.WithResource(a.Attributes.GetResource().Resource)
}

// willBeRejected reports whether the storage will reject a create.
func (p *Plugin) willBeRejected(ctx context.Context, a admission.Attributes) (bool, error) {
	svc, _, err := serviceplugin.Services(a)
	if err != nil || svc == nil {
		return false, err
	}
	return p.ledger.WillReject(ctx, svc)
}
