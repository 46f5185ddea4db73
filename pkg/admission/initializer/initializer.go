// Package initializer hands the allocating admission plugins what they need.
package initializer

import (
	"k8s.io/apiserver/pkg/admission"

	"github.com/portolan-dev/portolan/pkg/claims"
)

// WantsLedger is implemented by plugins that allocate or check claims.
type WantsLedger interface {
	admission.InitializationValidator
	// SetLedger sets the ledger, and says how to find out whether its index
	// has seen all claims.
	SetLedger(ledger *claims.Ledger, synced func() bool)
}

type initializer struct {
	ledger *claims.Ledger
	synced func() bool
}

var _ admission.PluginInitializer = initializer{}

// New makes an initializer for the plugins of this project.
func New(ledger *claims.Ledger, synced func() bool) admission.PluginInitializer {
	return initializer{ledger: ledger, synced: synced}
}

// Initialize sets the ledger of a plugin that wants it.
func (i initializer) Initialize(plugin admission.Interface) {
	if wants, ok := plugin.(WantsLedger); ok {
		wants.SetLedger(i.ledger, i.synced)
	}
}
