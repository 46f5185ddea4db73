package users

import (
	"context"
	"slices"

	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/authorization/path"
)

// The groups whose members may do something on a server without a cluster, where
// no roles are. Who is in them is said by whatever says who somebody is.
const (
	// Readers may read everything but Secrets and what is behind proxies.
	Readers = "portolan:readers"
	// Writers may read all of it and Secrets, and write what they read.
	Writers = "portolan:writers"
	// Scrapers may read the server's metrics and nothing else.
	Scrapers = "portolan:scrapers"
)

// Known are the groups whose members may do something on a server without a
// cluster.
func Known() []string {
	return []string{Readers, Writers, Scrapers, user.SystemPrivilegedGroup}
}

var (
	readVerbs  = sets.New("get", "list", "watch")
	writeVerbs = sets.New("create", "update", "patch", "delete", "deletecollection")
	// Those through which no other address is reached.
	plainSubresources = sets.New("", "status", "finalize")
	metricsPaths      = sets.New("/metrics", "/metrics/slis")
	// What the roles system:discovery and system:public-info-viewer allow upstream
	// (plugin/pkg/auth/authorizer/rbac/bootstrappolicy).
	publicPaths = []string{
		"/api", "/api/*", "/apis", "/apis/*", "/openapi", "/openapi/*", "/version", "/version/",
		"/healthz", "/livez", "/livez/*", "/readyz", "/readyz/*",
	}
)

// NewGroups lets members of the three groups do what they may. It has no opinion
// on others, nor on the rest.
func NewGroups() (authorizer.Authorizer, error) {
	public, err := path.NewAuthorizer(publicPaths)
	if err != nil {
		return nil, err
	}
	return authorizer.AuthorizerFunc(func(ctx context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
		if a.GetUser() == nil {
			return authorizer.DecisionNoOpinion, "", nil
		}
		groups := a.GetUser().GetGroups()
		if slices.Contains(groups, Scrapers) && isScrape(a) {
			return authorizer.DecisionAllow, "", nil
		}
		writes := slices.Contains(groups, Writers)
		if !writes && !slices.Contains(groups, Readers) {
			return authorizer.DecisionNoOpinion, "", nil
		}
		if !a.IsResourceRequest() {
			if verb := a.GetVerb(); verb != "get" && verb != "head" {
				return authorizer.DecisionNoOpinion, "", nil
			}
			return public.Authorize(ctx, a)
		}
		verb := a.GetVerb()
		if !plainSubresources.Has(a.GetSubresource()) || isSecret(a) && !writes {
			return authorizer.DecisionNoOpinion, "", nil
		}
		if readVerbs.Has(verb) || writes && writeVerbs.Has(verb) {
			return authorizer.DecisionAllow, "", nil
		}
		return authorizer.DecisionNoOpinion, "", nil
	}), nil
}

// isScrape says whether a request reads metrics.
func isScrape(a authorizer.Attributes) bool {
	return !a.IsResourceRequest() && a.GetVerb() == "get" && metricsPaths.Has(a.GetPath())
}

// isSecret says whether a request is about Secrets, which upstream's role view
// doesn't show either.
func isSecret(a authorizer.Attributes) bool {
	return a.GetAPIGroup() == "" && a.GetResource() == "secrets"
}
