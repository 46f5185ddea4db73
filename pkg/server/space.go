package server

import "github.com/portolan-dev/portolan/pkg/etcd/quota"

// spaceDetail reports whether the embedded etcd is full. The server then still answers
// reads, and the deletes that free space.
func spaceDetail(gate *quota.Gate) detail {
	return detail{name: "store-space", problem: func() string {
		if full := gate.Full(); full != nil {
			return full.Error()
		}
		return ""
	}}
}
