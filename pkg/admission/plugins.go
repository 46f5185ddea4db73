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
	"github.com/portolan-dev/portolan/pkg/admission/nodeport"
	"github.com/portolan-dev/portolan/pkg/admission/resourcequota"
	"github.com/portolan-dev/portolan/pkg/admission/serviceports"
)

// Order is the order plugins run in, the mutating ones before the validating
// ones. The allocators come after everything else that changes objects: they
// fill in what is still open then. ResourceQuota is the last: what another
// plugin refuses isn't charged.
var Order = []string{
	lifecycle.PluginName,
	defaultingressclass.PluginName,
	mutatingadmissionpolicy.PluginName,
	mutatingwebhook.PluginName,
	clusterip.PluginName,
	nodeport.PluginName,
	serviceports.PluginName,
	denyserviceexternalips.PluginName,
	validatingadmissionpolicy.PluginName,
	validatingwebhook.PluginName,
	resourcequota.PluginName,
}

// NewOptions are the framework's admission options with this project's plugins
// in them.
func NewOptions() *options.AdmissionOptions {
	o := options.NewAdmissionOptions()
	clusterip.Register(o.Plugins)
	defaultingressclass.Register(o.Plugins)
	denyserviceexternalips.Register(o.Plugins)
	nodeport.Register(o.Plugins)
	resourcequota.Register(o.Plugins)
	serviceports.Register(o.Plugins)
	o.RecommendedPluginOrder = Order
	return o
}

// NeedCluster are the plugins that ask a cluster's API server: for its
// namespaces, quotas, policies and webhook configurations.
func NeedCluster() sets.Set[string] {
	return NeedMore().Insert(lifecycle.PluginName)
}

// NeedCore are the plugins that ask the server itself, for what only a server
// without a cluster has.
func NeedCore() sets.Set[string] { return sets.New(defaultingressclass.PluginName) }

// NeedMore are those of NeedCluster that ask for more than namespaces, which a
// server can have without a cluster, too.
func NeedMore() sets.Set[string] {
	return sets.New(mutatingadmissionpolicy.PluginName, mutatingwebhook.PluginName,
		validatingadmissionpolicy.PluginName, validatingwebhook.PluginName, resourcequota.PluginName)
}
