package auth

import (
	"context"

	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/endpoints/request"

	"github.com/portolan-dev/portolan/pkg/apigroup"
	"github.com/portolan-dev/portolan/pkg/claims"
)

// MayRead returns a function that reports whether the user of a request may get an
// object, in the API group of the request. It reports false if there is no user or no
// answer. In a cluster the authorizer asks the cluster and caches the answer. A request
// whose cluster could not be asked once is not checked again, so that it waits for the
// timeout once and not for each object.
func MayRead(authz authorizer.Authorizer) claims.MayRead {
	return func(ctx context.Context, read claims.Read) bool {
		user, ok := request.UserFrom(ctx)
		if !ok || backendUnavailable(ctx) {
			return false
		}
		decision, _, err := authz.Authorize(ctx, authorizer.AttributesRecord{
			User: user, Verb: "get", ResourceRequest: true,
			APIGroup: apigroup.Group(ctx, read.Resource), APIVersion: "v1",
			Resource: read.Resource, Namespace: read.Namespace, Name: read.Name,
		})
		return err == nil && decision == authorizer.DecisionAllow
	}
}
