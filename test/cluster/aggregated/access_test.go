//go:build e2e

package aggregated

import (
	"context"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/generated/clientset/versioned"
	"github.com/portolan-dev/portolan/test/framework"
)

// can is what a user may do in the namespace of the test, and may not.
var can = map[string]map[string]bool{
	"viewer": {
		"get services": true, "list endpoints": true, "watch endpointslices": true, "get services/status": true,
		"create services": false, "delete services": false, "get services/proxy": false, "create endpoints": false,
	},
	"editor": {
		"get services": true, "create services": true, "patch services": true, "deletecollection services": true, "get services/proxy": true,
		// As of the cluster's own (CVE-2021-25740).
		"create endpoints": false, "create endpointslices": false, "update services/status": false,
	},
	"manager": {"get services": true, "update services": true, "delete services": true, "create endpoints": false},
	"nobody":  {"get services": false, "list services": false, "create services": false},
}

// testAccess has users come who were given the cluster's own roles in one
// namespace, which cover the group by aggregation.
func testAccess(t *testing.T, g *fixture) {
	ns, other := g.newNamespace(t, "access"), g.newNamespace(t, "elsewhere")
	g.createService(t, ns, newService("web"))
	for user, role := range map[string]string{"viewer": "view", "editor": "edit", "manager": "admin"} {
		g.bind(t, ns, role, rbacv1.Subject{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: user})
	}
	for user, rights := range can {
		config := rest.CopyConfig(g.admin)
		config.Impersonate.UserName = user
		client, err := kubernetes.NewForConfig(config)
		if err != nil {
			t.Fatal(err)
		}
		for right, want := range rights {
			verb, resource, _ := strings.Cut(right, " ")
			resource, subresource, _ := strings.Cut(resource, "/")
			for namespace, want := range map[string]bool{ns: want, other: false} {
				review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
					ResourceAttributes: &authorizationv1.ResourceAttributes{
						Namespace: namespace, Verb: verb, Group: v1.GroupName, Resource: resource, Subresource: subresource,
					},
				}}
				answer, err := client.AuthorizationV1().SelfSubjectAccessReviews().Create(t.Context(), review, metav1.CreateOptions{})
				if err != nil || answer.Status.Allowed != want {
					t.Errorf("may %s %s? want %t, got %v, %v", user, right, want, answer.Status, err)
				}
			}
		}
	}
	admin := framework.NewKubectl(t, g.kubeconfig).With("-n", ns)
	admin.Expect(admin.Run("auth", "can-i", "create", "psvc", "--as=editor"), "yes")
	admin.Expect(admin.Fail("auth", "can-i", "create", "psvc", "--as=viewer"), "no")

	// What RBAC says is so, for users with a certificate and for impersonated ones.
	for _, as := range []func(user string) *framework.Kubectl{
		func(user string) *framework.Kubectl { return framework.NewKubectl(t, g.users.kubeconfig(t, user)) },
		func(user string) *framework.Kubectl {
			return framework.NewKubectl(t, g.kubeconfig).With("--as=" + user)
		},
	} {
		viewer, editor, nobody := as("viewer"), as("editor"), as("nobody")
		viewer.Expect(viewer.Run("get", "psvc", "-n", ns), "web")
		viewer.Expect(viewer.Fail("delete", "psvc", "web", "-n", ns),
			`Error from server (Forbidden): services.portolan.dev "web" is forbidden: User "viewer" cannot delete resource "services" in API group "portolan.dev" in the namespace "`+ns+`"`)
		viewer.Expect(viewer.Fail("get", "psvc", "-n", other),
			`services.portolan.dev is forbidden: User "viewer" cannot list resource "services" in API group "portolan.dev" in the namespace "`+other+`"`)
		editor.Feed(manifest("made"), "create", "-n", ns, "-f", "-")
		editor.Run("delete", "psvc", "made", "-n", ns)
		nobody.Expect(nobody.Fail("get", "psvc", "-A"),
			`Error from server (Forbidden): services.portolan.dev is forbidden: User "nobody" cannot list resource "services" in API group "portolan.dev" at the cluster scope`)
	}
}

// testRangeAccess has users of what belongs to no namespace: those that may view in
// all namespaces, and those with the role that no other one covers.
func testRangeAccess(t *testing.T, g *fixture) {
	const reader, ranger, other = "reader", "ranger", "viewer-of-one"
	for user, role := range map[string]string{reader: "view", ranger: "portolan-ranges"} {
		_, err := g.client.RbacV1().ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: user},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
			Subjects:   []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: user}},
		}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
	}
	ns := g.newNamespace(t, "ranges")
	g.bind(t, ns, "view", rbacv1.Subject{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: other})
	reservation := `{"apiVersion":"portolan.dev/v1","kind":"NodePort","metadata":{"name":"28002"},"spec":{"protocols":["TCP"],"parentRef":{"resource":"reservations","name":"ranger"}}}`
	as := func(user string) *framework.Kubectl { return framework.NewKubectl(t, g.users.kubeconfig(t, user)) }
	for _, kind := range []string{
		"servicecidrs.portolan.dev", "nodeportranges", "nodeports", "ipaddresses.portolan.dev", "loadbalancerpools", "loadbalancerips",
	} {
		as(reader).Run("get", kind)
		as(ranger).Run("get", kind)
		k := as(other)
		k.Expect(k.Fail("get", kind), `Error from server (Forbidden)`, `User "`+other+`" cannot list resource`)
	}
	k := as(reader)
	k.Expect(k.FailFed(reservation, "create", "-f", "-"), `User "`+reader+`" cannot create resource "nodeports"`)
	k = as(ranger)
	k.Expect(k.Feed(reservation, "create", "-f", "-"), "nodeport.portolan.dev/28002 created")
	k.Expect(k.Run("delete", "nodeport", "28002"), "deleted")
	k.Expect(k.Fail("get", "psvc", "-A"), `User "`+ranger+`" cannot list resource "services"`)
}

// bind gives a role of the cluster in a namespace.
func (g *fixture) bind(t *testing.T, namespace, role string, subject rbacv1.Subject) {
	t.Helper()
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: role},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
		Subjects:   []rbacv1.Subject{subject},
	}
	if _, err := g.client.RbacV1().RoleBindings(namespace).Create(t.Context(), binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// accountKubeconfig is a file with a token of the namespace's default service
// account.
func (g *fixture) accountKubeconfig(t *testing.T, namespace string) string {
	t.Helper()
	var token string
	framework.Eventually(t, "there is a service account", func(ctx context.Context) (bool, error) {
		answer, err := g.client.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, "default", &authenticationv1.TokenRequest{},
			metav1.CreateOptions{})
		if err == nil {
			token = answer.Status.Token
		}
		return err == nil, err
	})
	return g.tokenKubeconfig(t, namespace, token)
}

// testSameRefusal wants a replica to know and to refuse a user that comes to it
// directly as the cluster does: by certificate and by token.
func testSameRefusal(t *testing.T, g *fixture) {
	ctx := t.Context()
	ns := g.newNamespace(t, "refusal")
	g.createService(t, ns, newService("web"))
	subject := rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: ns, Name: "default"}
	g.bind(t, ns, "view", subject)
	for user, file := range map[string]string{
		"system:serviceaccount:" + ns + ":default": g.accountKubeconfig(t, ns),
		"stranger": g.users.kubeconfig(t, "stranger"),
	} {
		through, err := versioned.NewForConfig(g.configOf(t, file))
		if err != nil {
			t.Fatal(err)
		}
		var words []string
		for way, client := range map[string]versioned.Interface{"through the cluster": through, "directly": g.direct(t, file)} {
			_, err := client.PortolanV1().Services(ns).Get(ctx, "web", metav1.GetOptions{})
			if mayGet := strings.HasPrefix(user, "system:serviceaccount"); mayGet != (err == nil) {
				t.Errorf("%s, %s: get: %v", user, way, err)
			}
			err = client.PortolanV1().Services(ns).Delete(ctx, "web", metav1.DeleteOptions{})
			if !apierrors.IsForbidden(err) {
				t.Fatalf("%s, %s: delete: %v", user, way, err)
			}
			words = append(words, said(t, err))
			if want := `User "` + user + `" cannot delete resource`; !strings.Contains(err.Error(), want) {
				t.Errorf("%s, %s: want %s in %v", user, way, want, err)
			}
		}
		if words[0] != words[1] {
			t.Errorf("%s:\n%s\n%s", user, words[0], words[1])
		}
	}
	bad := g.direct(t, g.tokenKubeconfig(t, "bad", "no.such.token"))
	if _, err := bad.PortolanV1().Services(ns).Get(ctx, "web", metav1.GetOptions{}); !apierrors.IsUnauthorized(err) {
		t.Errorf("a token that is none: %v", err)
	}
}
