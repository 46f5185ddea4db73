// Package initializer gives admission plugins the state of this server that they need.
package initializer

import (
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/initializer"
	"k8s.io/apiserver/pkg/quota/v1/generic"

	"github.com/portolan-dev/portolan/pkg/claims"
)

// WantsLedger is a plugin that picks or checks values.
type WantsLedger interface {
	admission.InitializationValidator
	// SetLedger sets the ledger. synced reports whether the ledger's index is complete.
	SetLedger(ledger *claims.Ledger, synced func() bool)
}

type pluginInitializer struct {
	ledger  *claims.Ledger
	synced  func() bool
	reviews []schema.GroupResource
}

var _ admission.PluginInitializer = pluginInitializer{}

// New makes an initializer for the plugins of this project. It runs after the
// framework's. Policies do not apply to reviews, as in kube-apiserver: a policy that rejected
// them would break the clients that ask for their rights.
func New(ledger *claims.Ledger, synced func() bool, reviews []schema.GroupResource) admission.PluginInitializer {
	return pluginInitializer{ledger: ledger, synced: synced, reviews: reviews}
}

// Initialize sets the ledger of a plugin that wants it, and the resources that a plugin
// excludes. A plugin that wants a configuration of quotas gets an empty one, which is enough to
// count objects.
func (i pluginInitializer) Initialize(plugin admission.Interface) {
	if wants, ok := plugin.(WantsLedger); ok {
		wants.SetLedger(i.ledger, i.synced)
	}
	if wants, ok := plugin.(initializer.WantsQuotaConfiguration); ok {
		wants.SetQuotaConfiguration(generic.NewConfiguration(nil, nil))
	}
	if wants, ok := plugin.(initializer.WantsExcludedAdmissionResources); ok {
		wants.SetExcludedAdmissionResources(i.reviews)
	}
}
