package users

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/portolan-dev/portolan/pkg/cmd"
	"github.com/portolan-dev/portolan/pkg/users"
	"github.com/portolan-dev/portolan/test/framework"
)

// portolan runs a command about the users of a server.
func portolan(t *testing.T, s *framework.Server, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	command := cmd.NewCommand()
	command.SetArgs(append(args, "--data-dir="+s.DataDir))
	command.SetOut(&out)
	command.SetErr(&out)
	err := command.ExecuteContext(t.Context())
	return out.String(), err
}

func configOf(t *testing.T, kubeconfig string) *rest.Config {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	return config
}

func kubernetesOf(t *testing.T, config *rest.Config) kubernetes.Interface {
	t.Helper()
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// expectRemoved expects the requests of a removed user to be denied.
func expectRemoved(t *testing.T, client kubernetes.Interface) {
	t.Helper()
	_, err := client.CoreV1().Services("default").List(t.Context(), metav1.ListOptions{})
	if !apierrors.IsForbidden(err) || !strings.HasSuffix(err.Error(), "the user was removed") {
		t.Errorf("the answer is %v", err)
	}
	if _, err := client.Discovery().ServerGroups(); !apierrors.IsForbidden(err) {
		t.Errorf("the answer to discovery is %v", err)
	}
}

// TestRemove removes a reader and an administrator while they use the server.
func TestRemove(t *testing.T) {
	t.Parallel()
	s := framework.Start(t, nil)
	ann := kubernetesOf(t, configOf(t, add(t, s, "ann", users.Readers)))
	root := kubernetesOf(t, configOf(t, add(t, s, "root", "system:masters")))
	watch, err := ann.CoreV1().Services("default").Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ann", "root"} {
		out, err := portolan(t, s, "user", "remove", name)
		if want := name + " no longer has any rights. To let the user back in, with all certificates of the name:\n\n" +
			"  kubectl delete clusterrolebinding portolan:removed:" + name + "\n"; err != nil || out != want {
			t.Errorf("it prints %q, %v", out, err)
		}
	}
	for open := true; open; {
		select {
		case _, open = <-watch.ResultChan():
		case <-time.After(time.Minute):
			t.Fatal("the watch of a removed user goes on")
		}
	}
	expectRemoved(t, ann)
	expectRemoved(t, root)
	if out, err := portolan(t, s, "user", "remove", "ann"); err != nil || !strings.HasPrefix(out, "ann no longer has any rights") {
		t.Errorf("again: %q, %v", out, err)
	}
	if out, err := portolan(t, s, "user", "list"); err != nil || !containsLine(out, "ann", users.Readers, "removed") ||
		!containsLine(out, "root", "system:masters", "removed") || !containsLine(out, "portolan-admin", "system:masters", "cluster-admin") {
		t.Errorf("%v\n%s", err, out)
	}
	if _, err := portolan(t, s, "user", "add", "ann", "--out="+t.TempDir()+"/ann"); err == nil ||
		!strings.Contains(err.Error(), "ann was removed: ") {
		t.Errorf("a removed user is added with %v", err)
	}
	if _, err := portolan(t, s, "user", "remove", "portolan-admin"); err == nil ||
		!strings.Contains(err.Error(), "users cannot remove themselves") {
		t.Errorf("an administrator removes itself with %v", err)
	}
	if out, err := portolan(t, s, "user", "remove", "nobody"); err != nil ||
		!strings.HasPrefix(out, "Warning: nobody has no certificate of this authority, and no role: ") {
		t.Errorf("it prints %q, %v", out, err)
	}

	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	s = framework.Start(t, s.Again(t))
	expectRemoved(t, ann)
	expectRemoved(t, root)
	framework.NewKubectl(t, s.Kubeconfig).Run("delete", "clusterrolebinding", "portolan:removed:ann")
	framework.Eventually(t, "ann is let back in", func(ctx context.Context) (bool, error) {
		_, err := ann.CoreV1().Services("default").List(ctx, metav1.ListOptions{})
		return err == nil, nil
	})
}

// TestRemoveImpersonator removes a user that impersonates another one, and that undoes its own
// removal in the other's name. The framework caches who may impersonate whom.
func TestRemoveImpersonator(t *testing.T) {
	t.Parallel()
	s := framework.Start(t, nil)
	kubectl := framework.NewKubectl(t, s.Kubeconfig)
	kubectl.Run("create", "clusterrolebinding", "deputies", "--clusterrole=cluster-admin", "--user=ann", "--user=bob")
	config := configOf(t, add(t, s, "ann"))
	config.Impersonate.UserName = "bob"
	asBob := kubernetesOf(t, config)
	bindings := asBob.RbacV1().ClusterRoleBindings()
	undo := func(ctx context.Context) error {
		return bindings.Delete(ctx, "portolan:removed:ann", metav1.DeleteOptions{})
	}
	framework.Eventually(t, "ann may impersonate bob", func(ctx context.Context) (bool, error) {
		return apierrors.IsNotFound(undo(ctx)), nil
	})
	watch, err := asBob.CoreV1().Services("default").Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if out, err := portolan(t, s, "user", "remove", "ann"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if err := undo(t.Context()); !apierrors.IsForbidden(err) || !strings.HasSuffix(err.Error(),
		`User "ann" cannot impersonate resource "users" in API group "" at the cluster scope: the user was removed`) {
		t.Errorf("undoing the own removal is answered with %v", err)
	}
	for open := true; open; {
		select {
		case _, open = <-watch.ResultChan():
		case <-time.After(time.Minute):
			t.Fatal("the watch of a removed user goes on")
		}
	}
	kubectl.Run("get", "services", "--as=bob")
	if out := kubectl.Fail("create", "rolebinding", "bob", "--clusterrole=portolan:removed", "--user=bob"); !strings.Contains(out,
		"roleRef.name: Forbidden: only a ClusterRoleBinding can remove users") {
		t.Errorf("a RoleBinding is answered with %s", out)
	}
}

// TestRemoveDuringWrite removes an administrator who has begun to undo that: the request is
// authorized before its body is there.
func TestRemoveDuringWrite(t *testing.T) {
	t.Parallel()
	s := framework.Start(t, nil)
	config := configOf(t, add(t, s, "root", "system:masters"))
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	body, send := io.Pipe()
	url := config.Host + "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/portolan:removed:root"
	request, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, url, body)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	code := make(chan int)
	go func() {
		answer, err := client.Do(request)
		if err != nil {
			t.Error(err)
			close(code)
			return
		}
		_ = answer.Body.Close()
		code <- answer.StatusCode
	}()
	// The request is at the server when it waits for more of the body than this.
	if _, err := send.Write([]byte("{")); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second)
	if out, err := portolan(t, s, "user", "remove", "root"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	_, _ = send.Write([]byte("}"))
	_ = send.Close()
	if got := <-code; got != http.StatusGatewayTimeout {
		t.Errorf("the answer is %d", got)
	}
	expectRemoved(t, kubernetesOf(t, config))
	framework.NewKubectl(t, s.Kubeconfig).Run("get", "clusterrolebinding", "portolan:removed:root")
}

// containsLine reports whether a line of a text has all words.
func containsLine(text string, words ...string) bool {
	for line := range strings.Lines(text) {
		all := true
		for _, word := range words {
			all = all && strings.Contains(line, word)
		}
		if all {
			return true
		}
	}
	return false
}

// TestMayRemove expects the right to write bindings not to be enough for removing others, or
// for letting them back in.
func TestMayRemove(t *testing.T) {
	t.Parallel()
	s := framework.Start(t, nil)
	kubectl := framework.NewKubectl(t, s.Kubeconfig)
	kubectl.Run("create", "clusterrole", "deputy", "--verb=get,list,create,update,patch,delete,deletecollection",
		"--resource=clusterrolebindings.rbac.authorization.k8s.io")
	kubectl.Run("create", "clusterrolebinding", "deputy", "--clusterrole=deputy", "--user=deputy")
	if _, err := portolan(t, s, "user", "remove", "ann"); err != nil {
		t.Fatal(err)
	}
	file := add(t, s, "deputy")
	deputy := framework.NewKubectl(t, file)
	awaitCanI(t, deputy, "yes", "delete", "clusterrolebindings.rbac.authorization.k8s.io")
	const refused = "only those who may bind the ClusterRole portolan:removed may remove users or undo it"
	removeBob := []string{"create", "clusterrolebinding", "portolan:removed:bob", "--clusterrole=portolan:removed", "--user=bob"}
	undo := []string{"delete", "clusterrolebinding", "portolan:removed:ann"}
	for _, args := range [][]string{
		removeBob, undo,
		{"patch", "clusterrolebinding", "portolan:removed:ann", "--type=json", `--patch=[{"op":"remove","path":"/subjects"}]`},
		{"annotate", "clusterrolebinding", "portolan:removed:ann", "a=b"},
		{"patch", "clusterrolebinding", "portolan:removed:ann", "--type=merge", `--patch={"metadata":{"finalizers":["example.com/a"]}}`},
	} {
		deputy.Expect(deputy.Fail(args...), refused)
	}
	client := kubernetesOf(t, configOf(t, file))
	all := metav1.ListOptions{FieldSelector: "metadata.name=portolan:removed:ann"}
	if err := client.RbacV1().ClusterRoleBindings().DeleteCollection(t.Context(), metav1.DeleteOptions{}, all); !apierrors.IsForbidden(err) {
		t.Errorf("deleting a collection is answered with %v", err)
	}

	kubectl.Run("create", "clusterrole", "remover", "--verb=bind", "--resource=clusterroles.rbac.authorization.k8s.io",
		"--resource-name=portolan:removed")
	kubectl.Run("create", "clusterrolebinding", "remover", "--clusterrole=remover", "--user=deputy")
	awaitCanI(t, deputy, "yes", "bind", "clusterroles.rbac.authorization.k8s.io/portolan:removed")
	deputy.Run(removeBob...)
	deputy.Run(undo...)

	bindings := kubernetesOf(t, s.Config).RbacV1().ClusterRoleBindings()
	for kind, want := range map[string]string{"Group": `supported values: "User"`, "ServiceAccount": `supported values: "User"`} {
		binding := &rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: "x"}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: users.Removed},
			Subjects: []rbacv1.Subject{{Kind: kind, Name: "system:authenticated"}},
		}
		if _, err := bindings.Create(t.Context(), binding, metav1.CreateOptions{}); !apierrors.IsInvalid(err) ||
			!strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

// TestAddWithRoles adds users with roles.
func TestAddWithRoles(t *testing.T) {
	t.Parallel()
	s := framework.Start(t, nil)
	kubectl := framework.NewKubectl(t, s.Kubeconfig)
	kubectl.Run("create", "namespace", "team")
	kubectl.Run("create", "role", "web", "--namespace=team", "--verb=get", "--resource=services", "--resource-name=web")
	for range 2 {
		// What the first run bound the second leaves.
		out, err := portolan(t, s, "user", "add", "bob", "--cluster-role=view", "--role=web", "--role=missing", "--namespace=team",
			"--group=crew", "--out="+t.TempDir()+"/bob")
		if err != nil || !strings.Contains(out, `Warning: there is no Role "missing": bob has no rights by it until there is`) ||
			!strings.Contains(out, `Warning: the group "crew" has no rights`) {
			t.Errorf("%v\n%s", err, out)
		}
	}
	out, err := portolan(t, s, "user", "list")
	if err != nil || !containsLine(out, "bob", "crew", "view in team", "web in team", "missing in team (does not exist)",
		"valid until") {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := portolan(t, s, "user", "add", "carl", "--cluster-role=view"); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	awaitCanI(t, kubectl, "yes", "get", "services/web", "--namespace=team", "--as=bob")
	awaitCanI(t, kubectl, "no", "get", "services", "--as=bob")
	awaitCanI(t, kubectl, "yes", "get", "services", "--as=carl")
	if _, err := portolan(t, s, "user", "add", "dora", "--cluster-role=view", "--namespace=absent"); err == nil ||
		!strings.Contains(err.Error(), `namespaces "absent" not found`) {
		t.Errorf("a missing namespace is answered with %v", err)
	}
	// A group that a role is bound to has rights.
	kubectl.Run("create", "clusterrolebinding", "crew", "--clusterrole=view", "--group=crew")
	if out, err := portolan(t, s, "user", "add", "eve", "--group=crew"); err != nil || strings.Contains(out, "Warning") {
		t.Errorf("%v\n%s", err, out)
	}
}
