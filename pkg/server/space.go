package server

import (
	"net/http"
	"strings"

	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/healthz"

	"github.com/portolan-dev/portolan/pkg/etcd/space"
)

const spaceCheck = "store-space"

// addSpaceCheck makes /healthz fail while the store is full, and /readyz/store-space
// and /livez/store-space say so. /readyz and /livez themselves don't fail: such a
// server still answers reads, and the deletes that help.
func addSpaceCheck(generic *genericapiserver.GenericAPIServer, gate *space.Gate) error {
	if gate == nil {
		return nil
	}
	return generic.AddHealthChecks(healthz.NamedCheck(spaceCheck, func(req *http.Request) error {
		if strings.HasPrefix(req.URL.Path, "/healthz") || strings.HasSuffix(req.URL.Path, "/"+spaceCheck) {
			return gate.Full()
		}
		return nil
	}))
}
