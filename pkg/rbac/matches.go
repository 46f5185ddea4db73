package rbac

import (
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

// allows reports whether a rule allows a request.
func allows(rule *rbacv1.PolicyRule, a authorizer.Attributes) bool {
	if !has(rule.Verbs, rbacv1.VerbAll, a.GetVerb()) {
		return false
	}
	if !a.IsResourceRequest() {
		return allowsPath(rule.NonResourceURLs, a.GetPath())
	}
	return has(rule.APIGroups, rbacv1.APIGroupAll, a.GetAPIGroup()) &&
		allowsResource(rule.Resources, a.GetResource(), a.GetSubresource()) &&
		(len(rule.ResourceNames) == 0 || slices.Contains(rule.ResourceNames, a.GetName()))
}

func has(set []string, all, one string) bool {
	return slices.ContainsFunc(set, func(element string) bool { return element == all || element == one })
}

// allowsResource reports whether one of the resources of a rule is a resource or a
// subresource: *, pods, pods/log or */log.
func allowsResource(resources []string, resource, subresource string) bool {
	return slices.ContainsFunc(resources, func(allowed string) bool {
		if allowed == rbacv1.ResourceAll {
			return true
		}
		if subresource == "" {
			return allowed == resource
		}
		prefix, found := strings.CutSuffix(allowed, "/"+subresource)
		return found && (prefix == resource || prefix == "*")
	})
}

// allowsPath reports whether one of the paths of a rule is a path, or a prefix of it that
// ends in *.
func allowsPath(paths []string, path string) bool {
	return slices.ContainsFunc(paths, func(allowed string) bool {
		if allowed == path {
			return true
		}
		return strings.HasSuffix(allowed, rbacv1.NonResourceAll) && strings.HasPrefix(path, strings.TrimRight(allowed, rbacv1.NonResourceAll))
	})
}
