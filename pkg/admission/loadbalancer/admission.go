// Package loadbalancer is the admission plugin LoadBalancerAllocator. It decides which
// load-balancer addresses a Service of type LoadBalancer has: those that it names, those
// that it has already, and picks for the rest. The registry sets them in the status, and the
// transaction that writes the Service claims them.
//
// The plugin leaves a Service to other controllers if no LoadBalancerPool serves it: none
// is for its load-balancer class, or none of those selects it. If the pools are full, the
// Service is written all the same and waits; every later update of it tries again. An
// update that would cost a Service an address that it has is rejected instead.
package loadbalancer

import (
	"context"
	"io"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/utils/ptr"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/admission/initializer"
	"github.com/portolan-dev/portolan/pkg/admission/serviceplugin"
	"github.com/portolan-dev/portolan/pkg/allocation"
	"github.com/portolan-dev/portolan/pkg/requeststate"
	"github.com/portolan-dev/portolan/pkg/service/loadbalancer"
)

// PluginName is the plugin's name on the command line.
const PluginName = "LoadBalancerAllocator"

// Register registers the plugin.
func Register(plugins *admission.Plugins) {
	plugins.Register(PluginName, func(io.Reader) (admission.Interface, error) { return New(), nil })
}

// Plugin decides about load-balancer addresses.
type Plugin struct {
	serviceplugin.Plugin
}

var (
	_ admission.MutationInterface = &Plugin{}
	_ initializer.WantsLedger     = &Plugin{}
)

// New makes the plugin.
func New() *Plugin { return &Plugin{serviceplugin.New()} }

// Admit decides about the addresses of a Service that is created or updated.
func (p *Plugin) Admit(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	return p.Decide(ctx, a, PluginName, func(svc, stored *v1.Service, picks *requeststate.Picks) (*field.Error, error) {
		picks.SetStatus(nil)
		if !p.mayServe(svc) {
			return nil, nil
		}
		if stored != nil && svc.UID == "" {
			// Validation does the same, later.
			svc.UID = stored.UID
		}
		who, err := p.Ledger.Requester(ctx, svc)
		if err != nil {
			return nil, err
		}
		s := &serving{ledger: p.Ledger, svc: svc, stored: stored, who: who, picks: picks}
		var errs field.ErrorList
		s.request, errs = loadbalancer.Parse(svc)
		if stored != nil {
			var old field.ErrorList
			if s.before, old = loadbalancer.Parse(stored); len(old) > 0 && len(errs) > 0 {
				// It was stored before a pool served it. Its status stays as it is.
				return nil, nil
			}
		}
		if len(errs) > 0 && s.isSelected() {
			return nil, apierrors.NewInvalid(a.GetKind().GroupKind(), a.GetName(), errs)
		}
		status, cause := s.decide(ctx)
		if cause == nil {
			picks.SetStatus(status)
		}
		return cause, nil
	})
}

// mayServe reports whether there are pools for the Service's load-balancer class. A
// Service that is being deleted gets no more addresses, and a copy has those of its cluster.
func (p *Plugin) mayServe(svc *v1.Service) bool {
	if svc.Spec.Type != corev1.ServiceTypeLoadBalancer || svc.DeletionTimestamp != nil {
		return false
	}
	if v1.IsMirrored(svc) {
		return false
	}
	class := ptr.Deref(svc.Spec.LoadBalancerClass, "")
	return p.Ledger.Index.ServesClass(allocation.LoadBalancerIPv4, class) || p.Ledger.Index.ServesClass(allocation.LoadBalancerIPv6, class)
}
