package gateway

import (
	"strings"

	"k8s.io/apiserver/pkg/endpoints/request"

	"github.com/portolan-dev/portolan/apis/core"
	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/store/snapshot"
)

// coreVersion is the version in which the core API groups are served.
const coreVersion = "v1"

// Serves reports whether the server serves a request itself. Other requests belong to the
// cluster.
func Serves(info *request.RequestInfo) bool {
	if !info.IsResourceRequest {
		return servesPath(info.Path)
	}
	if info.APIGroup == v1.GroupName {
		return true
	}
	group, shared := core.Group(info.Resource)
	return shared && info.APIGroup == group && info.APIVersion == coreVersion
}

// servesPath reports whether the server serves a path that names no resource.
func servesPath(path string) bool {
	if path == snapshot.Path {
		return true
	}
	path = strings.TrimPrefix(path, "/")
	switch root, _, _ := strings.Cut(path, "/"); root {
	case "healthz", "livez", "readyz", "metrics", "debug":
		return true
	default:
		return ofPortolan(path) || ofPortolan(strings.TrimPrefix(path, "openapi/v3/"))
	}
}
