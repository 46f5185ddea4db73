// Package admission is the one ordered list of admission plugins.
package admission

import (
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/admission/plugin/namespace/lifecycle"
	mutatingadmissionpolicy "k8s.io/apiserver/pkg/admission/plugin/policy/mutating"
	validatingadmissionpolicy "k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	mutatingwebhook "k8s.io/apiserver/pkg/admission/plugin/webhook/mutating"
	validatingwebhook "k8s.io/apiserver/pkg/admission/plugin/webhook/validating"
	"k8s.io/apiserver/pkg/server/options"

	"github.com/portolan-dev/portolan/pkg/admission/clusterip"
	"github.com/portolan-dev/portolan/pkg/admission/defaultingressclass"
	"github.com/portolan-dev/portolan/pkg/admission/denyserviceexternalips"
	"github.com/portolan-dev/portolan/pkg/admission/loadbalancer"
	"github.com/portolan-dev/portolan/pkg/admission/nodeport"
	"github.com/portolan-dev/portolan/pkg/admission/resourcequota"
	"github.com/portolan-dev/portolan/pkg/admission/serviceports"
)

// Order is the order in which plugins run, mutating before validating ones. The
// allocators come after all other plugins that change objects and fill in what is still
// open. ResourceQuota comes last, so that it does not charge a request that another
// plugin rejects.
var Order = []string{
	lifecycle.PluginName,
	defaultingressclass.PluginName,
	mutatingadmissionpolicy.PluginName,
	mutatingwebhook.PluginName,
	clusterip.PluginName,
	nodeport.PluginName,
	loadbalancer.PluginName,
	serviceports.PluginName,
	denyserviceexternalips.PluginName,
	validatingadmissionpolicy.PluginName,
	validatingwebhook.PluginName,
	resourcequota.PluginName,
}

// NewOptions returns the framework's admission options with this project's plugins.
func NewOptions() *options.AdmissionOptions {
	o := options.NewAdmissionOptions()
	clusterip.Register(o.Plugins)
	defaultingressclass.Register(o.Plugins)
	denyserviceexternalips.Register(o.Plugins)
	loadbalancer.Register(o.Plugins)
	nodeport.Register(o.Plugins)
	resourcequota.Register(o.Plugins)
	serviceports.Register(o.Plugins)
	o.RecommendedPluginOrder = Order
	return o
}

// RequireCluster returns the plugins that read objects of core API groups from the cluster's
// API server or, on a standalone server, from the server itself: namespaces, policies, webhook
// configurations and quotas.
func RequireCluster() sets.Set[string] {
	return RequireQuotas().Insert(lifecycle.PluginName, mutatingadmissionpolicy.PluginName, mutatingwebhook.PluginName,
		validatingadmissionpolicy.PluginName, validatingwebhook.PluginName)
}

// RequireCoreAPI returns the plugins that read objects of core API groups from the server
// itself, which only a standalone server has.
func RequireCoreAPI() sets.Set[string] { return sets.New(defaultingressclass.PluginName) }

// RequireQuotas returns the plugins of RequireCluster that read quotas, which a standalone
// server does not have.
func RequireQuotas() sets.Set[string] { return sets.New(resourcequota.PluginName) }
