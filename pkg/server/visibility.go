package server

import (
	"context"

	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/endpoints/request"

	"github.com/portolan-dev/portolan/pkg/apigroup"
	"github.com/portolan-dev/portolan/pkg/claims"
)

// mayRead reports whether the user of a request may get an object in the API group in
// which the request asked. Without a user or an answer it reports false. In a cluster the
// answer comes from the cluster, and is cached as any other. While the cluster is down,
// a request waits for it once and not for each object.
func (c *Config) mayRead(ctx context.Context, read claims.Read) bool {
	user, ok := request.UserFrom(ctx)
	if !ok || isUndecided(ctx) {
		return false
	}
	decision, _, err := c.Generic.Authorization.Authorizer.Authorize(ctx, authorizer.AttributesRecord{
		User: user, Verb: "get", ResourceRequest: true,
		APIGroup: apigroup.Group(ctx, read.Resource), APIVersion: "v1",
		Resource: read.Resource, Namespace: read.Namespace, Name: read.Name,
	})
	return err == nil && decision == authorizer.DecisionAllow
}
