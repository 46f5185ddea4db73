package server

import "github.com/portolan-dev/portolan/pkg/etcd/quota"

// spaceDetail tells whether the embedded etcd is full. A server whose store is
// full still answers reads, and the deletes that help.
func spaceDetail(gate *quota.Gate) detail {
	return detail{name: "store-space", problem: func() string {
		if full := gate.Full(); full != nil {
			return full.Error()
		}
		return ""
	}}
}
