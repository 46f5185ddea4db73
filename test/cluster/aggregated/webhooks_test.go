//go:build e2e

package aggregated

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/portolan-dev/portolan/generated/clientset/versioned"
	"github.com/portolan-dev/portolan/test/framework"
)

const (
	refusedName, whyRefused = "refused", "no Service is called so"
	webhookAddress          = "192.0.2.201:8443"
)

// webhook gives Services a label, refuses one of a certain name, and remembers
// who asked for them.
type webhook struct {
	mu     sync.Mutex
	askers map[string]bool
}

// ServeHTTP implements http.Handler: /label and /refuse are webhooks.
func (h *webhook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var review admissionv1.AdmissionReview
	if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	request := review.Request
	h.mu.Lock()
	h.askers[request.UserInfo.Username] = true
	h.mu.Unlock()
	response := &admissionv1.AdmissionResponse{UID: request.UID, Allowed: true}
	if r.URL.Path == "/label" {
		kind := admissionv1.PatchTypeJSONPatch
		response.PatchType, response.Patch = &kind, []byte(`[{"op":"add","path":"/metadata/labels","value":{"called":"yes"}}]`)
	} else if request.Name == refusedName {
		response.Allowed, response.Result = false, &metav1.Status{Message: whyRefused}
	}
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(admissionv1.AdmissionReview{TypeMeta: review.TypeMeta, Response: response}); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

// serveWebhooks returns when the namespace's Services are up to the webhooks.
func (g *fixture) serveWebhooks(t *testing.T, ns string) *webhook {
	t.Helper()
	host, _, _ := strings.Cut(webhookAddress, ":")
	files := g.users.issue(t, "webhook", nil, host)
	h := &webhook{askers: map[string]bool{}}
	server := &http.Server{Addr: webhookAddress, Handler: h}
	var running sync.WaitGroup
	running.Go(func() {
		if err := server.ListenAndServeTLS(files.cert, files.key); !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		running.Wait()
	})
	ca, err := os.ReadFile(g.users.file("ca").cert)
	if err != nil {
		t.Fatal(err)
	}
	config := func(path string) admissionregistrationv1.WebhookClientConfig {
		url := "https://" + webhookAddress + path
		return admissionregistrationv1.WebhookClientConfig{URL: &url, CABundle: ca}
	}
	none, only := admissionregistrationv1.SideEffectClassNone, selectNamespace(ns)
	rules, versions := []admissionregistrationv1.RuleWithOperations{creations()}, []string{"v1"}
	_, err = g.client.AdmissionregistrationV1().MutatingWebhookConfigurations().Create(t.Context(),
		&admissionregistrationv1.MutatingWebhookConfiguration{
			ObjectMeta: metav1.ObjectMeta{Name: ns},
			Webhooks: []admissionregistrationv1.MutatingWebhook{{Name: "label.example.com", ClientConfig: config("/label"), Rules: rules,
				NamespaceSelector: only, SideEffects: &none, AdmissionReviewVersions: versions}},
		}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = g.client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Create(t.Context(),
		&admissionregistrationv1.ValidatingWebhookConfiguration{
			ObjectMeta: metav1.ObjectMeta{Name: ns},
			Webhooks: []admissionregistrationv1.ValidatingWebhook{{Name: "refuse.example.com", ClientConfig: config("/refuse"), Rules: rules,
				NamespaceSelector: only, SideEffects: &none, AdmissionReviewVersions: versions}},
		}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// testWebhooks has webhooks of the cluster change and refuse what is created
// here, and learn who it was.
func testWebhooks(t *testing.T, g *fixture) {
	ns := g.newNamespace(t, "webhooks")
	const caller = "caller"
	g.bind(t, ns, "edit", rbacv1.Subject{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: caller})
	client, err := versioned.NewForConfig(g.configOf(t, g.users.kubeconfig(t, caller)))
	if err != nil {
		t.Fatal(err)
	}
	h := g.serveWebhooks(t, ns)
	services := client.PortolanV1().Services(ns)
	dryRun := metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}
	framework.Eventually(t, "webhooks change and refuse", func(ctx context.Context) (bool, error) {
		made, err := services.Create(ctx, newService("web"), dryRun)
		if err != nil || made.Labels["called"] != "yes" {
			return false, err
		}
		_, err = services.Create(ctx, newService(refusedName), dryRun)
		return apierrors.IsForbidden(err) || apierrors.IsBadRequest(err), err
	})
	_, err = services.Create(t.Context(), newService(refusedName), metav1.CreateOptions{})
	if want := `admission webhook "refuse.example.com" denied the request: ` + whyRefused; err == nil || err.Error() != want {
		t.Errorf("refused: %v, want %s", err, want)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.askers) != 1 || !h.askers[caller] {
		t.Errorf("they were asked for %v", h.askers)
	}
}
