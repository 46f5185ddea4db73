// Package denyserviceexternalips is the admission plugin DenyServiceExternalIPs. It
// rejects new external IPs. With them, a user who can write a Service could redirect
// traffic for any address of the cluster to their own Pods (CVE-2020-8554).
//
// The rule and its text are upstream's
// (plugin/pkg/admission/network/denyserviceexternalips), where the plugin is off by
// default.
package denyserviceexternalips

import (
	"context"
	"errors"
	"io"

	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/admission"

	"github.com/portolan-dev/portolan/pkg/admission/serviceplugin"
)

// PluginName is the plugin's name on the command line, upstream's.
const PluginName = "DenyServiceExternalIPs"

// Register registers the plugin.
func Register(plugins *admission.Plugins) {
	plugins.Register(PluginName, func(io.Reader) (admission.Interface, error) { return New(), nil })
}

// Plugin rejects new external IPs.
type Plugin struct {
	*admission.Handler
}

var _ admission.ValidationInterface = &Plugin{}

// New makes the plugin.
func New() *Plugin { return &Plugin{admission.NewHandler(admission.Create, admission.Update)} }

// Validate rejects, with a 403, a Service with an external IP that the stored one does
// not have. External IPs that a Service has already may stay, move within the list and
// be removed.
func (p *Plugin) Validate(_ context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	svc, stored, err := serviceplugin.Services(a)
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
