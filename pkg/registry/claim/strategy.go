// Package claim holds what the strategies of IPAddresses and NodePorts share. The guard of
// package claims protects the claims that Services hold.
package claim

import (
	"context"

	"github.com/portolan-dev/portolan/apis/core"
	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/apigroup"
)

// NoNameGenerator returns the base as the name, as upstream's IPAddress
// strategy does: what is claimed can't be generated, and validation then says so.
type NoNameGenerator struct{}

// GenerateName implements names.NameGenerator.
func (NoNameGenerator) GenerateName(base string) string { return base }

// KeepHolder fills in the holder's UID where an update left it out, as
// metadata.uid is. Clients that don't know the field, upstream's networking/v1
// among them, can then write labels and annotations of a claim that is held. For
// the same reason an update that names the holder as a core API group does
// changes nothing.
func KeepHolder(ctx context.Context, ref, old *v1.ParentReference) {
	if ref == nil || old == nil || ref.UID != "" {
		return
	}
	ref.UID = old.UID
	if apigroup.IsCore(ctx) && *core.Holder(ref) == *core.Holder(old) {
		*ref = *old
	}
}
