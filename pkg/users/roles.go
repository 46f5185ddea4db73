package users

import (
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	apiserviceaccount "k8s.io/apiserver/pkg/authentication/serviceaccount"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/portolan-dev/portolan/pkg/serviceaccount"
)

// The groups with rights on a standalone server. Whatever authenticates a user also says
// which groups the user is in. A ClusterRole of the same name has the rights of each.
const (
	// Readers may read everything except Secrets and, through proxies, other servers.
	Readers = "portolan:readers"
	// Writers may read the same and Secrets, and write what they may read except the objects
	// that extend the API.
	Writers = "portolan:writers"
	// Scrapers may read the server's metrics and nothing else.
	Scrapers = "portolan:scrapers"
)

// Removed is the ClusterRole of removed users: who is bound to it has no rights at all; see
// package removed.
const Removed = "portolan:removed"

// Known returns the groups with rights on a standalone server.
func Known() []string {
	return []string{Readers, Writers, Scrapers, user.SystemPrivilegedGroup}
}

// Names of upstream's roles (plugin/pkg/auth/authorizer/rbac/bootstrappolicy).
const (
	clusterAdmin = "cluster-admin"
	discovery    = "system:discovery"
	basicUser    = "system:basic-user"
	publicInfo   = "system:public-info-viewer"
	monitoring   = "system:monitoring"
	admin        = "admin"
	edit         = "edit"
	view         = "view"

	authDelegator   = "system:auth-delegator"
	issuerDiscovery = "system:service-account-issuer-discovery"

	aggregateTo      = "system:aggregate-to-"
	aggregateToLabel = rbacv1.GroupName + "/aggregate-to-"
)

var (
	read      = []string{"get", "list", "watch"}
	write     = []string{"create", "update", "patch", "delete", "deletecollection"}
	readWrite = slices.Concat(read, write)

	// extensions are the API groups of objects that extend the API.
	extensions = []string{"apiextensions.k8s.io", "admissionregistration.k8s.io"}

	infoPaths      = []string{"/healthz", "/livez", "/readyz", "/version", "/version/"}
	discoveryPaths = slices.Concat([]string{"/api", "/api/*", "/apis", "/apis/*", "/openapi", "/openapi/*"}, infoPaths)
	healthPaths    = []string{"/livez/*", "/readyz/*"}
	metricsPaths   = []string{"/metrics", "/metrics/slis"}
	issuerPaths    = []string{
		serviceaccount.DiscoveryPath, serviceaccount.DiscoveryPath + "/", serviceaccount.KeysPath, serviceaccount.KeysPath + "/",
	}
)

// Roles returns the ClusterRoles that a standalone server has from the start: those of
// upstream's that concern what it serves, and one for each of the groups. The resources are
// those that readers and writers may have.
func Roles(served []schema.GroupResource) []rbacv1.ClusterRole {
	return []rbacv1.ClusterRole{
		role(clusterAdmin, resources([]string{"*"}, []string{"*"}, "*"), paths([]string{"*"}, "*")),
		role(discovery, paths([]string{"get"}, discoveryPaths...)),
		role(monitoring, paths([]string{"get"}, slices.Concat(metricsPaths, infoPaths[:3], healthPaths, []string{"/healthz/*"})...)),
		role(basicUser, resources([]string{"create"}, []string{"authorization.k8s.io"}, "selfsubjectaccessreviews", "selfsubjectrulesreviews"),
			resources([]string{"create"}, []string{"authentication.k8s.io"}, "selfsubjectreviews")),
		role(publicInfo, paths([]string{"get"}, infoPaths...)),
		role(issuerDiscovery, paths([]string{"get"}, issuerPaths...)),
		role(authDelegator, resources([]string{"create"}, []string{"authentication.k8s.io"}, "tokenreviews"),
			resources([]string{"create"}, []string{"authorization.k8s.io"}, "subjectaccessreviews")),
		aggregated(admin, ""), aggregated(edit, admin), aggregated(view, edit),
		part(admin,
			resources([]string{"create"}, []string{"authorization.k8s.io"}, "localsubjectaccessreviews"),
			resources(readWrite, []string{rbacv1.GroupName}, "roles", "rolebindings")),
		part(edit,
			resources(read, []string{"", "portolan.dev"}, "services/proxy"),
			resources(read, []string{""}, "pods/attach", "pods/exec", "pods/portforward", "pods/proxy", "secrets"),
			resources([]string{"impersonate"}, []string{""}, "serviceaccounts"),
			resources([]string{"create"}, []string{""}, "serviceaccounts/token"),
			resources(write, []string{""}, "pods", "pods/attach", "pods/exec", "pods/portforward", "pods/proxy",
				"services", "services/proxy", "secrets", "configmaps", "serviceaccounts",
				"persistentvolumeclaims", "replicationcontrollers"),
			resources(write, []string{"apps"}, "daemonsets", "deployments", "replicasets", "statefulsets"),
			resources(write, []string{"batch"}, "cronjobs", "jobs"),
			resources(write, []string{"portolan.dev"}, "services", "services/proxy"),
			resources(write, []string{"", "events.k8s.io"}, "events"),
			resources(write, []string{"networking.k8s.io"}, "ingresses"),
			resources(readWrite, []string{"coordination.k8s.io"}, "leases")),
		part(view,
			resources(read, []string{"", "portolan.dev"}, "services", "services/status", "endpoints"),
			resources(read, []string{""}, "pods", "pods/log", "pods/status", "configmaps", "serviceaccounts", "namespaces", "namespaces/status",
				"persistentvolumeclaims", "persistentvolumeclaims/status", "replicationcontrollers", "replicationcontrollers/status"),
			resources(read, []string{"apps"}, "daemonsets", "daemonsets/status", "deployments", "deployments/status",
				"replicasets", "replicasets/status", "statefulsets", "statefulsets/status"),
			resources(read, []string{"batch"}, "cronjobs", "cronjobs/status", "jobs", "jobs/status"),
			resources(read, []string{"", "events.k8s.io"}, "events"),
			resources(read, []string{"discovery.k8s.io", "portolan.dev"}, "endpointslices"),
			resources(read, []string{"portolan.dev"}, "claimquotas", "ipaddresses", "loadbalancerips", "loadbalancerpools",
				"loadbalancerpools/status", "nodeportranges", "nodeportranges/status", "nodeports", "servicecidrs", "servicecidrs/status"),
			resources(read, []string{"networking.k8s.io"}, "ingresses", "ingresses/status")),
		role(Readers, append(everything(served, read, isSecret), resources([]string{"get"}, []string{""}, "pods/log"), discover())...),
		role(Writers, append(everything(served, readWrite, isExtension), resources(read, extensions, "*"),
			resources([]string{"create"}, []string{"portolan.dev"}, "services/renumber"),
			resources([]string{"get", "create"}, []string{""}, "pods/attach", "pods/exec", "pods/log", "pods/portforward"), discover())...),
		role(Scrapers, paths([]string{"get"}, metricsPaths...)),
		role(Removed),
	}
}

// Bindings returns the ClusterRoleBindings that a standalone server has from the start.
func Bindings() []rbacv1.ClusterRoleBinding {
	return []rbacv1.ClusterRoleBinding{
		binding(clusterAdmin, user.SystemPrivilegedGroup),
		binding(monitoring, user.MonitoringGroup),
		binding(discovery, user.AllAuthenticated),
		binding(basicUser, user.AllAuthenticated),
		binding(publicInfo, user.AllAuthenticated, user.AllUnauthenticated),
		binding(issuerDiscovery, apiserviceaccount.AllServiceAccountsGroup),
		binding(Readers, Readers), binding(Writers, Writers), binding(Scrapers, Scrapers),
	}
}

// everything returns a rule for each API group: its resources except some, and the
// subresources that connect to no other address. Roles and bindings are left out: a member
// of the group who could read or write them could find or widen the rights of others.
func everything(served []schema.GroupResource, verbs []string, except func(schema.GroupResource) bool) []rbacv1.PolicyRule {
	var groups []string
	names := map[string][]string{}
	for _, resource := range served {
		if resource.Group == rbacv1.GroupName || except != nil && except(resource) {
			continue
		}
		if names[resource.Group] == nil {
			groups = append(groups, resource.Group)
		}
		names[resource.Group] = append(names[resource.Group], resource.Resource)
	}
	slices.Sort(groups)
	var rules []rbacv1.PolicyRule
	for _, group := range groups {
		slices.Sort(names[group])
		rules = append(rules, resources(verbs, []string{group}, append(names[group], "*/status", "*/finalize")...))
	}
	return rules
}

// isSecret reports whether a resource is Secrets, which upstream's role view excludes as
// well.
func isSecret(resource schema.GroupResource) bool {
	return resource == schema.GroupResource{Resource: "secrets"}
}

// isExtension reports whether a resource extends the API. An object of it concerns all users,
// and can make the server send requests, so only an administrator may write it.
func isExtension(resource schema.GroupResource) bool {
	return slices.Contains(extensions, resource.Group)
}

func discover() rbacv1.PolicyRule {
	return paths([]string{"get", "head"}, slices.Concat(discoveryPaths, healthPaths)...)
}

func resources(verbs, groups []string, names ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{Verbs: verbs, APIGroups: groups, Resources: names}
}

func paths(verbs []string, names ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{Verbs: verbs, NonResourceURLs: names}
}

// standard returns the metadata of upstream's defaults. The annotation makes the server
// restore the object when it starts.
func standard(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Name:        name,
		Labels:      map[string]string{"kubernetes.io/bootstrapping": "rbac-defaults"},
		Annotations: map[string]string{rbacv1.AutoUpdateAnnotationKey: "true"},
	}
}

func role(name string, rules ...rbacv1.PolicyRule) rbacv1.ClusterRole {
	return rbacv1.ClusterRole{ObjectMeta: standard(name), Rules: rules}
}

// aggregated returns a role with the rules of all roles that are labeled for it. It is
// itself labeled for the role into, if there is one.
func aggregated(name, into string) rbacv1.ClusterRole {
	r := role(name)
	if into != "" {
		r.Labels[aggregateToLabel+into] = "true"
	}
	r.AggregationRule = &rbacv1.AggregationRule{
		ClusterRoleSelectors: []metav1.LabelSelector{{MatchLabels: map[string]string{aggregateToLabel + name: "true"}}},
	}
	return r
}

// part returns the role with the server's own rules of an aggregated role.
func part(of string, rules ...rbacv1.PolicyRule) rbacv1.ClusterRole {
	r := role(aggregateTo+of, rules...)
	r.Labels[aggregateToLabel+of] = "true"
	return r
}

func binding(role string, groups ...string) rbacv1.ClusterRoleBinding {
	b := rbacv1.ClusterRoleBinding{
		ObjectMeta: standard(role), RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
	}
	for _, group := range groups {
		b.Subjects = append(b.Subjects, rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: group})
	}
	return b
}
