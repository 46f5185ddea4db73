//go:build e2e

package moving

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/cert"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/test/framework"
)

// hook serves a webhook at a cluster IP, which denies everything, and registers it by its
// Service for ConfigMaps.
func (g *gateway) hook(service, address string) {
	g.t.Helper()
	certPEM, keyPEM, err := cert.GenerateSelfSignedCertKey(service+".default.svc", nil, nil)
	g.must(err)
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	g.must(err)
	listener, err := tls.Listen("tcp", net.JoinHostPort(address, "443"), &tls.Config{Certificates: []tls.Certificate{pair}})
	g.must(err)
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		var review admissionv1.AdmissionReview
		if err := json.NewDecoder(req.Body).Decode(&review); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(admissionv1.AdmissionReview{TypeMeta: review.TypeMeta, Response: &admissionv1.AdmissionResponse{
			UID: review.Request.UID, Result: &metav1.Status{Message: "the hook says no"},
		}})
	})}
	go func() { _ = server.Serve(listener) }()
	g.t.Cleanup(func() { _ = server.Close() })
	none, fail := admissionregistrationv1.SideEffectClassNone, admissionregistrationv1.Fail
	_, err = g.client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Create(g.t.Context(),
		&admissionregistrationv1.ValidatingWebhookConfiguration{
			ObjectMeta: metav1.ObjectMeta{Name: service},
			Webhooks: []admissionregistrationv1.ValidatingWebhook{{
				Name: service + ".example.com", SideEffects: &none, FailurePolicy: &fail, AdmissionReviewVersions: []string{"v1"},
				Rules: []admissionregistrationv1.RuleWithOperations{{
					Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create},
					Rule:       admissionregistrationv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"configmaps"}},
				}},
				ClientConfig: admissionregistrationv1.WebhookClientConfig{
					CABundle: certPEM, Service: &admissionregistrationv1.ServiceReference{Namespace: "default", Name: service},
				},
			}},
		}, metav1.CreateOptions{})
	g.must(err)
}

// expectCalled waits until kube-apiserver reaches the webhook.
func (g *gateway) expectCalled() {
	g.t.Helper()
	framework.Eventually(g.t, "kube-apiserver calls the webhook", func(ctx context.Context) (bool, error) {
		_, err := g.client.CoreV1().ConfigMaps("default").Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{GenerateName: "x-"}},
			metav1.CreateOptions{})
		return err != nil && strings.Contains(err.Error(), "the hook says no"), nil
	})
}

const aggregatedAPI = `
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata:
  name: v1.example.com
spec: {group: example.com, version: v1, groupPriorityMinimum: 1, versionPriority: 1, service: {namespace: default, name: api}}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: things.example.org}
spec:
  group: example.org
  scope: Cluster
  names: {plural: things, kind: Thing}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}]
  conversion:
    strategy: Webhook
    webhook: {conversionReviewVersions: [v1], clientConfig: {service: {namespace: default, name: taken}}}
`

// TestWriteBack has kube-apiserver call a webhook whose Service only Portolan has.
func TestWriteBack(t *testing.T) {
	g := newGateway(t)
	hook := g.serve("hook", "198.18.0.10")
	g.serve("unused", "198.18.0.11")
	other := g.create("other", corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}})
	g.hook("hook", "198.18.0.10")
	g.expectCalled()
	copied := g.copied("hook")
	if copied.Spec.Type != corev1.ServiceTypeExternalName || copied.Spec.ExternalName != "198.18.0.10" ||
		copied.Labels[v1.LabelWrittenBack] != v1.WrittenBack || copied.Annotations["portolan.dev/service-uid"] != string(hook.UID) {
		t.Errorf("the copy is %v", copied)
	}

	// A range that the cluster has too: the copy has the address, and the endpoints.
	_, err := g.portolan.NetworkingV1().ServiceCIDRs().Create(t.Context(), &networkingv1.ServiceCIDR{
		ObjectMeta: metav1.ObjectMeta{Name: "shared"}, Spec: networkingv1.ServiceCIDRSpec{CIDRs: []string{"10.100.0.0/24"}},
	}, metav1.CreateOptions{})
	g.must(err)
	g.serve("api", "10.100.0.10")
	g.serve("taken", "198.18.0.12")
	taken := g.create("taken", corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}})
	g.kubectl.Feed(aggregatedAPI, "create", "-f", "-")
	framework.Eventually(t, "an aggregated API's Service is there with its endpoints", func(ctx context.Context) (bool, error) {
		slice, err := g.client.DiscoveryV1().EndpointSlices("default").Get(ctx, "api-1", metav1.GetOptions{})
		if err != nil {
			return false, nil //nolint:nilerr // It is written soon.
		}
		api := g.copied("api")
		return api.Spec.ClusterIP == "10.100.0.10" && slice.OwnerReferences[0].UID == api.UID &&
			slice.Endpoints[0].Addresses[0] == "198.18.0.10", nil
	})
	g.expectConflict()
	g.follow()

	for _, args := range [][]string{
		{"validatingwebhookconfiguration", "hook"}, {"apiservice", "v1.example.com"}, {"customresourcedefinition", "things.example.org"},
	} {
		g.kubectl.Run(append([]string{"delete"}, args...)...)
	}
	framework.Eventually(t, "what is not referenced any more is gone", func(ctx context.Context) (bool, error) {
		slices, err := g.client.DiscoveryV1().EndpointSlices("default").List(ctx, metav1.ListOptions{LabelSelector: v1.LabelWrittenBack})
		return g.copied("hook") == nil && g.copied("api") == nil && err == nil && len(slices.Items) == 0, err
	})
	for _, own := range []*corev1.Service{other, taken} {
		if now := g.copied(own.Name); now == nil || now.ResourceVersion != own.ResourceVersion {
			t.Errorf("%s was touched: %v", own.Name, now)
		}
	}
	if g.copied("unused") != nil {
		t.Error("a Service that nothing refers to was copied")
	}
}

// expectConflict waits until the Service that exists on both sides is reported.
func (g *gateway) expectConflict() {
	g.t.Helper()
	framework.Eventually(g.t, "the conflict is reported", func(ctx context.Context) (bool, error) {
		events, err := g.client.CoreV1().Events("default").List(ctx, metav1.ListOptions{FieldSelector: "reason=NotWrittenBack"})
		if err != nil || len(events.Items) == 0 {
			return false, err
		}
		metrics, err := g.portolan.RESTClient().Get().AbsPath("/metrics").DoRaw(ctx)
		return events.Items[0].InvolvedObject.Name == "taken" && strings.Contains(string(metrics), "portolan_write_back_conflicts 1"), err
	})
}

// follow changes Services and expects the copies to follow.
func (g *gateway) follow() {
	g.t.Helper()
	ctx := g.t.Context()
	api, err := g.portolan.CoreV1().Services("default").Get(ctx, "api", metav1.GetOptions{})
	g.must(err)
	api.Spec.Ports = append(api.Spec.Ports, corev1.ServicePort{Name: "more", Port: 444})
	_, err = g.portolan.CoreV1().Services("default").Update(ctx, api, metav1.UpdateOptions{})
	g.must(err)
	slice, err := g.portolan.DiscoveryV1().EndpointSlices("default").Get(ctx, "api-1", metav1.GetOptions{})
	g.must(err)
	slice.Endpoints[0].Addresses[0] = "198.18.0.99"
	_, err = g.portolan.DiscoveryV1().EndpointSlices("default").Update(ctx, slice, metav1.UpdateOptions{})
	g.must(err)
	// Somebody deletes a copy.
	g.must(g.client.CoreV1().Services("default").Delete(ctx, "hook", metav1.DeleteOptions{}))
	framework.Eventually(g.t, "the copies follow", func(ctx context.Context) (bool, error) {
		slice, err := g.client.DiscoveryV1().EndpointSlices("default").Get(ctx, "api-1", metav1.GetOptions{})
		return len(g.copied("api").Spec.Ports) == 2 && err == nil && slice.Endpoints[0].Addresses[0] == "198.18.0.99" &&
			g.copied("hook") != nil, err
	})
}
