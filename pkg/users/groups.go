package users

import (
	"context"
	"slices"

	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/authorization/path"
)

// The groups with rights on a standalone server, which has no roles. Whatever
// authenticates a user also says which groups the user is in.
const (
	// Readers may read everything except Secrets and, through proxies, other servers.
	Readers = "portolan:readers"
	// Writers may read the same and Secrets, and write what they may read.
	Writers = "portolan:writers"
	// Scrapers may read the server's metrics and nothing else.
	Scrapers = "portolan:scrapers"
)

// Known returns the groups with rights on a standalone server.
func Known() []string {
	return []string{Readers, Writers, Scrapers, user.SystemPrivilegedGroup}
}

var (
	readVerbs  = sets.New("get", "list", "watch")
	writeVerbs = sets.New("create", "update", "patch", "delete", "deletecollection")
	// plainSubresources connect to no other address.
	plainSubresources = sets.New("", "status", "finalize")
	metricsPaths      = sets.New("/metrics", "/metrics/slis")
	// publicPaths are those that upstream's roles system:discovery and
	// system:public-info-viewer allow (plugin/pkg/auth/authorizer/rbac/bootstrappolicy).
	publicPaths = []string{
		"/api", "/api/*", "/apis", "/apis/*", "/openapi", "/openapi/*", "/version", "/version/",
		"/healthz", "/livez", "/livez/*", "/readyz", "/readyz/*",
	}
)

// NewGroups returns an authorizer that allows the three groups what they may do. It
// has no opinion on other requests.
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

// isScrape reports whether a request reads metrics.
func isScrape(a authorizer.Attributes) bool {
	return !a.IsResourceRequest() && a.GetVerb() == "get" && metricsPaths.Has(a.GetPath())
}

// isSecret reports whether a request is for Secrets, which upstream's role view
// excludes as well.
func isSecret(a authorizer.Attributes) bool {
	return a.GetAPIGroup() == "" && a.GetResource() == "secrets"
}
