package api

import (
	"context"
	"fmt"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/users"
	"github.com/portolan-dev/portolan/test/framework"
)

var dryRun = metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}

// denial is a policy that rejects requests unless an expression is true.
func denial(name, expression string, rule admissionregistrationv1.RuleWithOperations) *admissionregistrationv1.ValidatingAdmissionPolicy {
	return &admissionregistrationv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: admissionregistrationv1.ValidatingAdmissionPolicySpec{
			MatchConstraints: ruleOf(rule), Validations: []admissionregistrationv1.Validation{{Expression: expression}},
		},
	}
}

func createPolicy(t *testing.T, client kubernetes.Interface, policy *admissionregistrationv1.ValidatingAdmissionPolicy) {
	t.Helper()
	mustCreate(t, client.AdmissionregistrationV1().ValidatingAdmissionPolicies().Create, policy)
}

// onServices is a rule for the creation of Services of core v1.
func onServices() admissionregistrationv1.RuleWithOperations {
	rule := every
	rule.APIGroups, rule.APIVersions, rule.Resources = []string{""}, []string{"v1"}, []string{"services"}
	return rule
}

// awaitDenied waits until a create is denied for a reason.
func awaitDenied(t *testing.T, reason string, create func(context.Context) error) {
	t.Helper()
	framework.Eventually(t, "a request is denied: "+reason, func(ctx context.Context) (bool, error) {
		err := create(ctx)
		return err != nil && strings.Contains(err.Error(), reason), fmt.Errorf("got %w", err)
	})
}

// TestPolicyOfBothGroups has a policy for Services of core v1 decide about those of
// portolan.dev, which are the same objects, unless it wants an exact match.
func TestPolicyOfBothGroups(t *testing.T) {
	t.Parallel()
	s := framework.Start(t, nil)
	client := coreClient(t, s)
	exact := denial("exact", `object.metadata.name != "exact"`, onServices())
	exact.Spec.MatchConstraints.MatchPolicy = ptr.To(admissionregistrationv1.Exact)
	for _, policy := range []*admissionregistrationv1.ValidatingAdmissionPolicy{
		exact, denial("equivalent", `object.apiVersion == "v1" && object.metadata.name != "equivalent"`, onServices()),
	} {
		createPolicy(t, client, policy)
		bindTo(t, client, policy.Name)
	}
	core := client.CoreV1().Services("default")
	awaitDenied(t, "'exact'", func(ctx context.Context) error { return second(core.Create(ctx, coreService("exact"), dryRun)) })
	awaitDenied(t, "'equivalent'", func(ctx context.Context) error { return second(core.Create(ctx, coreService("equivalent"), dryRun)) })
	if err := second(servicesOf(s).Create(t.Context(), serviceWith("equivalent"), dryRun)); !apierrors.IsInvalid(err) {
		t.Errorf("portolan.dev, with an equivalent match: %v", err)
	}
	if err := second(servicesOf(s).Create(t.Context(), serviceWith("exact"), dryRun)); err != nil {
		t.Errorf("portolan.dev, with an exact match: %v", err)
	}
}

// TestPolicyParameters reads what a policy allows from a ConfigMap, also after the policy was
// deleted and created again. The server stops although it watches ConfigMaps for the policy.
func TestPolicyParameters(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := framework.Start(t, nil)
	client := coreClient(t, s)
	policies, maps := client.AdmissionregistrationV1().ValidatingAdmissionPolicies(), client.CoreV1().ConfigMaps("default")
	policy := denial("named", `object.metadata.name in params.data.names.split(",")`, onServices())
	policy.Spec.ParamKind = &admissionregistrationv1.ParamKind{APIVersion: "v1", Kind: "ConfigMap"}
	createPolicy(t, client, policy)
	binding := &admissionregistrationv1.ValidatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "named"},
		Spec: admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec{
			PolicyName: "named", ValidationActions: []admissionregistrationv1.ValidationAction{admissionregistrationv1.Deny},
			ParamRef: &admissionregistrationv1.ParamRef{
				Name: "names", Namespace: "default", ParameterNotFoundAction: ptr.To(admissionregistrationv1.DenyAction),
			},
		},
	}
	mustCreate(t, client.AdmissionregistrationV1().ValidatingAdmissionPolicyBindings().Create, binding)
	create := func(name string) func(context.Context) error {
		return func(ctx context.Context) error {
			return second(client.CoreV1().Services("default").Create(ctx, coreService(name), dryRun))
		}
	}
	awaitAllowed := func(name string) {
		t.Helper()
		framework.Eventually(t, "the Service "+name+" is allowed", func(ctx context.Context) (bool, error) {
			err := create(name)(ctx)
			return err == nil, err
		})
	}
	awaitDenied(t, "no params found for policy binding with `Deny` parameterNotFoundAction", create("web"))
	names := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "names"}, Data: map[string]string{"names": "web,db"}}
	mustCreate(t, maps.Create, names)
	awaitAllowed("web")
	awaitDenied(t, "failed expression", create("other"))

	if err := policies.Delete(ctx, "named", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	awaitAllowed("other")
	createPolicy(t, client, policy)
	awaitDenied(t, "failed expression", create("other"))
	names.Data["names"] = "other"
	if _, err := maps.Update(ctx, names, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	awaitAllowed("other")
	awaitDenied(t, "failed expression", create("web"))
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
}

// TestFailurePolicy evaluates an expression that fails.
func TestFailurePolicy(t *testing.T) {
	t.Parallel()
	s := framework.Start(t, nil)
	client := coreClient(t, s)
	for name, failure := range map[string]admissionregistrationv1.FailurePolicyType{
		"ignored": admissionregistrationv1.Ignore, "failed": admissionregistrationv1.Fail,
	} {
		policy := denial(name, "object.metadata.annotations.none == 'a'", onServices())
		policy.Spec.FailurePolicy = &failure
		policy.Spec.MatchConditions = []admissionregistrationv1.MatchCondition{{
			Name: "name", Expression: fmt.Sprintf("object.metadata.name == %q", name),
		}}
		createPolicy(t, client, policy)
		bindTo(t, client, name)
	}
	create := func(name string) func(context.Context) error {
		return func(ctx context.Context) error {
			return second(client.CoreV1().Services("default").Create(ctx, coreService(name), dryRun))
		}
	}
	awaitDenied(t, "no such key: annotations", create("failed"))
	if err := create("ignored")(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestDenyEverything has a policy reject every write. It rejects no write of policies and no
// review, the server starts with it, and everything works once it is gone.
func TestDenyEverything(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := framework.StartAll(t, nil)
	client := coreClient(t, s)
	all := every
	all.Operations = []admissionregistrationv1.OperationType{admissionregistrationv1.OperationAll}
	all.Resources = []string{"*/*"}
	createPolicy(t, client, denial("nothing", "false", all))
	bindTo(t, client, "nothing")
	awaitDenied(t, "'nothing'", func(ctx context.Context) error {
		return second(client.CoreV1().Services("default").Create(ctx, coreService("web"), dryRun))
	})
	review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
		ResourceAttributes: &authorizationv1.ResourceAttributes{Verb: "get", Resource: "services"},
	}}
	answer, err := client.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
	if err != nil || !answer.Status.Allowed {
		t.Errorf("a review is answered with %+v, error %v", answer, err)
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}

	s = framework.StartAll(t, s.Again(t))
	client = coreClient(t, s)
	if err := second(client.CoreV1().Services("default").Create(ctx, coreService("web"), metav1.CreateOptions{})); !apierrors.IsInvalid(err) {
		t.Errorf("after a restart: %v", err)
	}
	policies := client.AdmissionregistrationV1()
	if err := policies.ValidatingAdmissionPolicies().Delete(ctx, "nothing", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := policies.ValidatingAdmissionPolicyBindings().DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
		t.Fatal(err)
	}
	svc := coreService("web")
	svc.Spec.Selector = map[string]string{"a": "b"}
	framework.Eventually(t, "Services can be created again", func(ctx context.Context) (bool, error) {
		err := second(client.CoreV1().Services("default").Create(ctx, svc, metav1.CreateOptions{}))
		return err == nil, err
	})
	framework.Eventually(t, "the controllers write again", func(ctx context.Context) (bool, error) {
		options := metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=web"}
		slices, err := client.DiscoveryV1().EndpointSlices("default").List(ctx, options)
		return err == nil && len(slices.Items) == 1, err
	})
}

// TestMutationIsOneWrite changes Services before they get addresses and ports. Each is one
// write.
func TestMutationIsOneWrite(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	etcd := framework.StartEtcd(t)
	s := framework.Start(t, framework.On(etcd))
	client := coreClient(t, s)
	policy := &admissionregistrationv1.MutatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "ports"},
		Spec: admissionregistrationv1.MutatingAdmissionPolicySpec{
			MatchConstraints: ruleOf(onServices()),
			// The second time, the Service has an address.
			ReinvocationPolicy: admissionregistrationv1.IfNeededReinvocationPolicy,
			Mutations: []admissionregistrationv1.Mutation{{
				PatchType: admissionregistrationv1.PatchTypeApplyConfiguration,
				ApplyConfiguration: &admissionregistrationv1.ApplyConfiguration{Expression: `Object{
					metadata: Object.metadata{labels: {"address": has(object.spec.clusterIP) ? object.spec.clusterIP : "none"}},
					spec: Object.spec{type: "NodePort"}}`},
			}},
		},
	}
	mustCreate(t, client.AdmissionregistrationV1().MutatingAdmissionPolicies().Create, policy)
	mustCreate(t, client.AdmissionregistrationV1().MutatingAdmissionPolicyBindings().Create,
		&admissionregistrationv1.MutatingAdmissionPolicyBinding{
			ObjectMeta: metav1.ObjectMeta{Name: "ports"}, Spec: admissionregistrationv1.MutatingAdmissionPolicyBindingSpec{PolicyName: "ports"},
		})
	framework.Eventually(t, "Services become node ports", func(ctx context.Context) (bool, error) {
		svc, err := client.CoreV1().Services("default").Create(ctx, coreService("try"), dryRun)
		return err == nil && svc.Spec.Type == corev1.ServiceTypeNodePort, err
	})
	before := revision(t, etcd)
	core, err := client.CoreV1().Services("default").Create(ctx, coreService("core"), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	own, err := servicesOf(s).Create(ctx, serviceWith("own"), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if wrote := revision(t, etcd) - before; wrote != 2 {
		t.Errorf("two Services took %d writes", wrote)
	}
	for _, svc := range []*v1.Service{(*v1.Service)(core), own} {
		if svc.Spec.Type != corev1.ServiceTypeNodePort || svc.Spec.Ports[0].NodePort == 0 || svc.Labels["address"] != svc.Spec.ClusterIP {
			t.Errorf("a Service is %v %+v", svc.Labels, svc.Spec)
		}
	}
	framework.Verify(t, etcd.Client)
	expectAllocated(t, []*framework.Server{s}, []int64{2}, 2)
}

// TestMutationOfCustomResources changes custom resources before and after the server had any:
// the plugin needs their schemas.
func TestMutationOfCustomResources(t *testing.T) {
	t.Parallel()
	s := framework.Start(t, nil)
	client := coreClient(t, s).AdmissionregistrationV1()
	const label = `Object{metadata: Object.metadata{labels: {"changed": "yes"}}}`
	mustCreate(t, client.MutatingAdmissionPolicies().Create, &admissionregistrationv1.MutatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "labels"},
		Spec: admissionregistrationv1.MutatingAdmissionPolicySpec{
			MatchConstraints: ruleOf(onServices(), admissionregistrationv1.RuleWithOperations{
				Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create},
				Rule: admissionregistrationv1.Rule{
					APIGroups: []string{boats.Group}, APIVersions: []string{boats.Version}, Resources: []string{boats.Resource},
				},
			}),
			ReinvocationPolicy: admissionregistrationv1.NeverReinvocationPolicy,
			Mutations: []admissionregistrationv1.Mutation{{
				PatchType:          admissionregistrationv1.PatchTypeApplyConfiguration,
				ApplyConfiguration: &admissionregistrationv1.ApplyConfiguration{Expression: label},
			}},
		},
	})
	mustCreate(t, client.MutatingAdmissionPolicyBindings().Create, &admissionregistrationv1.MutatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "labels"}, Spec: admissionregistrationv1.MutatingAdmissionPolicyBindingSpec{PolicyName: "labels"},
	})
	labeled := func(what string, create func(context.Context) (metav1.Object, error)) {
		t.Helper()
		framework.Eventually(t, what+" are labeled", func(ctx context.Context) (bool, error) {
			obj, err := create(ctx)
			return err == nil && obj.GetLabels()["changed"] == "yes", err
		})
	}
	services := func(ctx context.Context) (metav1.Object, error) {
		return servicesOf(s).Create(ctx, serviceWith("try"), dryRun)
	}
	labeled("Services", services)
	define(t, s, boatDefinition())
	labeled("boats", func(ctx context.Context) (metav1.Object, error) {
		return dynamicOf(t, s).Resource(boats).Namespace("default").Create(ctx, boat("try", map[string]any{}), dryRun)
	})
	labeled("Services beside boats", services)
}

// TestRightsOfPolicies has users that are not administrators write policies.
func TestRightsOfPolicies(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := framework.Start(t, nil)
	as := func(name string, groups ...string) kubernetes.Interface {
		config := rest.CopyConfig(s.Config)
		config.Impersonate = rest.ImpersonationConfig{UserName: name, Groups: groups}
		client, err := kubernetes.NewForConfig(config)
		if err != nil {
			t.Fatal(err)
		}
		return client
	}
	writer := as("will", users.Writers, "system:authenticated").AdmissionregistrationV1()
	if err := second(writer.ValidatingAdmissionPolicies().Create(ctx, denial("a", "true", every), dryRun)); !apierrors.IsForbidden(err) {
		t.Errorf("a member of %s creates a policy: %v", users.Writers, err)
	}
	if err := second(writer.MutatingWebhookConfigurations().List(ctx, metav1.ListOptions{})); err != nil {
		t.Errorf("a member of %s lists webhooks: %v", users.Writers, err)
	}

	root := coreClient(t, s)
	rule := rbacv1.PolicyRule{Verbs: []string{"*"}, APIGroups: []string{"admissionregistration.k8s.io"}, Resources: []string{"*"}}
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "policies"}, Rules: []rbacv1.PolicyRule{rule}}
	mustCreate(t, root.RbacV1().ClusterRoles().Create, role)
	mustCreate(t, root.RbacV1().ClusterRoleBindings().Create, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "policies"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "policies"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: "ann"}},
	})
	ann := as("ann", "system:authenticated").AdmissionregistrationV1()
	framework.Eventually(t, "a user with a role creates a policy", func(ctx context.Context) (bool, error) {
		err := second(ann.ValidatingAdmissionPolicies().Create(ctx, denial("a", "true", every), dryRun))
		return err == nil, err
	})
	// The parameters would show Secrets, in messages for example.
	reading := denial("a", "true", every)
	reading.Spec.ParamKind = &admissionregistrationv1.ParamKind{APIVersion: "v1", Kind: "Secret"}
	err := second(ann.ValidatingAdmissionPolicies().Create(ctx, reading, dryRun))
	const kinds = `spec.paramKind: Forbidden: user "ann" must have "get" permission on all resources`
	if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), kinds) {
		t.Errorf("a policy with Secrets as parameters: %v", err)
	}
	err = second(ann.MutatingAdmissionPolicyBindings().Create(ctx, &admissionregistrationv1.MutatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "a"},
		Spec: admissionregistrationv1.MutatingAdmissionPolicyBindingSpec{PolicyName: "a", ParamRef: &admissionregistrationv1.ParamRef{
			Name: "a", Namespace: "default", ParameterNotFoundAction: ptr.To(admissionregistrationv1.AllowAction),
		}},
	}, dryRun))
	const all = `spec.paramRef: Forbidden: user "ann" must have "get" permission for all groups`
	if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), all) {
		t.Errorf("a binding with parameters: %v", err)
	}
}
