package conformance

import (
	"bytes"
	"encoding/json"
	"io"
	"mime"
	"net/http"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"
)

// answer is what a server says to a request.
type answer struct {
	code int
	// format is the type of its content, without parameters.
	format string
	header http.Header
	body   []byte
}

// ask sends a request of which no client knows: headers are names and values.
func (w *world) ask(method, path string, body []byte, headers ...string) answer {
	w.Helper()
	client, err := rest.HTTPClientFor(w.config)
	w.ok("client", err)
	request, err := http.NewRequestWithContext(w.Context(), method, w.config.Host+path, bytes.NewReader(body))
	w.ok("request", err)
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := client.Do(request)
	w.ok(path, err)
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	w.ok(path, err)
	a := answer{code: response.StatusCode, header: response.Header, body: raw}
	if text := response.Header.Get("Content-Type"); text != "" {
		a.format, _, err = mime.ParseMediaType(text)
		w.ok(text, err)
	}
	return a
}

// decode reads an answer in JSON or YAML.
func (w *world) decode(a answer, into any) {
	w.Helper()
	var err error
	if a.format == "application/yaml" {
		err = yaml.Unmarshal(a.body, into)
	} else {
		err = json.Unmarshal(a.body, into)
	}
	if err != nil {
		w.Fatalf("%v in\n%s", err, a.body)
	}
}

// kindOf is what an answer says that it is.
func (w *world) kindOf(a answer) schema.GroupVersionKind {
	w.Helper()
	if a.format == "application/vnd.kubernetes.protobuf" {
		return w.kindOfProtobuf(a.body)
	}
	var meta metav1.TypeMeta
	w.decode(a, &meta)
	return meta.GroupVersionKind()
}

// expectStatus wants an answer to be a refusal, in JSON.
func (w *world) expectStatus(what string, a answer, code int, reason metav1.StatusReason, message string) {
	w.Helper()
	var status metav1.Status
	w.decode(a, &status)
	if a.code != code || a.format != "application/json" || status.Kind != "Status" || status.APIVersion != "v1" ||
		status.Status != metav1.StatusFailure ||
		status.Code != int32(code) || status.Reason != reason || status.Message != message {
		w.Errorf("%s: got %d %s, reason %q, message %q\nwant %d, reason %q, message %q", what, a.code, a.format, status.Reason, status.Message,
			code, reason, message)
	}
}

// path is where a kind's objects are, and those names in it.
func (w *world) path(k kind, names ...string) string {
	path := "/api/" + k.Version
	if k.Group != "" {
		path = "/apis/" + k.Group + "/" + k.Version
	}
	if k.namespaced {
		path += "/namespaces/" + w.namespace
	}
	path += "/" + k.Resource
	for _, name := range names {
		path += "/" + name
	}
	return path
}
