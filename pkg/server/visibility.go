package server

import (
	"context"

	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/endpoints/request"

	"github.com/portolan-dev/portolan/pkg/apigroup"
	"github.com/portolan-dev/portolan/pkg/claims"
)

// mayRead asks the authorizer whether the user of a request could get an object
// as well, through the same door. Without a user, or an answer, he could not.
// With a cluster that takes a question to it, which it remembers for as long as
// any other; if it is away, a request waits for that once and not for each
// object.
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
