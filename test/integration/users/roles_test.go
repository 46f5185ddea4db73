package users

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/portolan-dev/portolan/pkg/users"
	"github.com/portolan-dev/portolan/test/framework"
)

// awaitCanI waits until the answer to whether a user may do something is the wanted one. A
// server learns of roles and bindings from a watch.
func awaitCanI(t *testing.T, kubectl *framework.Kubectl, want string, args ...string) {
	t.Helper()
	framework.Eventually(t, strings.Join(args, " ")+" is answered with "+want, func(context.Context) (bool, error) {
		// The command fails where the answer is no, and warns of resources without a namespace.
		out, _ := kubectl.Try("", append([]string{"auth", "can-i"}, args...)...)
		return slices.ContainsFunc(strings.Split(out, "\n"), func(line string) bool { return strings.HasPrefix(line, want) }), nil
	})
}

// TestTeam gives a user a namespace, as the page says, and has the user try to get more.
func TestTeam(t *testing.T) {
	t.Parallel()
	s := framework.Start(t, nil)
	kubectl, ann := framework.NewKubectl(t, s.Kubeconfig), framework.NewKubectl(t, add(t, s, "ann"))
	kubectl.Run("create", "namespace", "team")
	kubectl.Run("create", "rolebinding", "ann", "--namespace=team", "--clusterrole=edit", "--user=ann")
	awaitCanI(t, ann, "yes", "create", "services", "--namespace=team")
	ann.Run("create", "service", "clusterip", "web", "--tcp=80", "--namespace=team")
	ann.Expect(ann.Fail("get", "services"), `User "ann" cannot list resource "services" in API group "" in the namespace "default"`)
	ann.Expect(ann.Fail("create", "role", "more", "--verb=get", "--resource=nodes", "--namespace=team"), "cannot create resource")

	kubectl.Run("create", "rolebinding", "ann-too", "--namespace=team", "--clusterrole=admin", "--user=ann")
	awaitCanI(t, ann, "yes", "create", "roles.rbac.authorization.k8s.io", "--namespace=team")
	ann.Run("create", "role", "less", "--verb=get", "--resource=services", "--namespace=team")
	for _, more := range [][]string{
		{"create", "role", "more", "--verb=get", "--resource=nodes", "--namespace=team"},
		{"create", "rolebinding", "more", "--clusterrole=cluster-admin", "--user=ann", "--namespace=team"},
		{"patch", "role", "less", "--namespace=team", "--type=json",
			`--patch=[{"op":"replace","path":"/rules","value":[{"verbs":["*"],"apiGroups":["*"],"resources":["*"]}]}]`},
	} {
		ann.Expect(ann.Fail(more...), `user "ann" (groups=["system:authenticated"]) is attempting to grant RBAC permissions not currently held`)
	}
	many := func(prefix string) string {
		var values []string
		for i := range 100 {
			values = append(values, fmt.Sprintf("%q", fmt.Sprint(prefix, i)))
		}
		return "[" + strings.Join(values, ",") + "]"
	}
	ann.Expect(ann.Fail("patch", "role", "less", "--namespace=team", "--type=merge",
		fmt.Sprintf(`--patch={"rules":[{"verbs":%s,"apiGroups":%s,"resources":%s}]}`, many("v"), many("g"), many("r"))),
		`the rules have too many combinations of API groups, resources, names and verbs to compare them with the rights of user "ann"`)
	ann.Expect(ann.Fail("create", "clusterrolebinding", "more", "--clusterrole=edit", "--user=ann"), "cannot create resource")
	kubectl.Run("delete", "rolebinding", "ann", "ann-too", "--namespace=team")
	awaitCanI(t, ann, "no", "create", "services", "--namespace=team")
}

// TestRolesAfterRestart expects a server that starts again to restore its own bindings, and
// to leave those that the administrator has changed or made.
func TestRolesAfterRestart(t *testing.T) {
	t.Parallel()
	s := framework.Start(t, nil)
	kubectl := framework.NewKubectl(t, s.Kubeconfig)
	kubectl.Run("annotate", "--overwrite", "clusterrolebinding", users.Writers, "rbac.authorization.kubernetes.io/autoupdate=false")
	kubectl.Run("patch", "clusterrolebinding", users.Writers, "--type=json", `--patch=[{"op":"remove","path":"/subjects"}]`)
	kubectl.Run("delete", "clusterrolebinding", users.Readers)
	kubectl.Run("create", "clusterrolebinding", "bob", "--clusterrole=view", "--user=bob")
	files := map[string]string{
		"ann": add(t, s, "ann", users.Readers), "bob": add(t, s, "bob"), "will": add(t, s, "will", users.Writers),
	}
	awaitCanI(t, framework.NewKubectl(t, files["ann"]), "no", "list", "services")
	awaitCanI(t, framework.NewKubectl(t, files["will"]), "no", "list", "services")
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	framework.Start(t, s.Again(t))
	// No waiting: a server that is ready knows the rights of all users.
	for name, allowed := range map[string]bool{"ann": true, "bob": true, "will": false} {
		config, err := clientcmd.BuildConfigFromFlags("", files[name])
		if err != nil {
			t.Fatal(err)
		}
		client, err := kubernetes.NewForConfig(config)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := client.CoreV1().Services("default").List(t.Context(), metav1.ListOptions{}); allowed && err != nil ||
			!allowed && !apierrors.IsForbidden(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
