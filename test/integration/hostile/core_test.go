package hostile

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// coreKind is a kind that kube-apiserver serves too, with what a valid
// object needs beside its name.
type coreKind struct {
	kind, version, path, body string
	// subresources can be written, and base is called so where not any name will do.
	subresources []string
	base         string
}

var coreKinds = []coreKind{
	{"Namespace", "v1", "/api/v1/namespaces", `"spec":{}`, []string{"/status", "/finalize"}, ""},
	{"Node", "v1", "/api/v1/nodes", `"spec":{"podCIDRs":["192.0.2.0/24"]}`, []string{"/status"}, ""},
	{"Pod", "v1", "/api/v1/namespaces/default/pods", `"spec":{"containers":[{"name":"c","image":"i"}]}`, []string{"/status"}, ""},
	{"Secret", "v1", "/api/v1/namespaces/default/secrets", `"data":{"a":"eA=="}`, nil, ""},
	{"ConfigMap", "v1", "/api/v1/namespaces/default/configmaps", `"data":{"a":"x"}`, nil, ""},
	{"ServiceAccount", "v1", "/api/v1/namespaces/default/serviceaccounts", `"imagePullSecrets":[{"name":"a"}]`, nil, ""},
	{"Event", "v1", "/api/v1/namespaces/default/events", `"involvedObject":{"namespace":"default"}`, nil, ""},
	{"Service", "v1", "/api/v1/namespaces/default/services", `"spec":{"ports":[{"port":80}]}`, []string{"/status"}, ""},
	{"Endpoints", "v1", "/api/v1/namespaces/default/endpoints", `"subsets":[{"addresses":[{"ip":"192.0.2.1"}]}]`, nil, ""},
	{"EndpointSlice", "discovery.k8s.io/v1", "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices",
		`"addressType":"IPv4","endpoints":[]`, nil, ""},
	{
		"Event", "events.k8s.io/v1", "/apis/events.k8s.io/v1/namespaces/default/events",
		`"regarding":{"namespace":"default"},"reason":"R","type":"Normal",` +
			`"action":"Do","eventTime":"2026-01-02T03:04:05.000000Z","reportingController":"example.com/c","reportingInstance":"i"`, nil, "strict",
	},
	{"Lease", "coordination.k8s.io/v1", "/apis/coordination.k8s.io/v1/namespaces/default/leases", `"spec":{"leaseDurationSeconds":30}`, nil,
		""},
	{"Ingress", "networking.k8s.io/v1", "/apis/networking.k8s.io/v1/namespaces/default/ingresses",
		`"spec":{"defaultBackend":{"service":{"name":"w","port":{"number":80}}}}`, []string{"/status"}, ""},
	{"IngressClass", "networking.k8s.io/v1", "/apis/networking.k8s.io/v1/ingressclasses", `"spec":{"controller":"example.com/c"}`, nil, ""},
	{"ServiceCIDR", "networking.k8s.io/v1", "/apis/networking.k8s.io/v1/servicecidrs", `"spec":{"cidrs":["198.51.100.0/24"]}`,
		[]string{"/status"}, ""},
	{"IPAddress", "networking.k8s.io/v1", "/apis/networking.k8s.io/v1/ipaddresses", `"spec":{"parentRef":{"resource":"nodes","name":"n"}}`,
		nil, "192.0.2.77"},
	{"ValidatingAdmissionPolicy", "admissionregistration.k8s.io/v1", "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies",
		`"spec":{"validations":[{"expression":"true"}],"matchConstraints":{"resourceRules":[` + things + `]}}`, []string{"/status"}, ""},
	{"MutatingWebhookConfiguration", "admissionregistration.k8s.io/v1", "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations",
		`"webhooks":[{"name":"a.example.com","clientConfig":{"url":"https://127.0.0.1/a"},"sideEffects":"None",` +
			`"admissionReviewVersions":["v1"],"rules":[` + things + `]}]`, nil, ""},
}

// things is a rule for a kind that is not served.
const things = `{"apiGroups":["example.com"],"apiVersions":["v1"],"operations":["CREATE"],"resources":["things"]}`

func (k coreKind) name() string {
	if k.base != "" {
		return k.base
	}
	return "base"
}

// object is one with more in its metadata, or at its top.
func (k coreKind) object(name, metadata, more string) string {
	return fmt.Sprintf(`{"apiVersion":%q,"kind":%q,"metadata":{"name":%q%s},%s%s}`, k.version, k.kind, name, metadata, k.body, more)
}

func (k coreKind) posts() []attack {
	post := func(what, contentType, query, body string, code int, part string) attack {
		return attack{what, http.MethodPost, k.path + query, contentType, body, code, part, nil}
	}
	with := func(what, metadata string, code int, part string) attack {
		return post(what, jsonType, "", k.object(k.name()+"1", metadata, ""), code, part)
	}
	good := k.object("x", "", "")
	return []attack{
		post("cut off", jsonType, "", good[:len(good)-5], badRequest, "unexpected end of JSON input"),
		post("an array", jsonType, "", "[]", badRequest, "cannot unmarshal array"),
		post("deep arrays", jsonType, "", strings.Repeat("[", 1<<20), badRequest, "exceeded max depth"),
		post("a body of 4 MiB", jsonType, "", strings.Repeat(" ", 4<<20), tooLarge, "limit is 3145728"),
		post("cyclic YAML", yamlType, "", "a: &a [*a]\n", badRequest, "contains itself"),
		post("garbage for protobuf", protobufType, "", "garbage", badRequest, "does not appear to be a protobuf message"),
		post("protobuf that is cut off", protobufType, "", "k8s\x00\n\x0f\n\x02v1", badRequest, "unexpected EOF"),
		post("CBOR", "application/cbor", "", "\xd9\xd9\xf7\xa0", unsupported, "accepted media types include"),
		post("a patch", mergePatch, "", good, unsupported, "accepted media types include"),
		post("nothing in it", jsonType, "", "{}", unprocessable, "metadata.name: Required value"),
		post("metadata that are null", jsonType, "", `{"metadata":null}`, unprocessable, "metadata.name: Required value"),
		post("metadata that are a list", jsonType, "", `{"metadata":[]}`, badRequest, "of type v1.ObjectMeta"),
		post("a kind of another group", jsonType, "", `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"x"}}`, badRequest,
			"unknown conversion"),
		post("a kind that no group has", jsonType, "", `{"apiVersion":"example.com/v1","kind":"Thing","metadata":{"name":"x"}}`, badRequest,
			"cannot be handled as a "+k.kind),
		post("a list", jsonType, "", fmt.Sprintf(`{"apiVersion":%q,"kind":"%sList","items":[]}`, k.version, k.kind), badRequest,
			"unknown conversion"),
		post("an unknown version", jsonType, "", `{"apiVersion":"v9","kind":"`+k.kind+`"}`, badRequest, `no kind "`+k.kind+`"`),
		post("options", jsonType, "", `{"apiVersion":"v1","kind":"DeleteOptions"}`, badRequest, "cannot be handled as a "+k.kind),
		post("unknown fields and one twice", jsonType, "?fieldValidation=Strict", k.object("x", `,"foo":1`, `,"foo":1,"kind":"`+k.kind+`"`),
			badRequest, `unknown field "metadata.foo"`),
		post("a validation that there is none of", jsonType, "?fieldValidation=Foo", good, unprocessable, "fieldValidation: Unsupported value"),
		post("an odd dry run", jsonType, "?dryRun=Some", good, unprocessable, "dryRun: Unsupported value"),
		post("a long manager", jsonType, "?fieldManager="+strings.Repeat("m", 129), good, unprocessable, "fieldManager: Too long"),
		post("what exists", jsonType, "", k.object(k.name(), "", ""), http.StatusConflict, "already exists"),
		with("labels that are numbers", `,"labels":{"a":1}`, badRequest, "cannot unmarshal number"),
		with("a version of before", `,"resourceVersion":"1"`, unprocessable, "metadata.resourceVersion"),
		with("a creation yesterday", `,"creationTimestamp":"yesterday"`, badRequest, "parsing time"),
	}
}

// checked are what metadata must not have. Core v1 takes Events as they come.
func (k coreKind) checked() []attack {
	if k.kind == "Event" && k.version == "v1" {
		return nil
	}
	with := func(what, metadata string, part string) attack {
		return attack{what, http.MethodPost, k.path, jsonType, k.object(k.name()+"1", metadata, ""), unprocessable, part, nil}
	}
	named := func(what, name, part string) attack {
		return attack{
			what, http.MethodPost, k.path, jsonType, strings.Replace(k.object("NAME", "", ""), "NAME", name, 1), unprocessable, part, nil,
		}
	}
	attacks := []attack{
		named("a name that is no UTF-8", "a\xff", "metadata.name: Invalid value"),
		named("a name that goes up", "..", "metadata.name: Invalid value"),
		named("a name with a slash", "a/b", "metadata.name: Invalid value"),
		named("a name of other letters", "ä😀", "metadata.name: Invalid value"),
		named("a long name", strings.Repeat("a", 1<<20), "metadata.name: Invalid value"),
		with("odd labels", `,"labels":{"-a":"b c"}`, "metadata.labels: Invalid value"),
		with("annotations without end", `,"annotations":{"a":"`+strings.Repeat("x", 300_000)+`"}`, "metadata.annotations: Too long"),
		with("an odd finalizer", `,"finalizers":["-a b"]`, "metadata.finalizers: Invalid value"),
		with("finalizers that exclude each other", `,"finalizers":["orphan","foregroundDeletion"]`, "cannot be both set"),
		with("an owner without anything", `,"ownerReferences":[{}]`, "metadata.ownerReferences"),
		with("labels without end", `,"labels":{`+many(20_000, `"-#":"a b"`)+`}`, "there are more errors"),
	}
	if k.kind == "Lease" || strings.HasPrefix(k.version, "admissionregistration.") {
		return attacks
	}
	return append(attacks, with("nobody's finalizer", `,"finalizers":["nobody"]`,
		"metadata.finalizers[0]: Invalid value: \"nobody\": name is neither a standard finalizer name nor is it fully qualified"))
}

func (k coreKind) patches(subresource string) []attack {
	patch := func(what, contentType, body string, code int, part string) attack {
		return attack{what + " at " + subresource, http.MethodPatch, k.path + "/" + k.name() + subresource + "?fieldManager=m", contentType, body,
			code, part, nil}
	}
	applied := func(what, more string, code int, part string) attack {
		return patch(what, applyPatch, fmt.Sprintf(`{"apiVersion":%q,"kind":%q,"metadata":{"name":%q}%s}`, k.version, k.kind, k.name(), more),
			code, part)
	}
	const cannot = "the server rejected our request due to an error in our request"
	return []attack{
		patch("an operation that there is none of", jsonPatch, `[{"op":"foo"}]`, unprocessable, cannot),
		patch("no operation", jsonPatch, `[null]`, unprocessable, cannot),
		patch("an object of operations", jsonPatch, `{}`, badRequest, "cannot unmarshal object"),
		patch("everything removed", jsonPatch, `[{"op":"remove","path":""}]`, unprocessable, cannot),
		patch("an index below 0", jsonPatch, `[{"op":"remove","path":"/metadata/managedFields/-9"}]`, unprocessable, cannot),
		patch("something moved into itself", jsonPatch, `[{"op":"move","from":"/metadata","path":"/metadata/a"}]`, unprocessable, cannot),
		patch("more than 10,000 operations", jsonPatch, "["+many(10_001, `{"op":"test","path":"/kind","value":"a"}`)+"]", tooLarge, "10000"),
		patch("a list to merge", mergePatch, `[]`, badRequest, "cannot unmarshal array"),
		patch("metadata taken away", mergePatch, `{"metadata":null}`, badRequest, "name must be provided"),
		patch("another name", mergePatch, `{"metadata":{"name":"other"}}`, badRequest, "does not match the name on the URL"),
		patch("another object", mergePatch, `{"metadata":{"uid":"u"}}`, unprocessable, "metadata.uid: Invalid value"),
		patch("an old version", mergePatch, `{"metadata":{"resourceVersion":"1"}}`, http.StatusConflict, "the object has been modified"),
		patch("no version", mergePatch, `{"metadata":{"resourceVersion":"abc"}}`, unprocessable, "metadata.resourceVersion"),
		patch("deep", mergePatch, nested(`{"a":`, "1", "}", 400_000), badRequest, "exceeded max depth"),
		patch("an unknown directive", strategic, `{"metadata":{"$patch":"explode"}}`, badRequest, "unknown patch type: explode"),
		patch("an order that is text", strategic, `{"metadata":{"$setElementOrder/finalizers":"a"}}`, badRequest, "expected a []interface {}"),
		patch("owners that are numbers", strategic, `{"metadata":{"ownerReferences":[1]}}`, unprocessable, "cannot restore struct from"),
		patch("a patch of no type", jsonType, `{}`, unsupported, "Unsupported Media Type"),
		patch("a configuration that is garbage", applyPatch, "{{{:::", badRequest, "yaml"),
		patch("a configuration of text", applyPatch, "hello", badRequest, "cannot unmarshal string"),
		applied("an unknown field", `,"foo":1`, badRequest, ".foo: field not declared in schema"),
		{"no manager", http.MethodPatch, k.path + "/" + k.name() + subresource, applyPatch, "{}", unprocessable, "fieldManager: Required value",
			nil},
		{"of what isn't there at " + subresource, http.MethodPatch, k.path + "/192.0.2.99" + subresource, mergePatch, "{}", http.StatusNotFound,
			"not found", nil},
	}
}

func (k coreKind) others() []attack {
	get := func(what, query string, code int, part string) attack {
		return attack{what, http.MethodGet, k.path + "?" + query, "", "", code, part, nil}
	}
	object := k.path + "/" + k.name()
	remove := func(what, body string, code int, part string) attack {
		return attack{what, http.MethodDelete, object, jsonType, body, code, part, nil}
	}
	return []attack{
		get("a selector that is none", "labelSelector=)(", badRequest, "found ')'"),
		get("an unknown field", "fieldSelector=spec.foo%3Da", badRequest, "spec.foo"),
		get("a limit of 2^63", "limit=9223372036854775808", badRequest, "value out of range"),
		get("a version that is text", "resourceVersion=abc", badRequest, "invalid resource version"),
		get("a version without a match", "resourceVersionMatch=Exact", unprocessable, "resourceVersionMatch: Forbidden"),
		get("a match that there is none of", "resourceVersion=0&resourceVersionMatch=Foo", unprocessable,
			"resourceVersionMatch: Unsupported value"),
		get("a token that is garbage", "limit=1&continue=%ff%00", badRequest, "continue key is not valid"),
		get("a timeout that is text", "timeout=abc", badRequest, "invalid timeout"),
		get("seconds that are text", "timeoutSeconds=abc", badRequest, "invalid syntax"),
		get("a watch from nowhere", "watch=1&resourceVersion=abc", badRequest, "invalid resource version"),
		get("a watch of an unknown field", "watch=1&fieldSelector=spec.foo%3Da", badRequest, "spec.foo"),
		get("initial events that don't match", "watch=1&sendInitialEvents=true", unprocessable, "resourceVersionMatch: Forbidden"),
		get("initial events without a watch", "sendInitialEvents=true", unprocessable, "sendInitialEvents: Forbidden"),
		{"HTML", http.MethodGet, object, "", "", http.StatusNotAcceptable, "Available representations", []string{"Accept", "text/html"}},
		{"no subresource", http.MethodGet, object + "/foo", "", "", http.StatusNotFound, "could not find the requested resource", nil},
		{"a POST at an object", http.MethodPost, object, jsonType, "{}", http.StatusMethodNotAllowed, "does not allow this method", nil},
		{"a replacement that is null", http.MethodPut, object, jsonType, "null", badRequest, "name must be provided", nil},
		{"a replacement of another name", http.MethodPut, object, jsonType, k.object("other", "", ""), badRequest,
			"does not match the name on the URL", nil},
		{"a replacement of another object", http.MethodPut, object, jsonType, k.object(k.name(), `,"uid":"u"`, ""), http.StatusConflict,
			"UID in precondition: u", nil},
		{"a replacement of an old version", http.MethodPut, object, jsonType, k.object(k.name(), `,"resourceVersion":"1"`, ""),
			http.StatusConflict, "the object has been modified", nil},
		remove("options that are garbage", "garbage", badRequest, "invalid character"),
		remove("options of another kind", k.object("x", "", ""), badRequest, "no kind"),
		remove("another object to delete", `{"preconditions":{"uid":"u"}}`, http.StatusConflict, "recondition"),
		remove("an old version to delete", `{"preconditions":{"resourceVersion":"1"}}`, http.StatusConflict, "recondition"),
		remove("a policy that there is none of", `{"propagationPolicy":"Foo"}`, unprocessable, "propagationPolicy: Unsupported value"),
		remove("a run that is dry in part", `{"dryRun":["Foo"]}`, unprocessable, "dryRun: Unsupported value"),
		remove("what could be read", `{"ignoreStoreReadErrorWithClusterBreakingPotential":true}`, http.StatusConflict, "the object is decodable"),
	}
}

// attacks are all that a kind is sent.
func (k coreKind) attacks() []attack {
	attacks := append(k.posts(), k.checked()...)
	attacks = append(attacks, k.others()...)
	for _, subresource := range append([]string{""}, k.subresources...) {
		if subresource != "/finalize" {
			attacks = append(attacks, k.patches(subresource)...)
		}
	}
	return attacks
}

// TestCoreGroups sends to every kind that kube-apiserver serves too what
// no object is.
func TestCoreGroups(t *testing.T) {
	t.Parallel()
	server := start(t, nil)
	for _, kind := range coreKinds {
		t.Run(kind.kind+" of "+kind.version, func(t *testing.T) {
			if created := server.send(t, http.MethodPost, kind.path, jsonType,
				[]byte(kind.object(kind.name(), "", ""))); created.code != http.StatusCreated {
				t.Fatal(created)
			}
			before := server.revision(t)
			for _, a := range kind.attacks() {
				server.send(t, a.method, a.path, a.contentType, []byte(a.body), a.headers...).refused(t, a.what, a.code, a.part)
			}
			if after := server.revision(t); after != before {
				t.Errorf("etcd moved from revision %d to %d", before, after)
			}
		})
	}
	server.healthy(t)
}
