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

// otherVersion reports whether a request is for a resource that the server serves, in a
// version in which it does not. The cluster would answer with other objects.
func otherVersion(info *request.RequestInfo) bool {
	if !info.IsResourceRequest || info.APIVersion == coreVersion {
		return false
	}
	group, shared := core.Group(info.Resource)
	return shared && info.APIGroup == group
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
