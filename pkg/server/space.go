package server

import (
	"fmt"

	"github.com/portolan-dev/portolan/pkg/etcd/quota"
)

// spaceDetail reports whether the embedded etcd is full, or nearly so. A server whose store
// is full still answers reads, and the deletes that free space.
func spaceDetail(gate *quota.Gate) detail {
	return detail{name: "store-space", problem: func() string {
		if full := gate.Full(); full != nil {
			return full.Error()
		}
		if gate.NearlyFull() {
			return fmt.Sprintf("the store is nearly full: %s of %s are in use. Delete objects, or restart the server with a larger "+
				"--embedded-etcd-quota-bytes (now %d)", quota.Text(gate.Usage().InUse), quota.Text(gate.Quota()), gate.Quota())
		}
		return ""
	}}
}
