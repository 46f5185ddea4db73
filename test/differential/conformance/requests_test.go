package conformance

import (
	"bytes"
	"encoding/json"
	"mime"
	"net/http"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/portolan-dev/portolan/test/framework"
)

// answer is the answer of a server.
type answer struct {
	code int
	// format is its content type, without parameters.
	format string
	header http.Header
	body   []byte
}

// ask sends a request that no client library sends. Headers are names and
// values.
func (f *fixture) ask(method, path string, body []byte, headers ...string) answer {
	f.Helper()
	client, err := rest.HTTPClientFor(f.config)
	f.ok("client", err)
	header := http.Header{}
	for i := 0; i < len(headers); i += 2 {
		header.Set(headers[i], headers[i+1])
	}
	response, raw := framework.Send(f, client, method, f.config.Host+path, bytes.NewReader(body), header)
	a := answer{code: response.StatusCode, header: response.Header, body: []byte(raw)}
	if text := response.Header.Get("Content-Type"); text != "" {
		a.format, _, err = mime.ParseMediaType(text)
		f.ok(text, err)
	}
	return a
}

// decode reads an answer in JSON or YAML.
func (f *fixture) decode(a answer, into any) {
	f.Helper()
	var err error
	if a.format == "application/yaml" {
		err = yaml.Unmarshal(a.body, into)
	} else {
		err = json.Unmarshal(a.body, into)
	}
	if err != nil {
		f.Fatalf("%v in\n%s", err, a.body)
	}
}

// kindOf returns the kind of an answer.
func (f *fixture) kindOf(a answer) schema.GroupVersionKind {
	f.Helper()
	if a.format == "application/vnd.kubernetes.protobuf" {
		return f.kindOfProtobuf(a.body)
	}
	var meta metav1.TypeMeta
	f.decode(a, &meta)
	return meta.GroupVersionKind()
}

// expectStatus wants an answer to be an error, in JSON.
func (f *fixture) expectStatus(what string, a answer, code int, reason metav1.StatusReason, message string) {
	f.Helper()
	var status metav1.Status
	f.decode(a, &status)
	if a.code != code || a.format != "application/json" || status.Kind != "Status" || status.APIVersion != "v1" ||
		status.Status != metav1.StatusFailure ||
		status.Code != int32(code) || status.Reason != reason || status.Message != message {
		f.Errorf("%s: got %d %s, reason %q, message %q\nwant %d, reason %q, message %q", what, a.code, a.format, status.Reason, status.Message,
			code, reason, message)
	}
}

// path returns the path of a kind's collection, or of names below it.
func (f *fixture) path(k kind, names ...string) string {
	path := "/api/" + k.Version
	if k.Group != "" {
		path = "/apis/" + k.Group + "/" + k.Version
	}
	if k.namespaced {
		path += "/namespaces/" + f.namespace
	}
	path += "/" + k.Resource
	for _, name := range names {
		path += "/" + name
	}
	return path
}
