package api

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes"
	admissionregistrationclient "k8s.io/client-go/kubernetes/typed/admissionregistration/v1"
	"k8s.io/utils/ptr"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/test/framework"
)

// every is a rule for the creation of objects of every kind.
var every = admissionregistrationv1.RuleWithOperations{
	Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create},
	Rule:       admissionregistrationv1.Rule{APIGroups: []string{"*"}, APIVersions: []string{"*"}, Resources: []string{"*"}},
}

func ruleOf(rules ...admissionregistrationv1.RuleWithOperations) *admissionregistrationv1.MatchResources {
	match := &admissionregistrationv1.MatchResources{}
	for _, rule := range rules {
		match.ResourceRules = append(match.ResourceRules, admissionregistrationv1.NamedRuleWithOperations{RuleWithOperations: rule})
	}
	return match
}

// readExample reads an object from a file of artifacts/examples.
func readExample(t *testing.T, name string, into ...any) {
	t.Helper()
	file, err := os.Open(framework.Path("artifacts", "examples", name))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	decoder := utilyaml.NewYAMLOrJSONDecoder(file, 4096)
	for _, obj := range into {
		if err := decoder.Decode(obj); err != nil {
			t.Fatal(err)
		}
	}
}

// mustCreate creates an object with a client's method.
func mustCreate[T any](t *testing.T, create func(context.Context, T, metav1.CreateOptions) (T, error), obj T) {
	t.Helper()
	if _, err := create(t.Context(), obj, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func bindTo(t *testing.T, client kubernetes.Interface, policy string) {
	t.Helper()
	mustCreate(t, client.AdmissionregistrationV1().ValidatingAdmissionPolicyBindings().Create,
		&admissionregistrationv1.ValidatingAdmissionPolicyBinding{
			ObjectMeta: metav1.ObjectMeta{Name: policy},
			Spec: admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec{
				PolicyName: policy, ValidationActions: []admissionregistrationv1.ValidationAction{admissionregistrationv1.Deny},
			},
		})
}

// creation creates an object with labels.
type creation func(ctx context.Context, name string, labels map[string]string, opts metav1.CreateOptions) error

// creations create objects of several kinds.
func creations(t *testing.T, s *framework.Server) map[string]creation {
	core, custom := coreClient(t, s), dynamicOf(t, s).Resource(boats).Namespace("default")
	meta := func(name string, labels map[string]string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Name: name, Labels: labels}
	}
	return map[string]creation{
		"services": func(ctx context.Context, name string, labels map[string]string, opts metav1.CreateOptions) error {
			svc := coreService("svc-" + name)
			svc.Labels = labels
			return second(core.CoreV1().Services("default").Create(ctx, svc, opts))
		},
		"services.portolan.dev": func(ctx context.Context, name string, labels map[string]string, opts metav1.CreateOptions) error {
			svc := serviceWith("own-" + name)
			svc.Labels = labels
			return second(servicesOf(s).Create(ctx, svc, opts))
		},
		"nodeports": func(ctx context.Context, name string, labels map[string]string, opts metav1.CreateOptions) error {
			port := &v1.NodePort{ObjectMeta: meta("30"+name, labels)}
			port.Spec.ParentRef = &v1.ParentReference{Resource: "machines", Name: "one"}
			return second(s.Client.PortolanV1().NodePorts().Create(ctx, port, opts))
		},
		"secrets": func(ctx context.Context, name string, labels map[string]string, opts metav1.CreateOptions) error {
			return second(core.CoreV1().Secrets("default").Create(ctx, &corev1.Secret{ObjectMeta: meta("s"+name, labels)}, opts))
		},
		"leases": func(ctx context.Context, name string, labels map[string]string, opts metav1.CreateOptions) error {
			return second(core.CoordinationV1().Leases("default").Create(ctx, &coordinationv1.Lease{ObjectMeta: meta("l"+name, labels)}, opts))
		},
		"ingressclasses": func(ctx context.Context, name string, labels map[string]string, opts metav1.CreateOptions) error {
			class := &networkingv1.IngressClass{ObjectMeta: meta("i"+name, labels), Spec: networkingv1.IngressClassSpec{Controller: "example.com/c"}}
			return second(core.NetworkingV1().IngressClasses().Create(ctx, class, opts))
		},
		"boats": func(ctx context.Context, name string, labels map[string]string, opts metav1.CreateOptions) error {
			b := boat("b"+name, map[string]any{})
			b.SetLabels(labels)
			return second(custom.Create(ctx, b, opts))
		},
	}
}

// TestValidatingPolicy has a policy decide about objects of many kinds.
func TestValidatingPolicy(t *testing.T) {
	t.Parallel()
	s := framework.Start(t, nil)
	define(t, s, boatDefinition())
	client := coreClient(t, s)
	policy := &admissionregistrationv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "owned"},
		Spec: admissionregistrationv1.ValidatingAdmissionPolicySpec{
			MatchConstraints: ruleOf(every),
			Variables: []admissionregistrationv1.Variable{{
				Name: "labels", Expression: "has(object.metadata.labels) ? object.metadata.labels : {}",
			}},
			Validations: []admissionregistrationv1.Validation{{
				Expression: `"owner" in variables.labels`, MessageExpression: `object.metadata.name + " has no owner"`,
			}},
		},
	}
	createPolicy(t, client, policy)
	bindTo(t, client, "owned")

	for what, create := range creations(t, s) {
		framework.Eventually(t, what+" without an owner are denied", func(ctx context.Context) (bool, error) {
			err := create(ctx, "100", nil, dryRun)
			return apierrors.IsInvalid(err) && strings.Contains(err.Error(), "has no owner"), fmt.Errorf("got %w", err)
		})
		if err := create(t.Context(), "100", map[string]string{"owner": "ann"}, metav1.CreateOptions{}); err != nil {
			t.Errorf("%s with an owner: %v", what, err)
		}
	}
	bindings := client.AdmissionregistrationV1().ValidatingAdmissionPolicyBindings()
	if err := bindings.Delete(t.Context(), "owned", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	framework.Eventually(t, "without the binding, the policy has no effect", func(ctx context.Context) (bool, error) {
		err := second(servicesOf(s).Create(ctx, serviceWith("free"), dryRun))
		return err == nil, err
	})
}

// TestServiceDefaults gives Services the defaults of the example.
func TestServiceDefaults(t *testing.T) {
	t.Parallel()
	s := framework.Start(t, withRanges("30000-32767", "10.96.0.0/16", "fd00:10:96::/112"))
	client := coreClient(t, s)
	var policy admissionregistrationv1.MutatingAdmissionPolicy
	var binding admissionregistrationv1.MutatingAdmissionPolicyBinding
	readExample(t, "core/service-defaults.yaml", &policy, &binding)
	mustCreate(t, client.AdmissionregistrationV1().MutatingAdmissionPolicies().Create, &policy)
	mustCreate(t, client.AdmissionregistrationV1().MutatingAdmissionPolicyBindings().Create, &binding)
	loadBalancer := func(spec *corev1.ServiceSpec) { spec.Type = corev1.ServiceTypeLoadBalancer }
	framework.Eventually(t, "the policy has an effect", func(ctx context.Context) (bool, error) {
		svc, err := servicesOf(s).Create(ctx, serviceWith("try"), dryRun)
		return err == nil && len(svc.Spec.ClusterIPs) == 2, err
	})
	balanced, err := servicesOf(s).Create(t.Context(), serviceWith("balanced", loadBalancer), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if spec := balanced.Spec; ptr.Deref(spec.AllocateLoadBalancerNodePorts, true) || spec.Ports[0].NodePort != 0 ||
		len(spec.ClusterIPs) != 2 || ptr.Deref(spec.IPFamilyPolicy, "") != corev1.IPFamilyPolicyPreferDualStack {
		t.Errorf("a load balancer is %+v", spec)
	}
	svc := coreService("core")
	svc.Spec.Type = corev1.ServiceTypeLoadBalancer
	if svc, err = client.CoreV1().Services("default").Create(t.Context(), svc, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if spec := svc.Spec; ptr.Deref(spec.AllocateLoadBalancerNodePorts, true) || len(spec.ClusterIPs) != 2 {
		t.Errorf("a load balancer of core v1 is %+v", spec)
	}
	chosen, err := servicesOf(s).Create(t.Context(), serviceWith("chosen", loadBalancer, func(spec *corev1.ServiceSpec) {
		spec.Ports[0].NodePort, spec.IPFamilyPolicy = 30123, ptr.To(corev1.IPFamilyPolicySingleStack)
	}), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if spec := chosen.Spec; !ptr.Deref(spec.AllocateLoadBalancerNodePorts, false) || spec.Ports[0].NodePort != 30123 ||
		len(spec.ClusterIPs) != 1 {
		t.Errorf("a Service that says what it wants is %+v", spec)
	}
}

// TestWebhooks has webhooks change and reject objects.
func TestWebhooks(t *testing.T) {
	t.Parallel()
	s := framework.Start(t, nil)
	client := coreClient(t, s)
	hook := httptest.NewTLSServer(http.HandlerFunc(review))
	t.Cleanup(hook.Close)
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: hook.Certificate().Raw})
	config := func(path string) admissionregistrationv1.WebhookClientConfig {
		return admissionregistrationv1.WebhookClientConfig{URL: ptr.To(hook.URL + path), CABundle: authority}
	}
	services := every
	services.APIGroups, services.Resources = []string{"", "portolan.dev"}, []string{"services"}
	rules, none := []admissionregistrationv1.RuleWithOperations{services}, ptr.To(admissionregistrationv1.SideEffectClassNone)
	versions := []string{"v1"}
	hooks := client.AdmissionregistrationV1()
	mustCreate(t, hooks.MutatingWebhookConfigurations().Create, &admissionregistrationv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "label"},
		Webhooks: []admissionregistrationv1.MutatingWebhook{{
			Name: "label.example.com", ClientConfig: config("/label"), Rules: rules, SideEffects: none, AdmissionReviewVersions: versions,
		}},
	})
	mustCreate(t, hooks.ValidatingWebhookConfigurations().Create, &admissionregistrationv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "deny"},
		Webhooks: []admissionregistrationv1.ValidatingWebhook{{
			Name: "deny.example.com", ClientConfig: config("/deny"), Rules: rules, SideEffects: none, AdmissionReviewVersions: versions,
		}},
	})
	framework.Eventually(t, "a webhook denies a name", func(ctx context.Context) (bool, error) {
		err := second(servicesOf(s).Create(ctx, serviceWith("denied"), dryRun))
		return err != nil && strings.Contains(err.Error(), `admission webhook "deny.example.com" denied the request: no such name`), err
	})
	framework.Eventually(t, "a webhook adds a label", func(ctx context.Context) (bool, error) {
		svc, err := servicesOf(s).Create(ctx, serviceWith("web"), dryRun)
		return err == nil && svc.Labels["reviewed"] == "yes", err
	})
	// With the webhook gone, requests fail, and the administrator can remove it.
	hook.Close()
	if err := second(servicesOf(s).Create(t.Context(), serviceWith("web"), metav1.CreateOptions{})); err == nil ||
		!strings.Contains(err.Error(), `failed calling webhook "label.example.com"`) {
		t.Errorf("without the webhook: %v", err)
	}
	if err := hooks.MutatingWebhookConfigurations().Delete(t.Context(), "label", metav1.DeleteOptions{}); err != nil {
		t.Error(err)
	}
	if err := hooks.ValidatingWebhookConfigurations().Delete(t.Context(), "deny", metav1.DeleteOptions{}); err != nil {
		t.Error(err)
	}
	framework.Eventually(t, "without webhooks, requests succeed", func(ctx context.Context) (bool, error) {
		err := second(servicesOf(s).Create(ctx, serviceWith("web"), metav1.CreateOptions{}))
		return err == nil, err
	})
}

// review answers as a webhook: it adds a label, or denies objects named denied.
func review(w http.ResponseWriter, req *http.Request) {
	var asked admissionv1.AdmissionReview
	if err := json.NewDecoder(req.Body).Decode(&asked); err != nil || asked.Request == nil {
		http.Error(w, "not a review", http.StatusBadRequest)
		return
	}
	answer := &admissionv1.AdmissionResponse{UID: asked.Request.UID, Allowed: true}
	switch {
	case req.URL.Path == "/label":
		answer.PatchType = ptr.To(admissionv1.PatchTypeJSONPatch)
		answer.Patch = []byte(`[{"op":"add","path":"/metadata/labels","value":{"reviewed":"yes"}}]`)
	case asked.Request.Name == "denied":
		answer.Allowed, answer.Result = false, &metav1.Status{Message: "no such name"}
	}
	asked.Request, asked.Response = nil, answer
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(asked)
}

// invalidCase is an answer, and what it must say.
type invalidCase struct {
	err  error
	want string
}

// admissionClient makes dry runs of policies and webhooks.
type admissionClient struct {
	admissionregistrationclient.AdmissionregistrationV1Interface
	ctx context.Context
}

func (c admissionClient) validating(change func(*admissionregistrationv1.ValidatingAdmissionPolicySpec)) error {
	policy := denial("a", "true", every)
	change(&policy.Spec)
	return second(c.ValidatingAdmissionPolicies().Create(c.ctx, policy, dryRun))
}

func (c admissionClient) mutating(change func(*admissionregistrationv1.MutatingAdmissionPolicySpec)) error {
	policy := &admissionregistrationv1.MutatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "a"},
		Spec: admissionregistrationv1.MutatingAdmissionPolicySpec{
			MatchConstraints: ruleOf(every), ReinvocationPolicy: admissionregistrationv1.NeverReinvocationPolicy,
			Mutations: []admissionregistrationv1.Mutation{{
				PatchType: admissionregistrationv1.PatchTypeJSONPatch, JSONPatch: &admissionregistrationv1.JSONPatch{Expression: "[]"},
			}},
		},
	}
	change(&policy.Spec)
	return second(c.MutatingAdmissionPolicies().Create(c.ctx, policy, dryRun))
}

func (c admissionClient) webhook(change func(*admissionregistrationv1.ValidatingWebhook)) error {
	hook := admissionregistrationv1.ValidatingWebhook{
		Name: "a.example.com", ClientConfig: admissionregistrationv1.WebhookClientConfig{URL: ptr.To("https://127.0.0.1/a")},
		SideEffects: ptr.To(admissionregistrationv1.SideEffectClassNone), AdmissionReviewVersions: []string{"v1"},
		Rules: []admissionregistrationv1.RuleWithOperations{every},
	}
	change(&hook)
	return second(c.ValidatingWebhookConfigurations().Create(c.ctx, &admissionregistrationv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "a"}, Webhooks: []admissionregistrationv1.ValidatingWebhook{hook},
	}, dryRun))
}

func (c admissionClient) invalidPolicies() map[string]invalidCase {
	return map[string]invalidCase{
		"no validation": {
			c.validating(func(spec *admissionregistrationv1.ValidatingAdmissionPolicySpec) { spec.Validations = nil }),
			"spec.validations: Required value: validations or auditAnnotations must contain at least one item",
		},
		"a number": {
			c.validating(func(spec *admissionregistrationv1.ValidatingAdmissionPolicySpec) {
				spec.Validations[0].Expression = "1"
			}),
			`spec.validations[0].expression: Invalid value: "1": must evaluate to bool`,
		},
		"no CEL": {
			c.validating(func(spec *admissionregistrationv1.ValidatingAdmissionPolicySpec) {
				spec.Validations[0].Expression = "object."
			}),
			`spec.validations[0].expression: Invalid value: "object.": compilation failed: ERROR`,
		},
		"parameters without a kind": {
			c.validating(func(spec *admissionregistrationv1.ValidatingAdmissionPolicySpec) {
				spec.Validations[0].Expression = "params.a"
			}),
			"undeclared reference to 'params'",
		},
		"no rules": {
			c.validating(func(spec *admissionregistrationv1.ValidatingAdmissionPolicySpec) { spec.MatchConstraints = ruleOf() }),
			"spec.matchConstraints.resourceRules: Required value",
		},
		"an operation": {
			c.mutating(func(spec *admissionregistrationv1.MutatingAdmissionPolicySpec) {
				rule := every
				rule.Operations = []admissionregistrationv1.OperationType{admissionregistrationv1.Delete}
				spec.MatchConstraints = ruleOf(rule)
			}),
			`spec.matchConstraints.resourceRules.operations: Unsupported value: "DELETE": supported values: "*", "CONNECT", "CREATE", "UPDATE"`,
		},
		"no reinvocation policy": {
			c.mutating(func(spec *admissionregistrationv1.MutatingAdmissionPolicySpec) { spec.ReinvocationPolicy = "" }),
			"spec.reinvocationPolicy: Required value",
		},
		"a patch of another type": {
			c.mutating(func(spec *admissionregistrationv1.MutatingAdmissionPolicySpec) {
				spec.Mutations[0].PatchType = admissionregistrationv1.PatchTypeApplyConfiguration
			}),
			"spec.mutations[0].applyConfiguration: Required value: must be specified when patchType is ApplyConfiguration",
		},
	}
}

func (c admissionClient) invalidWebhooks() map[string]invalidCase {
	return map[string]invalidCase{
		"a short name": {
			c.webhook(func(hook *admissionregistrationv1.ValidatingWebhook) { hook.Name = "a" }),
			"webhooks[0].name: Invalid value: \"a\": should be a domain with at least three segments separated by dots",
		},
		"plain HTTP": {
			c.webhook(func(hook *admissionregistrationv1.ValidatingWebhook) {
				hook.ClientConfig.URL = ptr.To("http://127.0.0.1/a")
			}),
			`webhooks[0].clientConfig.url: Invalid value: "http": 'https' is the only allowed URL scheme; desired format: https://host[/path]`,
		},
		"a long time": {
			c.webhook(func(hook *admissionregistrationv1.ValidatingWebhook) { hook.TimeoutSeconds = ptr.To[int32](31) }),
			"webhooks[0].timeoutSeconds: Invalid value: 31: the timeout value must be between 1 and 30 seconds",
		},
		"no versions": {
			c.webhook(func(hook *admissionregistrationv1.ValidatingWebhook) { hook.AdmissionReviewVersions = nil }),
			"webhooks[0].admissionReviewVersions: Required value: must specify one of v1, v1beta1",
		},
		"no side effects": {
			c.webhook(func(hook *admissionregistrationv1.ValidatingWebhook) { hook.SideEffects = nil }),
			"webhooks[0].sideEffects: Required value: must specify one of None, NoneOnDryRun",
		},
	}
}

// TestInvalidAdmission is what is refused of policies and webhooks, with upstream's messages.
func TestInvalidAdmission(t *testing.T) {
	t.Parallel()
	c := admissionClient{coreClient(t, framework.Start(t, nil)).AdmissionregistrationV1(), t.Context()}
	for _, cases := range []map[string]invalidCase{c.invalidPolicies(), c.invalidWebhooks()} {
		for what, test := range cases {
			if !apierrors.IsInvalid(test.err) || !strings.Contains(test.err.Error(), test.want) {
				t.Errorf("%s: got %v\nwant %s", what, test.err, test.want)
			}
		}
	}
	if err := c.validating(func(*admissionregistrationv1.ValidatingAdmissionPolicySpec) {}); err != nil {
		t.Error(err)
	}
	if err := c.webhook(func(*admissionregistrationv1.ValidatingWebhook) {}); err != nil {
		t.Error(err)
	}
}
