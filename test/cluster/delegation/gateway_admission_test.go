//go:build e2e

package delegation

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/portolan-dev/portolan/test/framework"
)

// v1Services are the rules that match creates of v1 Services, and of nothing else.
func v1Services() admissionregistrationv1.RuleWithOperations {
	return admissionregistrationv1.RuleWithOperations{
		Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create},
		Rule:       admissionregistrationv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"services"}},
	}
}

// refuseExternalNames has a policy refuse Services of the type ExternalName.
func (g *ground) refuseExternalNames() {
	g.t.Helper()
	registered := g.client.AdmissionregistrationV1()
	_, err := registered.ValidatingAdmissionPolicies().Create(g.t.Context(), &admissionregistrationv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "refuse"},
		Spec: admissionregistrationv1.ValidatingAdmissionPolicySpec{
			MatchConstraints: &admissionregistrationv1.MatchResources{
				ResourceRules: []admissionregistrationv1.NamedRuleWithOperations{{RuleWithOperations: v1Services()}},
			},
			Validations: []admissionregistrationv1.Validation{{
				Expression: "object.kind == 'Service' && object.apiVersion == 'v1' && object.spec.type != 'ExternalName'", Message: "no names",
			}},
		},
	}, metav1.CreateOptions{})
	g.must(err)
	_, err = registered.ValidatingAdmissionPolicyBindings().Create(g.t.Context(), &admissionregistrationv1.ValidatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "refuse"},
		Spec: admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec{
			PolicyName: "refuse", ValidationActions: []admissionregistrationv1.ValidationAction{admissionregistrationv1.Deny},
		},
	}, metav1.CreateOptions{})
	g.must(err)
}

// label has a webhook label Services, and returns what it is sent.
func (g *ground) label() <-chan *admissionv1.AdmissionRequest {
	g.t.Helper()
	sent := make(chan *admissionv1.AdmissionRequest, 100)
	hook := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		var review admissionv1.AdmissionReview
		if err := json.NewDecoder(req.Body).Decode(&review); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		sent <- review.Request
		kind := admissionv1.PatchTypeJSONPatch
		_ = json.NewEncoder(w).Encode(admissionv1.AdmissionReview{TypeMeta: review.TypeMeta, Response: &admissionv1.AdmissionResponse{
			UID: review.Request.UID, Allowed: true, PatchType: &kind,
			Patch: []byte(`[{"op":"add","path":"/metadata/labels","value":{"called":"yes"}}]`),
		}})
	}))
	g.t.Cleanup(hook.Close)
	none := admissionregistrationv1.SideEffectClassNone
	_, err := g.client.AdmissionregistrationV1().MutatingWebhookConfigurations().Create(g.t.Context(),
		&admissionregistrationv1.MutatingWebhookConfiguration{
			ObjectMeta: metav1.ObjectMeta{Name: "label"},
			Webhooks: []admissionregistrationv1.MutatingWebhook{{
				Name: "label.example.com", Rules: []admissionregistrationv1.RuleWithOperations{v1Services()}, SideEffects: &none,
				AdmissionReviewVersions: []string{"v1"},
				ClientConfig: admissionregistrationv1.WebhookClientConfig{
					URL: &hook.URL, CABundle: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: hook.Certificate().Raw}),
				},
			}},
		}, metav1.CreateOptions{})
	g.must(err)
	return sent
}

// TestGatewayAdmission has the cluster's policies, webhooks and quotas apply to v1
// Services that the gateway serves, and the first two to no other Services.
func TestGatewayAdmission(t *testing.T) {
	g := newGround(t)
	g.limit()
	server := g.gateway(true)
	root := newCaller(t, server, certificateOf(t, g.users, "root", "system:masters"), "")
	sent := g.label()
	g.refuseExternalNames()
	const named = `{"apiVersion":"%s","kind":"Service","metadata":{"generateName":"named-"},` +
		`"spec":{"type":"ExternalName","externalName":"example.com"}}`
	create := func(path, version, format string) answer {
		return root.do(http.MethodPost, path, strings.Replace(format, "%s", version, 1))
	}
	framework.Eventually(t, "the policy refuses", func(context.Context) (bool, error) {
		got := create(coreServices, "v1", named)
		return got.code == http.StatusUnprocessableEntity && strings.Contains(got.body, "no names"), nil
	})
	expectCode(t, "portolan.dev", create(services, "portolan.dev/v1", named), http.StatusCreated)

	const plain = `{"apiVersion":"%s","kind":"Service","metadata":{"generateName":"web-"},"spec":{"ports":[{"port":80}]}}`
	var svc corev1.Service
	framework.Eventually(t, "the webhook labels", func(context.Context) (bool, error) {
		got := create(coreServices, "v1", plain)
		g.must(json.Unmarshal([]byte(got.body), &svc))
		return svc.Labels["called"] == "yes", nil
	})
	if svc.APIVersion != "v1" || svc.Spec.ClusterIP == "" || len(svc.Spec.Ports) != 1 {
		t.Errorf("the Service after the webhook: %v", svc)
	}
	var last *admissionv1.AdmissionRequest
	for len(sent) > 0 {
		last = <-sent
	}
	var object corev1.Service
	g.must(json.Unmarshal(last.Object.Raw, &object))
	kind := metav1.GroupVersionKind{Version: "v1", Kind: "Service"}
	if last.Kind != kind || last.Resource.Group != "" || last.UserInfo.Username != "root" ||
		object.APIVersion != "v1" || object.Spec.Ports[0].Port != 80 {
		t.Errorf("the webhook got %v: %s", last, last.Object.Raw)
	}
	expectCode(t, "portolan.dev", create(services, "portolan.dev/v1", plain), http.StatusCreated)
	if len(sent) > 0 {
		t.Errorf("the webhook for v1 Services got %v", <-sent)
	}
	testGatewayQuota(t, create, plain)
}

// testGatewayQuota uses up a quota of five Services, in either API group.
func testGatewayQuota(t *testing.T, create func(path, version, format string) answer, service string) {
	t.Helper()
	const limitedServices = "/api/v1/namespaces/" + limited + "/services"
	for range 3 {
		expectCode(t, "v1", create(limitedServices, "v1", service), http.StatusCreated)
	}
	for range 2 {
		expectCode(t, "portolan.dev", create(servicesIn(limited), "portolan.dev/v1", service), http.StatusCreated)
	}
	for path, version := range map[string]string{limitedServices: "v1", servicesIn(limited): "portolan.dev/v1"} {
		got := create(path, version, service)
		if got.code != http.StatusForbidden || !strings.Contains(got.body, "exceeded quota") {
			t.Errorf("%s: one more: %d %s", version, got.code, got.body)
		}
	}
	expectCode(t, "no namespace", create("/api/v1/namespaces/none/services", "v1", service), http.StatusNotFound)
}
