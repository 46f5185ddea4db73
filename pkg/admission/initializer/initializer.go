// Package initializer hands the admission plugins what they need of this
// server.
package initializer

import (
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/initializer"
	"k8s.io/apiserver/pkg/quota/v1/generic"

	"github.com/portolan-dev/portolan/pkg/claims"
)

// WantsLedger is implemented by plugins that allocate or check claims.
type WantsLedger interface {
	admission.InitializationValidator
	// SetLedger sets the ledger, and says how to find out whether its index
	// has seen all claims.
	SetLedger(ledger *claims.Ledger, synced func() bool)
}

type pluginInitializer struct {
	ledger *claims.Ledger
	synced func() bool
}

var _ admission.PluginInitializer = pluginInitializer{}

// New makes an initializer for the plugins of this project. It comes after the
// framework's.
func New(ledger *claims.Ledger, synced func() bool) admission.PluginInitializer {
	return pluginInitializer{ledger: ledger, synced: synced}
}

// Initialize sets the ledger of a plugin that wants it. A plugin that wants the
// configuration of quotas gets an empty one: objects are counted without.
func (i pluginInitializer) Initialize(plugin admission.Interface) {
	if wants, ok := plugin.(WantsLedger); ok {
		wants.SetLedger(i.ledger, i.synced)
	}
	if wants, ok := plugin.(initializer.WantsQuotaConfiguration); ok {
		wants.SetQuotaConfiguration(generic.NewConfiguration(nil, nil))
	}
}
