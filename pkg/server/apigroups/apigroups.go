// Package apigroups installs portolan.dev and, where they are served, the core API
// groups on the same stores, with the OpenAPI models that the groups share.
package apigroups

import (
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/kube-openapi/pkg/common"

	"github.com/portolan-dev/portolan/pkg/registry"
)

// Install installs the API groups on a server with the given OpenAPI models.
//
// Groups that are installed together share a converter of managed fields. It must know
// a kind in every group that serves it: it silently drops the field managers of a group
// that it does not know, and an apply over their fields succeeds. Core v1 can only be
// installed by itself. While it is, its models also carry the kinds of the same models
// in portolan.dev, and vice versa. The fields are the same.
func Install(server *genericapiserver.GenericAPIServer, models *common.OpenAPIV3Config, groups registry.Groups) error {
	if groups.CoreV1 == nil {
		return server.InstallAPIGroup(groups.Portolan)
	}
	published := models.GetDefinitionName
	models.GetDefinitionName = withSharedKinds(published)
	defer func() { models.GetDefinitionName = published }()
	// By default clients prefer the group that is installed first.
	if err := server.InstallLegacyAPIGroup(genericapiserver.DefaultLegacyAPIPrefix, groups.CoreV1); err != nil {
		return err
	}
	return server.InstallAPIGroups(append(groups.Others, groups.Portolan)...)
}
