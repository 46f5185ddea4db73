package api

import (
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"

	"github.com/portolan-dev/portolan/test/framework"
)

// TestConversion has a webhook convert boats. What v1 calls masts, v2 calls poles.
func TestConversion(t *testing.T) {
	t.Parallel()
	s := framework.Start(t, nil)
	hook := httptest.NewTLSServer(http.HandlerFunc(convertBoats))
	t.Cleanup(hook.Close)
	definition := boatDefinition()
	poles := definition.Spec.Versions[0].DeepCopy()
	poles.Name, poles.Storage, poles.AdditionalPrinterColumns = "v2", false, nil
	poles.Schema.OpenAPIV3Schema.Properties["spec"] = apiextensionsv1.JSONSchemaProps{
		Type: "object", Properties: map[string]apiextensionsv1.JSONSchemaProps{"poles": {Type: "integer"}},
	}
	definition.Spec.Versions = append(definition.Spec.Versions, *poles)
	definition.Spec.Conversion = &apiextensionsv1.CustomResourceConversion{
		Strategy: apiextensionsv1.WebhookConverter,
		Webhook: &apiextensionsv1.WebhookConversion{
			ClientConfig: &apiextensionsv1.WebhookClientConfig{
				URL:      ptr.To(hook.URL),
				CABundle: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: hook.Certificate().Raw}),
			},
			ConversionReviewVersions: []string{"v1"},
		},
	}
	define(t, s, definition)
	old := dynamicOf(t, s).Resource(boats).Namespace("default")
	now := dynamicOf(t, s).Resource(boats.GroupResource().WithVersion("v2")).Namespace("default")
	wantSpec := func(obj *unstructured.Unstructured, err error, field string, want int64) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		if got, _, err := unstructured.NestedInt64(obj.Object, "spec", field); got != want || err != nil {
			t.Errorf("%s has %s %d, want %d, error %v", obj.GetName(), field, got, want, err)
		}
	}
	brig := boat("brig", map[string]any{"masts": int64(2)})
	if _, err := old.Create(t.Context(), brig, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	schooner := boat("schooner", map[string]any{"poles": int64(3)})
	schooner.SetAPIVersion("harbor.example.com/v2")
	created, err := now.Create(t.Context(), schooner, metav1.CreateOptions{})
	wantSpec(created, err, "poles", 3)
	got, err := now.Get(t.Context(), "brig", metav1.GetOptions{})
	wantSpec(got, err, "poles", 2)
	got, err = old.Get(t.Context(), "schooner", metav1.GetOptions{})
	wantSpec(got, err, "masts", 3)
	list, err := now.List(t.Context(), metav1.ListOptions{})
	if err != nil || len(list.Items) != 2 {
		t.Fatalf("listed %v, error %v", list, err)
	}
	for i := range list.Items {
		wantSpec(&list.Items[i], nil, "poles", int64(2+i))
	}

	hook.Close()
	got, err = old.Get(t.Context(), "brig", metav1.GetOptions{})
	wantSpec(got, err, "masts", 2)
	if _, err := now.Get(t.Context(), "brig", metav1.GetOptions{}); err == nil ||
		!strings.Contains(err.Error(), "conversion webhook for harbor.example.com/v1, Kind=Boat failed") {
		t.Errorf("without the webhook: %v", err)
	}
}

// convertBoats answers as a conversion webhook.
func convertBoats(w http.ResponseWriter, req *http.Request) {
	var review apiextensionsv1.ConversionReview
	if err := json.NewDecoder(req.Body).Decode(&review); err != nil || review.Request == nil {
		http.Error(w, "not a review", http.StatusBadRequest)
		return
	}
	answer := &apiextensionsv1.ConversionResponse{UID: review.Request.UID, Result: metav1.Status{Status: metav1.StatusSuccess}}
	names := map[string]string{"harbor.example.com/v1": "masts", "harbor.example.com/v2": "poles"}
	for _, object := range review.Request.Objects {
		var boat unstructured.Unstructured
		if err := json.Unmarshal(object.Raw, &boat.Object); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		from, to := names[boat.GetAPIVersion()], names[review.Request.DesiredAPIVersion]
		boat.SetAPIVersion(review.Request.DesiredAPIVersion)
		if spec, ok := boat.Object["spec"].(map[string]any); ok && spec[from] != nil {
			spec[to] = spec[from]
			delete(spec, from)
		}
		answer.ConvertedObjects = append(answer.ConvertedObjects, runtime.RawExtension{Object: &boat})
	}
	review.Request, review.Response = nil, answer
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(review)
}
