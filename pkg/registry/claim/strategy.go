// Package claim has the code that the strategies of IPAddresses, NodePorts and
// LoadBalancerIPs share. The guard in package claims protects the claims that Services hold.
package claim

import (
	"context"

	"github.com/portolan-dev/portolan/apis/core"
	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/apigroup"
)

// NoNameGenerator returns the base unchanged, as upstream's IPAddress strategy does. The
// name of a claim is its value and cannot be generated, so validation rejects the base.
type NoNameGenerator struct{}

// GenerateName implements names.NameGenerator.
func (NoNameGenerator) GenerateName(base string) string { return base }

// KeepHolder restores the holder's UID if an update omits it, as the API server does
// with metadata.uid. Clients that do not know the field, such as those of upstream's
// networking/v1, can then write labels and annotations of a held claim. For the same
// reason, an update through a core API group keeps the holder if it names it as that
// group does. So does an update of a claim that a Service has taken over from a
// reservation: the file with the reservation may name the core group.
func KeepHolder(ctx context.Context, ref, old *v1.ParentReference) {
	if ref == nil || old == nil || ref.UID != "" {
		return
	}
	ref.UID = old.UID
	if (apigroup.IsCore(ctx) || old.UID != "") && *core.Holder(ref) == *core.Holder(old) {
		*ref = *old
	}
}
