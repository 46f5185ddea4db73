//go:build e2e

package replay

import (
	"fmt"
	"net/http"
	"strings"
)

// Sequence is a list of requests about objects of its own.
//
// Paths and bodies are upstream's, and may hold names of values, which are
// filled in when the sequence runs:
//
//	{name} {ns}           the sequence's own name, and its worker's namespace
//	{free4} {free4b} …    addresses and ports that no other sequence names: see plan
//	{taken4} {taken6} …   those that another Service holds
//	{IP1} {PORT1} {UID1}  what the server chose, by the names of package masking
//
// A number stands in quotes of its own: "{port0}" becomes 30016.
type Sequence struct {
	Name  string
	Steps []Step
}

// Step is a request. Its body is Body or, if Edit is set, the server's last
// answer about the object with these fields changed.
type Step struct {
	Method      string
	Path        string
	Query       string
	ContentType string
	Accept      string
	Body        any
	Edit        fields
	// Soon repeats the request until it succeeds, where upstream needs a while.
	Soon bool
}

// Content types of bodies, and the Accept header for tables and metadata.
const (
	plain     = "application/json"
	merge     = "application/merge-patch+json"
	strategic = "application/strategic-merge-patch+json"
	jsonPatch = "application/json-patch+json"
	apply     = "application/apply-patch+yaml"

	asTable        = "application/json;as=Table;v=v1;g=meta.k8s.io"
	asMetadata     = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
	asMetadataList = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
)

// apiResource makes the requests for one resource.
type apiResource struct {
	apiVersion, kind string
	collection       string
}

var (
	services       = apiResource{"v1", "Service", "/api/v1/namespaces/{ns}/services"}
	endpoints      = apiResource{"v1", "Endpoints", "/api/v1/namespaces/{ns}/endpoints"}
	endpointSlices = apiResource{"discovery.k8s.io/v1", "EndpointSlice", "/apis/discovery.k8s.io/v1/namespaces/{ns}/endpointslices"}
	pods           = apiResource{"v1", "Pod", "/api/v1/namespaces/{ns}/pods"}
	secrets        = apiResource{"v1", "Secret", "/api/v1/namespaces/{ns}/secrets"}
	configMaps     = apiResource{"v1", "ConfigMap", "/api/v1/namespaces/{ns}/configmaps"}
	accounts       = apiResource{"v1", "ServiceAccount", "/api/v1/namespaces/{ns}/serviceaccounts"}
	serviceCIDRs   = apiResource{"networking.k8s.io/v1", "ServiceCIDR", "/apis/networking.k8s.io/v1/servicecidrs"}
	ipAddresses    = apiResource{"networking.k8s.io/v1", "IPAddress", "/apis/networking.k8s.io/v1/ipaddresses"}
	ingresses      = apiResource{"networking.k8s.io/v1", "Ingress", "/apis/networking.k8s.io/v1/namespaces/{ns}/ingresses"}
	ingressClasses = apiResource{"networking.k8s.io/v1", "IngressClass", "/apis/networking.k8s.io/v1/ingressclasses"}

	validatingPolicies = ofAdmission("ValidatingAdmissionPolicy", "validatingadmissionpolicies")
	validatingBindings = ofAdmission("ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings")
	validatingWebhooks = ofAdmission("ValidatingWebhookConfiguration", "validatingwebhookconfigurations")
	mutatingPolicies   = ofAdmission("MutatingAdmissionPolicy", "mutatingadmissionpolicies")
	mutatingBindings   = ofAdmission("MutatingAdmissionPolicyBinding", "mutatingadmissionpolicybindings")
	mutatingWebhooks   = ofAdmission("MutatingWebhookConfiguration", "mutatingwebhookconfigurations")
)

func ofAdmission(kind, plural string) apiResource {
	const version = "admissionregistration.k8s.io/v1"
	return apiResource{version, kind, "/apis/" + version + "/" + plural}
}

// object returns an object of the resource. It has the sequence's name unless
// the fields set another.
func (r apiResource) object(all ...fields) map[string]any {
	object := map[string]any{"apiVersion": r.apiVersion, "kind": r.kind, "metadata": map[string]any{"name": "{name}"}}
	for _, f := range all {
		f.set(object)
	}
	return object
}

// named returns the path of an object, or of a subresource.
func (r apiResource) named(name string) string { return r.collection + "/" + name }

func (r apiResource) create(body any) Step {
	return Step{Method: http.MethodPost, Path: r.collection, ContentType: plain, Body: body}
}

func (r apiResource) get() Step { return Step{Method: http.MethodGet, Path: r.named("{name}")} }

func (r apiResource) list(query string) Step {
	return Step{Method: http.MethodGet, Path: r.collection, Query: query}
}

// put replaces the object with another one.
func (r apiResource) put(body any) Step {
	return Step{Method: http.MethodPut, Path: r.named("{name}"), ContentType: plain, Body: body}
}

// edit reads an object, changes it and sends it back, as clients do.
func (r apiResource) edit(f fields) Step {
	return Step{Method: http.MethodPut, Path: r.named("{name}"), ContentType: plain, Edit: f}
}

func (r apiResource) patch(contentType string, body any) Step {
	return Step{Method: http.MethodPatch, Path: r.named("{name}"), ContentType: contentType, Body: body}
}

func (r apiResource) apply(manager string, body any) Step {
	return r.patch(apply, body).with("fieldManager=" + manager)
}

func (r apiResource) delete() Step {
	return Step{Method: http.MethodDelete, Path: r.named("{name}"), ContentType: plain}
}

func (r apiResource) deleteCollection(query string) Step {
	return Step{Method: http.MethodDelete, Path: r.collection, ContentType: plain, Query: query}
}

// change writes some fields in one of the ways.
func (r apiResource) change(way string, f fields) Step {
	switch way {
	case "edit":
		return r.edit(f)
	case "merge":
		return r.patch(merge, f.mergePatch())
	case "strategic":
		return r.patch(strategic, f.mergePatch())
	case "json":
		return r.patch(jsonPatch, f.jsonPatch())
	case "apply":
		// Fields that the body lacks are not applied.
		body := r.object(f)
		return r.apply("other", body).with("force=true")
	}
	panic(fmt.Sprintf("no way to write: %q", way))
}

// ways are the ways to write that change knows.
var ways = []string{"edit", "merge", "strategic", "json", "apply"}

func (s Step) with(query string) Step {
	if s.Query != "" {
		s.Query += "&"
	}
	s.Query += query
	return s
}

func (s Step) dry() Step { return s.with("dryRun=All") }

func (s Step) accept(mediaType string) Step {
	s.Accept = mediaType
	return s
}

func (s Step) soon() Step {
	s.Soon = true
	return s
}

// on sends the request to another object, or to a subresource: "{name}/status".
func (s Step) on(name string) Step {
	path := strings.TrimSuffix(s.Path, "/{name}")
	s.Path = path + "/" + name
	return s
}

func (s Step) body(body any) Step {
	s.Body = body
	return s
}

// isDry reports whether the request is a dry run.
func (s Step) isDry() bool {
	if strings.Contains(s.Query, "dryRun=All") {
		return true
	}
	options, ok := s.Body.(map[string]any)
	return ok && s.Method == http.MethodDelete && options["dryRun"] != nil
}

// String describes the request.
func (s Step) String() string {
	text := s.Method + " " + s.Path
	if s.Query != "" {
		text += "?" + s.Query
	}
	for _, contentType := range []string{merge, strategic, jsonPatch, apply} {
		if s.ContentType == contentType {
			text += " (" + strings.TrimPrefix(contentType, "application/") + ")"
		}
	}
	if s.Accept != "" {
		text += " as " + s.Accept
	}
	return text
}
