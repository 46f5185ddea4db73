package hostile

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/portolan-dev/portolan/test/framework"
)

const base = services + "/base"

// attack is a request and what has to come of it.
type attack struct {
	what, method, path, contentType, body string
	code                                  int
	part                                  string
	headers                               []string
}

func post(what, body string, code int, part string) attack {
	return attack{what, http.MethodPost, services, jsonType, body, code, part, nil}
}

func patch(what, contentType, body string, code int, part string) attack {
	return attack{what, http.MethodPatch, base + "?fieldManager=m", contentType, body, code, part, nil}
}

// spec is a Service with this in its spec.
func spec(rest string) string {
	return `{"apiVersion":"portolan.dev/v1","kind":"Service","metadata":{"name":"x"},"spec":{` + rest + `}}`
}

// meta is a Service with this in its metadata.
func meta(rest string) string {
	return `{"metadata":{"name":"x",` + rest + `},"spec":{"ports":[{"port":80}]}}`
}

// many joins n items.
func many(n int, format string) string {
	var text strings.Builder
	for i := range n {
		if i > 0 {
			text.WriteByte(',')
		}
		text.WriteString(strings.ReplaceAll(format, "#", fmt.Sprint(i+1)))
	}
	return text.String()
}

func nested(open, middle, shut string, depth int) string {
	return strings.Repeat(open, depth) + middle + strings.Repeat(shut, depth)
}

const (
	badRequest    = http.StatusBadRequest
	unprocessable = http.StatusUnprocessableEntity
	tooLarge      = http.StatusRequestEntityTooLarge
	unsupported   = http.StatusUnsupportedMediaType
)

// run sends attacks to a server that has a Service, and wants nothing to be
// written.
func (s *target) run(t *testing.T, attacks []attack) {
	t.Helper()
	if created := s.send(t, http.MethodPost, services, jsonType,
		[]byte(`{"metadata":{"name":"base"},"spec":{"ports":[{"port":80}]}}`)); created.code != http.StatusCreated {
		t.Fatal(created)
	}
	before := s.revision(t)
	for _, a := range attacks {
		s.send(t, a.method, a.path, a.contentType, []byte(a.body), a.headers...).refused(t, a.what, a.code, a.part)
	}
	if after := s.revision(t); after != before {
		t.Errorf("etcd moved from revision %d to %d", before, after)
	}
	s.healthy(t)
}

func TestBodies(t *testing.T) {
	t.Parallel()
	laughs := "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
	for i := 'b'; i < 'k'; i++ {
		laughs += fmt.Sprintf("%c: &%c [%s]\n", i, i, nested(fmt.Sprintf("*%c,", i-1), fmt.Sprintf("*%c", i-1), "", 9))
	}
	raw := func(what, contentType, body string, code int, part string) attack {
		return attack{what, http.MethodPost, services, contentType, body, code, part, nil}
	}
	good := spec(`"ports":[{"port":80}]`)
	start(t, nil).run(t, []attack{
		post("a body of 4 MiB", strings.Repeat(" ", 4<<20), tooLarge, "limit is 3145728"),
		patch("a patch of 4 MiB", mergePatch, strings.Repeat(" ", 4<<20), tooLarge, "limit is 3145728"),
		post("deep arrays", strings.Repeat("[", 3<<20), badRequest, "exceeded max depth"),
		post("deep objects", nested(`{"a":`, "1", "}", 500_000), badRequest, "exceeded max depth"),
		post("deep within a field", spec(`"a":`+nested("[", "", "]", 200_000)), badRequest, "exceeded max depth"),
		patch("deep merge patch", mergePatch, nested(`{"a":`, "1", "}", 400_000), badRequest, "exceeded max depth"),
		patch("deep strategic merge patch", strategic, nested(`{"a":`, "1", "}", 400_000), badRequest, "exceeded max depth"),
		patch("deep JSON patch", jsonPatch, `[{"op":"add","path":"/a","value":`+nested("[", "", "]", 400_000)+"}]", badRequest,
			"exceeded max depth"),
		patch("deep apply", applyPatch, nested(`{"a":`, "1", "}", 400_000), badRequest, "exceeded max depth"),
		patch("apply that is deep enough", applyPatch,
			`{"apiVersion":"portolan.dev/v1","kind":"Service","metadata":{"name":"base"},"spec":`+nested(`{"a":`, "1", "}", 250)+"}", badRequest,
			".spec.a: field not declared in schema"),
		raw("deep YAML", yamlType, strings.Repeat("[", 100_000), badRequest, "exceeded max depth"),
		raw("deep blocks of YAML", yamlType, strings.Repeat("- ", 1_000_000)+"a", badRequest, "exceeded max depth"),
		raw("a billion laughs", yamlType, laughs, badRequest, "excessive aliasing"),
		patch("a billion laughs applied", applyPatch, laughs, badRequest, "excessive aliasing"),
		raw("cyclic YAML", yamlType, "a: &a [*a]\n", badRequest, "contains itself"),
		patch("cyclic YAML applied", applyPatch, "a: &a\n  b: *a\n", badRequest, "contains itself"),
		post("cut off", `{"spec":{"ports":[{"port":8`, badRequest, "unexpected end of JSON input"),
		post("nothing", "", badRequest, "unexpected end of JSON input"),
		post("null", "null", unprocessable, "metadata.name: Required value"),
		post("an array", "[]", badRequest, "cannot unmarshal array"),
		post("a string", `"a"`, badRequest, "cannot unmarshal string"),
		raw("protobuf that is garbage", protobufType, "garbage", badRequest, "provided data does not appear to be a protobuf message"),
		raw("protobuf that is cut off", protobufType, "k8s\x00\n\x0f\n\x02v1", badRequest, "unexpected EOF"),
		raw("protobuf with a length beyond its end", protobufType, "k8s\x00\xff\xff\xff\xff\xff\xff\xff\xff", badRequest, "unexpected EOF"),
		raw("protobuf without a message", protobufType, "k8s\x00", badRequest, "must be of type Service"),
		raw("text", "text/plain", good, unsupported, "accepted media types include: application/json"),
		raw("no type of content", "a/b/c;;;", good, unsupported, "accepted media types include: application/json"),
		raw("CBOR", "application/cbor", "\xd9\xd9\xf7\xa0", unsupported, "accepted media types include: application/json"),
		patch("a patch without a type", "", "{}", unsupported, "Unsupported Media Type"),
		patch("a patch of type JSON", jsonType, "{}", unsupported, "Unsupported Media Type"),
		{"gzip", http.MethodPost, services, jsonType, "\x1f\x8b\x08\x00", badRequest, "invalid character", []string{"Content-Encoding", "gzip"}},
		{"options that are garbage", http.MethodDelete, base, jsonType, "garbage", badRequest, "invalid character", nil},
		{"options that are a Service", http.MethodDelete, base, jsonType, good, badRequest, `no kind "Service"`, nil},
		post("another kind", `{"apiVersion":"portolan.dev/v1","kind":"Endpoints","metadata":{"name":"x"}}`, badRequest, "unknown conversion"),
		post("an unknown kind", `{"apiVersion":"portolan.dev/v1","kind":"Foo","metadata":{"name":"x"}}`, badRequest, `no kind "Foo"`),
		post("a list", `{"apiVersion":"portolan.dev/v1","kind":"ServiceList","items":[]}`, badRequest, "unknown conversion"),
		post("an unknown version", `{"apiVersion":"portolan.dev/v9","kind":"Service","metadata":{"name":"x"}}`, badRequest, `no kind "Service"`),
		post("the internal version", `{"apiVersion":"portolan.dev/__internal","kind":"Service","metadata":{"name":"x"},"spec":{"ports":[{"port":80}]}}`, badRequest, "does not match the expected API version"),
		post("a version of many parts", `{"apiVersion":"a/b/c/d","kind":"Service","metadata":{"name":"x"}}`, badRequest,
			"unexpected GroupVersion string"),
	})
}

func TestValues(t *testing.T) {
	t.Parallel()
	const int32s = "of type int32"
	port := func(what, port string, code int, part string) attack {
		return post(what, spec(`"ports":[`+port+`]`), code, part)
	}
	start(t, nil).run(t, []attack{
		port("a port of 2^31", `{"port":2147483648}`, badRequest, int32s),
		port("a port of 2^64", `{"port":18446744073709551616}`, badRequest, int32s),
		port("a port of 10^1000", `{"port":1e1000}`, badRequest, int32s),
		port("half a port", `{"port":80.5}`, badRequest, int32s),
		port("a port with a point", `{"port":80.0}`, badRequest, int32s),
		port("a port that is text", `{"port":"80"}`, badRequest, int32s),
		port("a port below 0", `{"port":-80}`, unprocessable, "spec.ports[0].port: Invalid value: -80: must be between 1 and 65535, inclusive"),
		port("a target port of 2^40", `{"port":80,"targetPort":1099511627776}`, badRequest, int32s),
		port("half a target port", `{"port":80,"targetPort":1.5}`, badRequest, int32s),
		port("a target port that is an object", `{"port":80,"targetPort":{}}`, badRequest, int32s),
		port("a target port that is true", `{"port":80,"targetPort":true}`, badRequest, int32s),
		port("ports that are numbers", `1,2`, badRequest, "of type v1.ServicePort"),
		port("a port that is null", `null`, unprocessable, "spec.ports[0].port: Invalid value: 0"),
		post("ports that are text", spec(`"ports":"80"`), badRequest, "of type []v1.ServicePort"),
		post("ports that are an object", spec(`"ports":{"port":80}`), badRequest, "of type []v1.ServicePort"),
		post("addresses that are numbers", spec(`"clusterIPs":[1]`), badRequest, "of type string"),
		post("a node port below 0", spec(`"type":"NodePort","ports":[{"port":80,"nodePort":-80}]`), unprocessable,
			"spec.ports[0].nodePort: Invalid value: -80: provided port is not in the valid range"),
		post("a node port of 2^31-1", spec(`"type":"NodePort","ports":[{"port":80,"nodePort":2147483647}]`), unprocessable,
			"spec.ports[0].nodePort: Invalid value: 2147483647: provided port is not in the valid range"),
		post("a health check port below 0",
			spec(`"type":"LoadBalancer","externalTrafficPolicy":"Local","healthCheckNodePort":-1,"ports":[{"port":80}]`), unprocessable,
			"spec.healthCheckNodePort: Invalid value: -1"),
		post("a spec that is a list", `{"metadata":{"name":"x"},"spec":[]}`, badRequest, "of type v1.ServiceSpec"),
		post("a spec that is null", `{"metadata":{"name":"x"},"spec":null}`, unprocessable, "spec.ports: Required value"),
		post("metadata that are text", `{"metadata":"x"}`, badRequest, "of type v1.ObjectMeta"),
		post("a time that is none", meta(`"creationTimestamp":"yesterday"`), badRequest, "parsing time"),
		{"keys that are there twice", http.MethodPost, services + "?fieldValidation=Strict", jsonType,
			spec(`"ports":[{"port":80,"port":81}],"type":"ClusterIP","type":"NodePort"`), badRequest,
			`duplicate field "spec.ports[0].port", duplicate field "spec.type"`, nil},
		{"unknown fields", http.MethodPost, services + "?fieldValidation=Strict", jsonType, spec(many(100_000, `"u#":1`)), badRequest,
			`unknown field "spec.u1"`, nil},
		post("a name that is no UTF-8", "{\"metadata\":{\"name\":\"a\xff\"},\"spec\":{\"ports\":[{\"port\":80}]}}", unprocessable,
			"metadata.name: Invalid value"),
		post("a name with a NUL", `{"metadata":{"name":"a\u0000b"},"spec":{"ports":[{"port":80}]}}`, unprocessable,
			"metadata.name: Invalid value"),
		post("a name of other letters", `{"metadata":{"name":"ä😀"},"spec":{"ports":[{"port":80}]}}`, unprocessable,
			"metadata.name: Invalid value"),
		post("a long name", `{"metadata":{"name":"`+strings.Repeat("a", 1<<20)+`"},"spec":{"ports":[{"port":80}]}}`, unprocessable,
			"must be no more than 63 characters"),
		post("labels with half a character", meta(`"labels":{"\ud800":"\udfff"}`), unprocessable, "metadata.labels: Invalid value"),
		post("a selector that is no UTF-8", spec("\"ports\":[{\"port\":80}],\"selector\":{\"a\xff\":\"b\xfe\"}"), unprocessable,
			"spec.selector: Invalid value"),
		{"a long manager", http.MethodPost, services + "?fieldManager=" + strings.Repeat("m", 1000), jsonType, spec(`"ports":[{"port":80}]`),
			unprocessable, "fieldManager: Too long", nil},
		{"an odd dry run", http.MethodPost, services + "?dryRun=Some", jsonType, spec(`"ports":[{"port":80}]`), unprocessable,
			"dryRun: Unsupported value", nil},
		{"an address with a zone", http.MethodPost, api + "/ipaddresses", jsonType,
			`{"metadata":{"name":"fe80::1%eth0"},"spec":{"parentRef":{"resource":"a","name":"b"}}}`, unprocessable, "metadata.name: Invalid value",
			nil},
	})
}

func TestPatches(t *testing.T) {
	t.Parallel()
	bomb := `[{"op":"add","path":"/metadata/annotations","value":{"a":"` + strings.Repeat("x", 1000) + `"}}`
	for i := range 40 {
		bomb += fmt.Sprintf(`,{"op":"copy","from":"/metadata","path":"/metadata/annotations/b%d"}`, i)
	}
	const cannot = "the server rejected our request due to an error in our request"
	start(t, nil).run(t, []attack{
		patch("more than 10,000 operations", jsonPatch, "["+many(70_000, `{"op":"test","path":"/kind","value":"a"}`)+"]", tooLarge,
			"The allowed maximum operations in a JSON patch is 10000"),
		patch("copies that grow", jsonPatch, bomb+"]", badRequest, "exceeded max depth"),
		patch("an operation that there is none of", jsonPatch, `[{"op":"foo"}]`, unprocessable, cannot),
		patch("an operation that is a number", jsonPatch, `[{"op":1}]`, badRequest, "cannot unmarshal number"),
		patch("an operation that is null", jsonPatch, `[null]`, unprocessable, cannot),
		patch("a JSON patch that is an object", jsonPatch, `{}`, badRequest, "cannot unmarshal object"),
		patch("everything removed", jsonPatch, `[{"op":"remove","path":""}]`, unprocessable, cannot),
		patch("everything replaced", jsonPatch, `[{"op":"replace","path":"","value":[]}]`, unprocessable, "cannot unmarshal array"),
		patch("an index beyond numbers", jsonPatch, `[{"op":"add","path":"/spec/ports/99999999999999999999","value":{}}]`, unprocessable, cannot),
		patch("an index below 0", jsonPatch, `[{"op":"remove","path":"/spec/ports/-9"}]`, unprocessable, cannot),
		patch("no value", jsonPatch, `[{"op":"add","path":"/spec/ports/0"}]`, unprocessable, "spec.ports[0].port: Invalid value: 0"),
		patch("something moved into itself", jsonPatch, `[{"op":"move","from":"/spec","path":"/spec/a"}]`, unprocessable, cannot),
		patch("a merge patch that is a list", mergePatch, `[]`, badRequest, "cannot unmarshal array"),
		patch("a merge patch that is null", mergePatch, `null`, badRequest, "Invalid JSON Patch"),
		patch("a merge patch of another kind", mergePatch, `{"kind":"Foo","apiVersion":"x/y/z"}`, unprocessable, "patch: Invalid value"),
		patch("metadata taken away", mergePatch, `{"metadata":null}`, badRequest, "name must be provided"),
		patch("an unknown directive", strategic, `{"spec":{"$patch":"explode"}}`, badRequest, "unknown patch type: explode"),
		patch("a directive that is a number", strategic, `{"spec":{"$patch":1}}`, badRequest, "unknown patch type"),
		patch("an order that is text", strategic, `{"spec":{"$setElementOrder/ports":"a"}}`, badRequest, "expected a []interface {}"),
		patch("an order of other items", strategic, `{"spec":{"$setElementOrder/ports":[{"port":1},{"port":1}],"ports":[{"port":9}]}}`,
			badRequest, "doesn't match $setElementOrder list"),
		patch("text deleted from a list of objects", strategic, `{"spec":{"$deleteFromPrimitiveList/ports":["a"]}}`, badRequest,
			"types are not identical"),
		patch("keys to retain that are text", strategic, `{"spec":{"$retainKeys":"x"}}`, badRequest, "retainKeys"),
		patch("numbers among ports", strategic, `{"spec":{"ports":[1]}}`, badRequest, "types are not identical"),
		patch("null among ports", strategic, `{"spec":{"ports":[null]}}`, badRequest, "types are not identical"),
		patch("a port without its key", strategic, `{"spec":{"ports":[{"name":"a"}]}}`, badRequest, "does not contain declared merge key: port"),
		patch("a port to delete without its key", strategic, `{"spec":{"ports":[{"$patch":"delete"}]}}`, badRequest,
			"does not contain declared merge key: port"),
		patch("a configuration that is garbage", applyPatch, "{{{:::", badRequest, "yaml"),
		patch("a configuration with tabs", applyPatch, "\t\ta: b", badRequest, "yaml"),
		patch("a configuration of bytes", applyPatch, "\x00\x01\x02\xff\xfe", badRequest, "control characters are not allowed"),
		patch("a configuration that is text", applyPatch, "hello", badRequest, "cannot unmarshal string"),
		patch("two configurations", applyPatch, "a: b\n---\nc: d\n", badRequest, "invalid object type"),
		patch("an empty configuration", applyPatch, "", badRequest, "invalid object type"),
		patch("a configuration of another object", applyPatch, `{"apiVersion":"portolan.dev/v1","kind":"Service","metadata":{"name":"other"}}`,
			badRequest, "does not match the name on the URL"),
		patch("an unknown field applied", applyPatch,
			`{"apiVersion":"portolan.dev/v1","kind":"Service","metadata":{"name":"base"},"spec":{"foo":1}}`, badRequest,
			".spec.foo: field not declared in schema"),
		patch("text applied where a list belongs", applyPatch,
			`{"apiVersion":"portolan.dev/v1","kind":"Service","metadata":{"name":"base"},"spec":{"ports":"a"}}`, badRequest,
			".spec.ports: expected list"),
		patch("a port applied twice", applyPatch,
			`{"apiVersion":"portolan.dev/v1","kind":"Service","metadata":{"name":"base"},"spec":{"ports":[{"port":80},{"port":80}]}}`, badRequest,
			"duplicate entries for key"),
		patch("managed fields applied", applyPatch,
			`{"apiVersion":"portolan.dev/v1","kind":"Service","metadata":{"name":"base","managedFields":[{}]}}`, badRequest,
			"metadata.managedFields must be nil"),
		{"an unknown field applied to the status", http.MethodPatch, base + "/status?fieldManager=m", applyPatch,
			`{"apiVersion":"portolan.dev/v1","kind":"Service","metadata":{"name":"base"},"status":{"foo":1}}`, badRequest,
			".status.foo: field not declared in schema", nil},
	})
}

func TestQueries(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 500_000)
	get := func(what, path string, code int, part string, headers ...string) attack {
		return attack{what, http.MethodGet, path, "", "", code, part, headers}
	}
	start(t, nil).run(t, []attack{
		get("HTML wanted", base, http.StatusNotAcceptable, "Available representations: application/json", "Accept", "text/html"),
		get("nonsense wanted", base, http.StatusNotAcceptable, "Available representations: application/json", "Accept", ";;;,,,q="),
		get("10,000 things wanted", base, http.StatusNotAcceptable, "Available representations: application/json", "Accept",
			strings.Repeat("a/b,", 10_000)),
		get("100,000 things wanted", base, http.StatusRequestHeaderFieldsTooLarge, "at most 65536 are accepted", "Accept",
			strings.Repeat("a/b,", 100_000)),
		get("a path upwards", services+"/..%2f..%2fx", http.StatusNotFound, "could not find the requested resource"),
		get("a NUL", services+"/a%00b", http.StatusNotFound, `"a\x00b" not found`),
		get("no UTF-8", services+"/%ff%fe", http.StatusNotFound, `"\xff\xfe" not found`),
		get("a long name", services+"/"+long[:10_000], http.StatusNotFound, "not found"),
		get("a longer one", services+"/"+long, http.StatusRequestURITooLong, "at most 16384 are accepted"),
		get("a long label", services+"?labelSelector="+long[:10_000], badRequest, "must be no more than 63"),
		get("a longer label", services+"?labelSelector="+long, http.StatusRequestURITooLong, "at most 16384 are accepted"),
		get("a selector that is none", services+"?labelSelector=)(", badRequest, "found ')'"),
		get("an unknown field", services+"?fieldSelector=spec.foo%3Da", badRequest, "field label not supported: spec.foo"),
		get("a limit of 2^63", services+"?limit=9223372036854775808", badRequest, "value out of range"),
		get("a version that is text", services+"?resourceVersion=abc", badRequest, "invalid resource version"),
		get("a token that is garbage", services+"?limit=1&continue=%ff%00", badRequest, "continue key is not valid"),
		get("a watch with a token that is garbage", services+"?watch=1&resourceVersion=abc", badRequest, "invalid resource version"),
		get("a timeout that is text", services+"?timeout=abc", badRequest, "invalid timeout"),
		{"a method that there is none of", "FOO", base, "", "", http.StatusMethodNotAllowed, "does not allow this method", nil},
		{"a selector that is none, to delete", http.MethodDelete, services + "?labelSelector=)(", "", "", badRequest, "found ')'", nil},
		{"a policy that there is none of", http.MethodDelete, base + "?propagationPolicy=Foo", "", "", unprocessable,
			"propagationPolicy: Unsupported value", nil},
	})
}

// TestMany has lists with as many items as fit into a request. Before there
// was a bound on the errors that are listed, these took hours.
func TestMany(t *testing.T) {
	t.Parallel()
	const n = 60_000
	server := start(t, nil)
	// Wording all errors takes thousands of gigabytes.
	const most = 32 << 30
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	server.run(t, []attack{
		post("ports without anything", spec(`"ports":[`+many(n, `{}`)+`]`), unprocessable, "there are more errors, which are not listed"),
		post("one port many times", spec(`"ports":[`+many(n, `{"port":1}`)+`]`), unprocessable, "there are more errors"),
		post("node ports beyond the range", spec(`"type":"NodePort","ports":[`+many(n/2, `{"name":"p#","port":#,"nodePort":#}`)+`]`),
			unprocessable, "provided port is not in the valid range"),
		post("more node ports than there are", spec(`"type":"NodePort","ports":[`+many(n/2, `{"name":"p#","port":#}`)+`]`), unprocessable,
			"range is full"),
		post("protocols", spec(`"type":"NodePort","ports":[`+many(n/2, `{"port":1,"protocol":"#"}`)+`]`), unprocessable,
			"spec.ports[0].protocol: Unsupported value"),
		post("protocols on one node port", spec(`"type":"NodePort","ports":[`+many(n/2, `{"port":1,"nodePort":30001,"protocol":"#"}`)+`]`),
			unprocessable, "spec.ports[0].protocol: Unsupported value"),
		post("IP families", spec(`"ports":[{"port":80}],"ipFamilies":[`+many(n, `"#"`)+`]`), unprocessable,
			"spec.ipFamilies[0]: Unsupported value"),
		post("cluster IPs", spec(`"ports":[{"port":80}],"clusterIP":"1","clusterIPs":[`+many(n, `"#"`)+`]`), unprocessable,
			"must be a valid IP address"),
		post("source ranges", spec(`"type":"LoadBalancer","ports":[{"port":80}],"loadBalancerSourceRanges":[`+many(n, `"#"`)+`]`), unprocessable,
			"must be a valid CIDR value"),
		post("labels", meta(`"labels":{`+many(n/4, `"-#":"a b"`)+`}`), unprocessable, "there are more errors"),
		post("finalizers", meta(`"finalizers":[`+many(n/4, `"-#"`)+`]`), unprocessable, "there are more errors"),
		patch("labels by a patch", mergePatch, `{"metadata":{"labels":{`+many(n/4, `"-#":"a b"`)+`}}}`, unprocessable, "there are more errors"),
		{"endpoints", http.MethodPost, api + "/namespaces/default/endpoints", jsonType,
			`{"metadata":{"name":"x"},"subsets":[{"addresses":[` + many(n, `{"ip":"#"}`) + `]}]}`, unprocessable, "there are more errors", nil},
		{"slices", http.MethodPost, api + "/namespaces/default/endpointslices", jsonType,
			`{"metadata":{"name":"x"},"addressType":"IPv4","endpoints":[{"addresses":[` + many(n, `"#"`) + `]}]}`, unprocessable,
			"there are more errors", nil},
		{"ports of a range", http.MethodPost, api + "/nodeportranges", jsonType,
			`{"metadata":{"name":"x"},"spec":{"ports":[` + many(n, `"1-65535"`) + `]}}`, unprocessable, "there are more errors", nil},
		{"CIDRs", http.MethodPost, api + "/servicecidrs", jsonType, `{"metadata":{"name":"x"},"spec":{"cidrs":[` + many(n, `"#"`) + `]}}`,
			unprocessable, "may only hold up to 2 values", nil},
	})
	runtime.ReadMemStats(&after)
	if taken := after.TotalAlloc - before.TotalAlloc; taken > most {
		t.Errorf("%d MiB were taken", taken>>20)
	}
	// What is valid works, and what nobody checks does no harm.
	for what, body := range map[string]string{
		"3,000 ports":            spec(`"ports":[` + many(3000, `{"name":"p#","port":#}`) + `]`),
		"100,000 managed fields": meta(`"managedFields":[` + many(100_000, `{}`) + `]`),
		"odd managed fields":     meta(`"managedFields":[{"manager":"m","operation":"Foo","apiVersion":"x","fieldsType":"FieldsV1","fieldsV1":{"f:a":[1,2]}}]`),
	} {
		if created := server.send(t, http.MethodPost, services, jsonType, []byte(body)); created.code != http.StatusCreated {
			t.Errorf("%s: %v", what, created)
		}
		if deleted := server.send(t, http.MethodDelete, services+"/x", "", nil); deleted.code != http.StatusOK {
			t.Errorf("%s: %v", what, deleted)
		}
	}
	server.healthy(t)
}

// TestWatchesDropped opens watches and walks away from them.
func TestWatchesDropped(t *testing.T) {
	t.Parallel()
	server := start(t, nil)
	watch := func() {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		request, err := http.NewRequestWithContext(ctx, http.MethodGet,
			server.Config.Host+services+"?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true", nil)
		if err != nil {
			t.Error(err)
			return
		}
		response, err := server.client.Do(request)
		if err != nil {
			t.Error(err)
			return
		}
		if response.StatusCode != http.StatusOK {
			t.Errorf("a watch is answered with %d", response.StatusCode)
		}
		cancel()
		response.Body.Close()
	}
	watch()
	goroutines := runtime.NumGoroutine()
	var all sync.WaitGroup
	for range 500 {
		all.Go(watch)
	}
	all.Wait()
	server.healthy(t)
	// Other tests run beside this one, each with a server.
	const others = 2000
	framework.Eventually(t, "500 watches leave no goroutines", func(context.Context) (bool, error) {
		left := runtime.NumGoroutine()
		return left <= goroutines+others, fmt.Errorf("%d are left, there were %d", left, goroutines)
	})
}
