package server

import (
	"cmp"
	"fmt"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/portolan-dev/portolan/pkg/gateway/preflight"
	"github.com/portolan-dev/portolan/pkg/server/auth"
	"github.com/portolan-dev/portolan/pkg/server/options"
)

// rightsIn returns the rights to do each of some verbs with each of some resources, such as
// "pods" or "resourcequotas/status". Namespace may be empty.
func rightsIn(namespace, purpose, group string, verbs []string, resources ...string) []preflight.Right {
	var rights []preflight.Right
	for _, resource := range resources {
		resource, subresource, _ := strings.Cut(resource, "/")
		for _, verb := range verbs {
			rights = append(rights, preflight.Right{For: purpose, ResourceAttributes: authorizationv1.ResourceAttributes{
				Namespace: namespace, Group: group, Verb: verb, Resource: resource, Subresource: subresource,
			}})
		}
	}
	return rights
}

func rights(purpose, group string, verbs []string, resources ...string) []preflight.Right {
	return rightsIn(metav1.NamespaceAll, purpose, group, verbs, resources...)
}

// neededRights returns the rights that a server needs in its cluster. They are those of
// artifacts/cluster/server/rbac.yaml that concern every gateway.
func neededRights(o *options.Options) ([]preflight.UserRights, error) {
	create, follow := []string{"create"}, []string{"list", "watch"}
	authenticate := rights("authenticating bearer tokens", "authentication.k8s.io", create, "tokenreviews")
	if !o.Authentication.SkipInClusterLookup {
		lookup := rightsIn(metav1.NamespaceSystem, "authenticating client certificates", "", []string{"get", "list", "watch"}, "configmaps")
		for i := range lookup {
			lookup[i].Name = auth.AuthenticationConfigMap
		}
		authenticate = append(authenticate, lookup...)
	}
	authorize := rights("authorizing users", "authorization.k8s.io", create, "subjectaccessreviews")
	admit := rights("admission", "", follow, "namespaces", "resourcequotas")
	admit = append(admit, rights("admission", "", []string{"get"}, "namespaces")...)
	admit = append(admit, rights("admission", "", []string{"update"}, "resourcequotas/status")...)
	admit = append(admit, rights("admission", "admissionregistration.k8s.io", follow, "mutatingadmissionpolicies",
		"mutatingadmissionpolicybindings", "mutatingwebhookconfigurations", "validatingadmissionpolicies", "validatingadmissionpolicybindings",
		"validatingwebhookconfigurations")...)
	rest := append(admit, rights("the proxy of Services", "", []string{"get"}, "pods")...)
	if o.Features.EnablePriorityAndFairness {
		const group = "flowcontrol.apiserver.k8s.io"
		rest = append(rest, rights("priority and fairness", group, follow, "flowschemas", "prioritylevelconfigurations")...)
	}
	if o.HasControllers() {
		rest = append(rest, rights("the controllers of endpoints", "", follow, "pods", "nodes")...)
		rest = append(rest, rights("the controllers of endpoints", "", []string{"create", "patch"}, "events")...)
		if election := o.Controllers.LeaderElection; election.LeaderElect {
			rest = append(rest, rightsIn(election.ResourceNamespace, "the election of the replica that runs controllers", "coordination.k8s.io",
				create, "leases")...)
		}
	}
	main := "kubeconfig"
	if o.ServiceAccount {
		main = "in-cluster"
	}
	return usersOf(
		userOf{main, o.ClusterConfig, rest},
		userOf{cmp.Or(flagIf("authentication-kubeconfig", o.Authentication.RemoteKubeConfigFile), main), o.AuthenticationConfig, authenticate},
		userOf{cmp.Or(flagIf("authorization-kubeconfig", o.Authorization.RemoteKubeConfigFile), main), o.AuthorizationConfig, authorize},
	)
}

// flagIf returns a flag that has a value, and nothing otherwise.
func flagIf(flag, value string) string {
	if value == "" {
		return ""
	}
	return flag
}

type userOf struct {
	flag   string
	config func() (*rest.Config, error)
	rights []preflight.Right
}

// usersOf makes a client for each flag that names a user, and joins the rights of each.
func usersOf(all ...userOf) ([]preflight.UserRights, error) {
	var users []preflight.UserRights
	for _, one := range all {
		if len(users) > 0 && users[0].Flag == one.flag {
			users[0].Rights = append(users[0].Rights, one.rights...)
			continue
		}
		config, err := one.config()
		if err != nil {
			return nil, err
		}
		client, err := kubernetes.NewForConfig(config)
		if err != nil {
			return nil, fmt.Errorf("client of the cluster: %w", err)
		}
		users = append(users, preflight.UserRights{Flag: one.flag, Client: client, Rights: one.rights})
	}
	return users, nil
}
