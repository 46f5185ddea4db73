package conformance

import (
	"encoding/json"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"sigs.k8s.io/yaml"
)

const (
	inJSON     = "application/json"
	inYAML     = "application/yaml"
	inProtobuf = "application/vnd.kubernetes.protobuf"
)

func formats() behaviors {
	all := behaviors{
		"content types":        contentTypes,
		"patches of no type":   unknownPatches,
		"refusals in protobuf": refusalInProtobuf,
		"not acceptable":       notAcceptable,
		"unsupported methods":  noMethods,
		"answers to writes":    writesAnswered,
		"unknown paths":        noPaths,
	}
	for _, k := range kinds() {
		all["of "+k.id()] = func(f *fixture) { formatsOf(f, k) }
	}
	return all
}

func (f *fixture) kindOfProtobuf(raw []byte) schema.GroupVersionKind {
	f.Helper()
	unknown := &runtime.Unknown{}
	_, kind, err := protobuf.NewSerializer(nil, nil).Decode(raw, nil, unknown)
	if err != nil && !runtime.IsNotRegisteredError(err) {
		f.ok("decode", err)
	}
	return *kind
}

func (f *fixture) createOne(k kind) string {
	f.Helper()
	made, err := f.resource(k).Create(f.Context(), f.object(k, 0), metav1.CreateOptions{})
	f.ok("create", err)
	return made.GetName()
}

// formatsOf reads an object and a list of the kind in each format.
func formatsOf(f *fixture, k kind) {
	name := f.createOne(k)
	meta := schema.GroupVersion{Group: "meta.k8s.io", Version: "v1"}
	beta := schema.GroupVersion{Group: "meta.k8s.io", Version: "v1beta1"}
	own := k.GroupVersion().WithKind(k.name)
	const (
		table = ";as=Table;v=v1;g=meta.k8s.io"
		part  = ";as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
		parts = ";as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
	)
	for _, test := range []struct {
		accept, format string
		// object and list are the kinds of the answer; an empty one stands for
		// a 406.
		object, list schema.GroupVersionKind
	}{
		{"", inJSON, own, own}, {"*/*", inJSON, own, own}, {inJSON, inJSON, own, own}, {inYAML, inYAML, own, own},
		{inProtobuf, inProtobuf, own, own}, {"text/html," + inYAML, inYAML, own, own}, {inYAML + ";q=0.5," + inJSON, inJSON, own, own},
		{inJSON + table, inJSON, meta.WithKind("Table"), meta.WithKind("Table")},
		{inYAML + table, inYAML, meta.WithKind("Table"), meta.WithKind("Table")},
		{inJSON + ";as=Table;v=v1beta1;g=meta.k8s.io", inJSON, beta.WithKind("Table"), beta.WithKind("Table")},
		{inJSON + table + "," + inJSON, inJSON, meta.WithKind("Table"), meta.WithKind("Table")},
		{inJSON + ";as=Table;v=v9;g=meta.k8s.io," + inYAML, inYAML, own, own},
		{inJSON + part, inJSON, meta.WithKind("PartialObjectMetadata"), schema.GroupVersionKind{}},
		{inYAML + part, inYAML, meta.WithKind("PartialObjectMetadata"), schema.GroupVersionKind{}},
		{inProtobuf + part, inProtobuf, meta.WithKind("PartialObjectMetadata"), schema.GroupVersionKind{}},
		{inJSON + ";as=PartialObjectMetadata;v=v1beta1;g=meta.k8s.io", inJSON, beta.WithKind("PartialObjectMetadata"), schema.GroupVersionKind{}},
		{inJSON + parts, inJSON, schema.GroupVersionKind{}, meta.WithKind("PartialObjectMetadataList")},
		{inProtobuf + parts, inProtobuf, schema.GroupVersionKind{}, meta.WithKind("PartialObjectMetadataList")},
		{inJSON + ";as=PartialObjectMetadataList;v=v1beta1;g=meta.k8s.io", inJSON, schema.GroupVersionKind{},
			beta.WithKind("PartialObjectMetadataList")},
		{"application/cbor", inJSON, schema.GroupVersionKind{}, schema.GroupVersionKind{}},
		{inProtobuf + table, inJSON, schema.GroupVersionKind{}, schema.GroupVersionKind{}},
	} {
		if test.list == own {
			test.list.Kind += "List"
		}
		for path, want := range map[string]schema.GroupVersionKind{f.path(k, name): test.object, f.path(k): test.list} {
			got := f.ask(http.MethodGet, path, nil, "Accept", test.accept)
			switch {
			case want.Kind == "" && got.code != http.StatusNotAcceptable:
				f.Errorf("%s as %s: got %d\n%s", path, test.accept, got.code, got.body)
			case want.Kind != "" && (got.code != http.StatusOK || got.format != test.format || f.kindOf(got) != want):
				f.Errorf("%s as %s: got %d, %s of %v, want %s of %v", path, test.accept, got.code, got.format, f.kindOf(got), test.format, want)
			}
		}
	}
}

// notAcceptable: "should return a 406 for a backend which does not implement
// metadata" requests a table where there is none. Here the format is unknown.
func notAcceptable(f *fixture) {
	f.createService(newService("web"))
	services := "/api/v1/namespaces/" + f.namespace + "/services"
	const (
		available = "406: Not Acceptable\n\nAvailable representations: application/json, application/yaml, application/vnd.kubernetes.protobuf"
		streams   = ", application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch"
		accepted  = "only the following media types are accepted: application/json, application/yaml, application/vnd.kubernetes.protobuf"
	)
	for _, accept := range []string{"text/html", "text/plain", "application/cbor", "application/*"} {
		for path, message := range map[string]string{services: available + streams, services + "/web": available} {
			f.expectStatus(path+" as "+accept, f.ask(http.MethodGet, path, nil, "Accept", accept), http.StatusNotAcceptable,
				metav1.StatusReasonNotAcceptable, message)
		}
	}
	for _, as := range []string{
		inJSON + ";as=Table;v=v9;g=meta.k8s.io", inJSON + ";as=Table;v=v1;g=example.com", inJSON + ";as=Nothing;v=v1;g=meta.k8s.io",
		inJSON + ";as=APIGroupDiscoveryList;v=v2;g=apidiscovery.k8s.io", inProtobuf + ";as=Table;v=v1;g=meta.k8s.io",
	} {
		for _, path := range []string{services, services + "/web"} {
			f.expectStatus(path+" as "+as, f.ask(http.MethodGet, path, nil, "Accept", as), http.StatusNotAcceptable,
				metav1.StatusReasonNotAcceptable, accepted)
		}
		made := f.ask(http.MethodPost, services,
			[]byte(`{"apiVersion":"v1","kind":"Service","metadata":{"name":"x"},"spec":{"ports":[{"port":80}]}}`), "Accept", as, "Content-Type", inJSON)
		f.expectStatus("POST as "+as, made, http.StatusNotAcceptable, metav1.StatusReasonNotAcceptable, accepted)
	}
	if _, err := f.services().Get(f.Context(), "x", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		f.Errorf("after what was not acceptable: %v", err)
	}
}

// contentTypes: a body may have each known format; others are rejected.
func contentTypes(f *fixture) {
	services := "/api/v1/namespaces/" + f.namespace + "/services"
	svc := newService("json")
	svc.APIVersion, svc.Kind = "v1", "Service"
	asJSON, err := json.Marshal(svc)
	f.ok("encode", err)
	svc.Name = "yaml"
	asYAML, err := yaml.Marshal(svc)
	f.ok("encode", err)
	for format, body := range map[string][]byte{inJSON: asJSON, inYAML: asYAML} {
		got := f.ask(http.MethodPost, services, body, "Content-Type", format, "Accept", format)
		if got.code != http.StatusCreated || got.format != format || f.kindOf(got).Kind != "Service" {
			f.Errorf("%s: got %d %s\n%s", format, got.code, got.format, got.body)
		}
	}
	const message = "the body of the request was in an unknown format - accepted media types include: application/json, application/yaml, application/vnd.kubernetes.protobuf"
	for _, format := range []string{"text/plain", "application/cbor", "application/xml"} {
		f.expectStatus(format, f.ask(http.MethodPost, services, asJSON, "Content-Type", format), http.StatusUnsupportedMediaType,
			metav1.StatusReasonUnsupportedMediaType, message)
		f.expectStatus(format, f.ask(http.MethodPut, services+"/json", asJSON, "Content-Type", format), http.StatusUnsupportedMediaType,
			metav1.StatusReasonUnsupportedMediaType, message)
	}
	if got := f.ask(http.MethodPost, services, []byte("{"), "Content-Type", inJSON); got.code != http.StatusBadRequest {
		f.Errorf("half an object: got %d\n%s", got.code, got.body)
	}
}

// unknownPatches are rejected.
func unknownPatches(f *fixture) {
	f.createService(newService("web"))
	path := "/api/v1/namespaces/" + f.namespace + "/services/web"
	for _, format := range []string{inJSON, "application/yaml", "text/plain", "application/apply-patch+cbor", ""} {
		f.expectStatus(format, f.ask(http.MethodPatch, path, []byte(`{"metadata":{"labels":{"a":"b"}}}`), "Content-Type", format),
			http.StatusUnsupportedMediaType, metav1.StatusReasonUnsupportedMediaType, "415: Unsupported Media Type")
	}
}

// refusalInProtobuf: an error has the requested format; for a table it is JSON.
func refusalInProtobuf(f *fixture) {
	path := "/api/v1/namespaces/" + f.namespace + "/services/none"
	got := f.ask(http.MethodGet, path, nil, "Accept", inProtobuf)
	if got.code != http.StatusNotFound || got.format != inProtobuf || f.kindOf(got).Kind != "Status" {
		f.Errorf("got %d %s of %v", got.code, got.format, f.kindOf(got))
	}
	f.expectStatus("a table", f.ask(http.MethodGet, path, nil, "Accept", "application/json;as=Table;v=v1;g=meta.k8s.io"),
		http.StatusNotFound, metav1.StatusReasonNotFound, `services "none" not found`)
}

// noMethods: unsupported methods return 405.
func noMethods(f *fixture) {
	services := "/api/v1/namespaces/" + f.namespace + "/services"
	const message = "the server does not allow this method on the requested resource"
	for path, method := range map[string]string{services + "/web": http.MethodPost, services: http.MethodPut,
		services + "/web/status": http.MethodDelete, "/api/v1/services": http.MethodDelete} {
		f.expectStatus(method+" "+path, f.ask(method, path, []byte("{}"), "Content-Type", inJSON), http.StatusMethodNotAllowed,
			metav1.StatusReasonMethodNotAllowed, message)
	}
}

// noPaths: unknown paths return 404, in plain text outside the API.
func noPaths(f *fixture) {
	const message = "the server could not find the requested resource"
	for _, path := range []string{"/api/v1/nothings", "/api/v1/namespaces/default/services/a/nothing", "/apis/discovery.k8s.io/v1/nothings"} {
		got := f.ask(http.MethodGet, path, nil)
		if got.code != http.StatusNotFound || string(got.body) != "404 page not found\n" {
			f.expectStatus(path, got, http.StatusNotFound, metav1.StatusReasonNotFound, message)
		}
	}
}

// writesAnswered: the answer to a write is the object, or a Status.
func writesAnswered(f *fixture) {
	for _, k := range kinds() {
		object := f.object(k, 0)
		if k.Resource == "endpoints" {
			// When kube-controller-manager starts, it removes Endpoints that
			// have no Service, except those used as a lock.
			object.SetAnnotations(map[string]string{resourcelock.LeaderElectionRecordAnnotationKey: "{}"})
		}
		raw, err := object.MarshalJSON()
		f.ok("encode", err)
		path, name := f.path(k), object.GetName()
		status := schema.GroupVersionKind{Version: "v1", Kind: "Status"}
		own, list := k.GroupVersion().WithKind(k.name), k.GroupVersion().WithKind(k.name+"List")
		patch := []byte(`{"metadata":{"labels":{"a":"b"}}}`)
		// A delete of a Service, a Pod or a ServiceAccount returns the object.
		deleted := status
		if k.Resource == "services" || k.Resource == "pods" || k.Resource == "serviceaccounts" {
			deleted = own
		}
		for _, step := range []struct {
			what, method, path, format string
			body                       []byte
			code                       int
			want                       schema.GroupVersionKind
		}{
			{"create", http.MethodPost, path, inJSON, raw, http.StatusCreated, own},
			{"again", http.MethodPost, path, inJSON, raw, http.StatusConflict, status},
			{"patch", http.MethodPatch, path + "/" + name, "application/merge-patch+json", patch, http.StatusOK, own},
			{"delete", http.MethodDelete, path + "/" + name, inJSON, nil, http.StatusOK, deleted},
			{"apply", http.MethodPatch, path + "/" + name + "?fieldManager=m", "application/apply-patch+yaml", raw, http.StatusCreated, own},
			{"apply again", http.MethodPatch, path + "/" + name + "?fieldManager=m", "application/apply-patch+yaml", raw, http.StatusOK, own},
			{"delete all", http.MethodDelete, path + "?labelSelector=behavior%3D" + f.namespace, inJSON, nil, http.StatusOK, list},
			{"patch of nothing", http.MethodPatch, path + "/" + name, "application/merge-patch+json", patch, http.StatusNotFound, status},
			{"delete of nothing", http.MethodDelete, path + "/" + name, inJSON, nil, http.StatusNotFound, status},
		} {
			got := f.ask(step.method, step.path, step.body, "Content-Type", step.format)
			if got.code != step.code || f.kindOf(got) != step.want {
				f.Errorf("%s, %s: got %d of %v, want %d of %v\n%.300s", k.id(), step.what, got.code, f.kindOf(got), step.code, step.want, got.body)
			}
		}
	}
}
