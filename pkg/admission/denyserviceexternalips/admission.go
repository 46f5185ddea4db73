// Package denyserviceexternalips holds the admission plugin
// DenyServiceExternalIPs, which refuses new external IPs. Whoever may write a
// Service could otherwise draw the traffic to any address of the cluster to
// their own pods (CVE-2020-8554).
//
// The rule and its text are upstream's
// (plugin/pkg/admission/network/denyserviceexternalips), where the plugin is
// off unless asked for.
package denyserviceexternalips

import (
	"context"
	"errors"
	"io"

	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/admission"

	"github.com/portolan-dev/portolan/pkg/admission/initializer"
)

// PluginName is the plugin's name on the command line, upstream's.
const PluginName = "DenyServiceExternalIPs"

// Register makes the plugin known.
func Register(plugins *admission.Plugins) {
	plugins.Register(PluginName, func(io.Reader) (admission.Interface, error) { return New(), nil })
}

// Plugin refuses new external IPs.
type Plugin struct {
	*admission.Handler
}

var _ admission.ValidationInterface = &Plugin{}

// New makes the plugin.
func New() *Plugin { return &Plugin{admission.NewHandler(admission.Create, admission.Update)} }

// Validate refuses, with a 403, a Service with an external IP that the stored
// one doesn't have. Those that a Service has already may stay, move within the
// list and go.
func (p *Plugin) Validate(_ context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	svc, stored, err := initializer.Services(a)
	if err != nil || svc == nil {
		return err
	}
	var allowed sets.Set[string]
	if stored != nil {
		allowed = sets.New(stored.Spec.ExternalIPs...)
	}
	if allowed.HasAll(svc.Spec.ExternalIPs...) {
		return nil
	}
	return admission.NewForbidden(a, errors.New("Use of external IPs is denied by admission control"))
}
