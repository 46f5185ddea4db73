//go:build e2e

package aggregated

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/test/framework"
)

// right is one verb on one resource, which may be of one name only.
type right struct{ group, resource, verb, name string }

func (r right) String() string {
	return strings.TrimSpace(fmt.Sprintf("%s %s of group %q %s", r.verb, r.resource, r.group, r.name))
}

// testRights uses every right of Portolan's account. It fails if a request of the
// account was forbidden, or if a right is still unused. A server that starts uses
// the rights to watch, to register itself and to elect a leader.
func testRights(t *testing.T, g *fixture) {
	for name, use := range map[string]func(*testing.T, *fixture){
		"missing namespace": useNamespaces,
		"quota":             useQuotas,
		"proxy":             usePods,
		"certificate":       useSecrets,
		"token":             useReviews,
		"events":            testEvents,
		"flow schemas":      testFlowSchemas,
	} {
		t.Run(name, func(t *testing.T) { use(t, g) })
	}
	used := g.usedRights(t)
	granted := g.grantedRights(t)
	if len(granted) == 0 {
		t.Error("the account has no rights")
	}
	for _, r := range granted {
		// Informers have the cluster send what there is as part of a watch, and
		// list where it can't: before 1.32, or without the feature WatchList.
		asked := r
		if r.verb == "list" {
			asked.verb = "watch"
		}
		if !used[asked] {
			t.Errorf("may %s, and never did", r)
		}
	}
	for _, r := range []right{
		{authenticationv1.GroupName, "tokenreviews", "create", ""},
		{authorizationv1.GroupName, "subjectaccessreviews", "create", ""},
		{"", "configmaps", "watch", "extension-apiserver-authentication"},
	} {
		if !used[r] {
			t.Errorf("a role of the cluster's own is bound for %s, which was never asked", r)
		}
	}
}

// useNamespaces creates a Service in a namespace that doesn't exist, which
// Portolan gets to be certain.
func useNamespaces(t *testing.T, g *fixture) {
	_, err := g.portolan.PortolanV1().Services("no-such-namespace").Create(t.Context(), newService("web"), metav1.CreateOptions{})
	if !apierrors.IsNotFound(err) {
		t.Errorf("a Service in a missing namespace: %v", err)
	}
}

// useQuotas creates a Service in a namespace with a quota, which Portolan charges.
func useQuotas(t *testing.T, g *fixture) {
	ns := g.newNamespace(t, "charged")
	g.createQuota(t, ns)
	// The cluster's controller looks for new resources to count every 30 seconds.
	g.awaitCounted(t, ns, 0)
	// Portolan refuses the Service until its own watch shows the quota's status.
	framework.Eventually(t, "a Service is created", func(ctx context.Context) (bool, error) {
		_, err := g.portolan.PortolanV1().Services(ns).Create(ctx, newService("web"), metav1.CreateOptions{})
		return err == nil, err
	})
	g.awaitCounted(t, ns, 1)
}

// usePods sends a request through a Service to its Pod, which Portolan gets first.
func usePods(t *testing.T, g *fixture) {
	path := g.serveProxied(t, g.newNamespace(t, "proxied"))
	k := framework.NewKubectl(t, g.kubeconfig)
	k.Expect(k.Run("get", "--raw", path+"/right"), "GET /right")
}

// useSecrets has Portolan renew its serving certificate.
func useSecrets(t *testing.T, g *fixture) {
	_, current, err := g.readServing(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	due := g.makeServingDue(t, current)
	g.awaitServing(t, "the certificate is renewed", func(content serving) bool { return !content.served.Cert.Equal(due) })
}

// useReviews sends a token directly to a replica, which asks the cluster whose it
// is and what its holder may do.
func useReviews(t *testing.T, g *fixture) {
	ns := g.newNamespace(t, "reviews")
	_, err := g.direct(t, g.accountKubeconfig(t, ns)).PortolanV1().Services(ns).List(t.Context(), metav1.ListOptions{})
	if !apierrors.IsForbidden(err) {
		t.Errorf("a service account without rights lists Services: %v", err)
	}
}

// usedRights is what Portolan did, for any name and for the one that it named.
// What was forbidden is an error.
func (g *fixture) usedRights(t *testing.T) map[right]bool {
	t.Helper()
	all, err := events(g.auditLog())
	if err != nil {
		t.Fatal(err)
	}
	used := map[right]bool{}
	for _, event := range all {
		if event.User.Username != portolanUser || event.ObjectRef == nil || event.ResponseStatus == nil {
			continue
		}
		if event.ResponseStatus.Code == http.StatusForbidden {
			t.Errorf("forbidden: %s %s: %s", event.Verb, event.RequestURI, event.ResponseStatus.Message)
			continue
		}
		ref := event.ObjectRef
		resource := ref.Resource
		if ref.Subresource != "" {
			resource += "/" + ref.Subresource
		}
		used[right{ref.APIGroup, resource, event.Verb, ""}] = true
		used[right{ref.APIGroup, resource, event.Verb, ref.Name}] = true
	}
	return used
}

// grantedRights is what the roles allow that are bound to the account, but for
// those of the cluster's own.
func (g *fixture) grantedRights(t *testing.T) []right {
	t.Helper()
	ctx := t.Context()
	var rules []rbacv1.PolicyRule
	add := func(role metav1.Object, its []rbacv1.PolicyRule, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		if role.GetLabels()["kubernetes.io/bootstrapping"] == "" {
			rules = append(rules, its...)
		}
	}
	addClusterRole := func(name string) {
		role, err := g.client.RbacV1().ClusterRoles().Get(ctx, name, metav1.GetOptions{})
		add(role, role.Rules, err)
	}
	ofCluster, err := g.client.RbacV1().ClusterRoleBindings().List(ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, binding := range ofCluster.Items {
		if isPortolans(binding.Subjects) {
			addClusterRole(binding.RoleRef.Name)
		}
	}
	ofNamespaces, err := g.client.RbacV1().RoleBindings(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, binding := range ofNamespaces.Items {
		if !isPortolans(binding.Subjects) {
			continue
		}
		if binding.RoleRef.Kind == "ClusterRole" {
			addClusterRole(binding.RoleRef.Name)
			continue
		}
		role, err := g.client.RbacV1().Roles(binding.Namespace).Get(ctx, binding.RoleRef.Name, metav1.GetOptions{})
		add(role, role.Rules, err)
	}
	var granted []right
	for _, rule := range rules {
		granted = append(granted, rightsOf(rule)...)
	}
	return granted
}

func isPortolans(subjects []rbacv1.Subject) bool {
	return slices.ContainsFunc(subjects, func(s rbacv1.Subject) bool {
		return s.Kind == rbacv1.ServiceAccountKind && s.Namespace == namespace && s.Name == "portolan"
	})
}

func rightsOf(rule rbacv1.PolicyRule) []right {
	names := rule.ResourceNames
	if len(names) == 0 {
		names = []string{""}
	}
	var all []right
	for _, group := range rule.APIGroups {
		for _, resource := range rule.Resources {
			for _, verb := range rule.Verbs {
				for _, name := range names {
					all = append(all, right{group, resource, verb, name})
				}
			}
		}
	}
	return all
}

// testFlowSchemas makes FlowSchemas of a level that isn't there until it was
// Portolan that said so. kube-apiserver does, too: the second one finds it
// said.
func testFlowSchemas(t *testing.T, g *fixture) {
	schemas := g.client.FlowcontrolV1().FlowSchemas()
	schema := &flowcontrolv1.FlowSchema{
		ObjectMeta: metav1.ObjectMeta{Name: "of-no-level"},
		Spec: flowcontrolv1.FlowSchemaSpec{
			PriorityLevelConfiguration: flowcontrolv1.PriorityLevelConfigurationReference{Name: "no-such-level"},
			MatchingPrecedence:         9000,
		},
	}
	framework.Eventually(t, "Portolan says that a FlowSchema names no level", func(ctx context.Context) (bool, error) {
		made, err := schemas.Create(ctx, schema, metav1.CreateOptions{})
		if err != nil {
			return false, err
		}
		framework.Eventually(t, "it is said", func(ctx context.Context) (bool, error) {
			current, err := schemas.Get(ctx, made.Name, metav1.GetOptions{})
			if err != nil {
				return false, err
			}
			return slices.ContainsFunc(current.Status.Conditions, func(c flowcontrolv1.FlowSchemaCondition) bool {
				return c.Type == flowcontrolv1.FlowSchemaConditionDangling && c.Status == flowcontrolv1.ConditionTrue
			}), nil
		})
		if err := schemas.Delete(ctx, made.Name, metav1.DeleteOptions{}); err != nil {
			return false, err
		}
		return g.usedRights(t)[right{flowcontrolv1.GroupName, "flowschemas/status", "patch", ""}], nil
	})
}

// testEvents has more addresses in Endpoints than are mirrored, of which the user
// is told: the second time the event counts, for which Portolan patches it.
func testEvents(t *testing.T, g *fixture) {
	ctx := t.Context()
	ns := g.newNamespace(t, "events")
	g.createService(t, ns, newService("web", func(svc *v1.Service) { svc.Spec.Selector = nil }))
	subset := corev1.EndpointSubset{Ports: []corev1.EndpointPort{{Port: 80}}}
	for i := range 1001 {
		subset.Addresses = append(subset.Addresses, corev1.EndpointAddress{IP: fmt.Sprintf("203.0.%d.%d", 113+i/250, 1+i%250)})
	}
	endpoints := g.portolan.PortolanV1().Endpoints(ns)
	made, err := endpoints.Create(ctx, &v1.Endpoints{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Subsets: []corev1.EndpointSubset{subset}},
		metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	awaitCount := func(want int32) {
		t.Helper()
		framework.Eventually(t, fmt.Sprintf("there are %d events", want), func(ctx context.Context) (bool, error) {
			list, err := g.client.CoreV1().Events(ns).List(ctx, metav1.ListOptions{FieldSelector: "reason=TooManyAddressesToMirror"})
			if err != nil || len(list.Items) != 1 {
				return false, err
			}
			event := list.Items[0]
			if about := event.InvolvedObject; about.APIVersion != v1.SchemeGroupVersion.String() || about.Kind != "Endpoints" ||
				about.UID != made.UID {
				return false, fmt.Errorf("it is about %v", about)
			}
			return event.Count >= want, fmt.Errorf("it says %d", event.Count)
		})
	}
	awaitCount(1)
	framework.Eventually(t, "1000 addresses are mirrored", func(ctx context.Context) (bool, error) {
		list, err := g.portolan.PortolanV1().EndpointSlices(ns).List(ctx, metav1.ListOptions{LabelSelector: "kubernetes.io/service-name=web"})
		if err != nil {
			return false, err
		}
		mirrored := 0
		for _, slice := range list.Items {
			mirrored += len(slice.Endpoints)
		}
		return mirrored == 1000, fmt.Errorf("%d are", mirrored)
	})
	patch := []byte(`{"metadata":{"labels":{"changed":"yes"}}}`)
	if _, err := endpoints.Patch(ctx, "web", types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	awaitCount(2)
	k := framework.NewKubectl(t, g.kubeconfig).With("-n", ns)
	k.Expect(k.Run("describe", "endpoints.portolan.dev", "web"), "TooManyAddressesToMirror",
		"A max of 1000 addresses can be mirrored to EndpointSlices per Endpoints subset. 1 addresses were skipped")
}
