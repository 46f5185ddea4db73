package generic

import (
	"context"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/storage/names"
)

// DefaultStrategy has the rules that most kinds share: no warnings, nothing to
// canonicalize, and updates that need no resource version and create nothing. A kind's
// strategy embeds it and overrides what differs.
type DefaultStrategy struct {
	runtime.ObjectTyper
	names.NameGenerator
}

// NewDefaultStrategy returns the strategy of a kind that supports generateName.
func NewDefaultStrategy(typer runtime.ObjectTyper) DefaultStrategy {
	return DefaultStrategy{typer, names.SimpleNameGenerator}
}

// WarningsOnCreate implements rest.RESTCreateStrategy.
func (DefaultStrategy) WarningsOnCreate(context.Context, runtime.Object) []string { return nil }

// WarningsOnUpdate implements rest.RESTUpdateStrategy.
func (DefaultStrategy) WarningsOnUpdate(_ context.Context, _, _ runtime.Object) []string { return nil }

// Canonicalize implements rest.RESTCreateStrategy and rest.RESTUpdateStrategy.
func (DefaultStrategy) Canonicalize(runtime.Object) {}

// AllowCreateOnUpdate implements rest.RESTUpdateStrategy.
func (DefaultStrategy) AllowCreateOnUpdate(context.Context) bool { return false }

// AllowUnconditionalUpdate implements rest.RESTUpdateStrategy.
func (DefaultStrategy) AllowUnconditionalUpdate(context.Context) bool { return true }
