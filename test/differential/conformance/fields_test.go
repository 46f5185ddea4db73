package conformance

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

func fields() behaviors {
	return behaviors{
		"unknown and twice":        unknownFields,
		"of metadata":              unknownMetadata,
		"in patches":               unknownFieldsInPatches,
		"of the wrong type":        wrongTypes,
		"of another kind":          anotherKind,
		"that say another address": anotherPlace,
		"of names":                 badNames,
		"of an old API":            deprecatedKind,
	}
}

// warnings are what a server warns of, but that Endpoints are deprecated.
type warnings struct{ texts []string }

const endpointsDeprecated = "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"

func (f *warnings) HandleWarningHeaderWithContext(_ context.Context, code int, _, text string) {
	if code == 299 && text != endpointsDeprecated {
		f.texts = append(f.texts, text)
	}
}

// warned returns a client that sends JSON, and the warnings that it receives.
func (f *fixture) warned() (kubernetes.Interface, *warnings) {
	f.Helper()
	heard := &warnings{}
	config := rest.CopyConfig(f.config)
	config.WarningHandlerWithContext = heard
	client, err := kubernetes.NewForConfig(config)
	f.ok("client", err)
	return client, heard
}

// expectFields sends an object with each kind of field validation. Sent sends
// it, and complaint is the expected error.
func (f *fixture) expectFields(what string, sent func(kubernetes.Interface, string) error, complaints ...string) {
	f.Helper()
	client, heard := f.warned()
	err := sent(client, metav1.FieldValidationStrict)
	if want := "strict decoding error: " + strings.Join(complaints, ", "); !apierrors.IsBadRequest(err) && !apierrors.IsInvalid(err) ||
		!strings.Contains(err.Error(), want) {
		f.Errorf("%s, strict: got %v, want %s", what, err, want)
	}
	for _, validation := range []string{metav1.FieldValidationWarn, ""} {
		heard.texts = nil
		if err := sent(client, validation); err != nil || strings.Join(heard.texts, ", ") != strings.Join(complaints, ", ") {
			f.Errorf("%s, %q: got %v, warned of %q", what, validation, err, heard.texts)
		}
	}
	heard.texts = nil
	if err := sent(client, metav1.FieldValidationIgnore); err != nil || len(heard.texts) != 0 {
		f.Errorf("%s, ignore: got %v, warned of %q", what, err, heard.texts)
	}
	if err := sent(client, "Nonsense"); !apierrors.IsInvalid(err) ||
		!strings.Contains(err.Error(), `fieldValidation: Unsupported value: "Nonsense": supported values: "", "Ignore", "Strict", "Warn"`) {
		f.Errorf("%s, nonsense: got %v", what, err)
	}
}

// post creates an object, and may do so again.
func (f *fixture) post(k kind, body string) func(kubernetes.Interface, string) error {
	return func(client kubernetes.Interface, validation string) error {
		return client.CoreV1().RESTClient().Post().AbsPath(f.path(k)).Param("fieldValidation", validation).Param("dryRun", metav1.DryRunAll).
			SetHeader("Content-Type", inJSON).Body([]byte(body)).Do(f.Context()).Error()
	}
}

// unknownFields: "should detect unknown and duplicate fields of a typed object",
// for each kind.
func unknownFields(f *fixture) {
	for _, k := range kinds() {
		obj := f.object(k, 0)
		raw, err := obj.MarshalJSON()
		f.ok("encode", err)
		body := strings.Replace(string(raw), `"metadata":`, `"unknownField":1,"unknownField":2,"metadata":`, 1)
		f.expectFields(k.id(), f.post(k, body), `unknown field "unknownField"`)
		body = strings.Replace(string(raw), `"metadata":{`, `"metadata":{"name":"x","name":"x",`, 1)
		f.expectFields(k.id(), f.post(k, body), `duplicate field "metadata.name"`)
	}
	body := `{"apiVersion":"v1","kind":"Service","metadata":{"name":"web"},"spec":{"foo":1,"type":"ClusterIP","type":"NodePort","ports":[{"port":80,"bar":1}]}}`
	f.expectFields("a Service", f.post(kindNamed("services"), body), `unknown field "spec.foo"`, `duplicate field "spec.type"`,
		`unknown field "spec.ports[0].bar"`)
}

// unknownMetadata: "should detect unknown metadata fields of a typed object".
func unknownMetadata(f *fixture) {
	body := `{"apiVersion":"v1","kind":"Service","metadata":{"name":"web","unknownMeta":"foo"},"spec":{"ports":[{"port":80}]}}`
	f.expectFields("a Service", f.post(kindNamed("services"), body), `unknown field "metadata.unknownMeta"`)
}

// unknownFieldsInPatches are detected in patches of each type, and in updates.
func unknownFieldsInPatches(f *fixture) {
	f.createService(newService("web"))
	path := f.path(kindNamed("services"), "web")
	for kind, body := range map[types.PatchType]string{
		types.MergePatchType:          `{"spec":{"foo":1}}`,
		types.StrategicMergePatchType: `{"spec":{"foo":1}}`,
		types.JSONPatchType:           `[{"op":"add","path":"/spec/foo","value":1}]`,
	} {
		f.expectFields(string(kind), func(client kubernetes.Interface, validation string) error {
			return client.CoreV1().RESTClient().Patch(kind).AbsPath(path).Param("fieldValidation",
				validation).Body([]byte(body)).Do(f.Context()).Error()
		}, `unknown field "spec.foo"`)
	}
	svc, err := f.services().Get(f.Context(), "web", metav1.GetOptions{})
	f.ok("get", err)
	f.expectFields("an update", func(client kubernetes.Interface, validation string) error {
		body := fmt.Sprintf(`{"apiVersion":"v1","kind":"Service","metadata":{"name":"web"},"spec":{"clusterIP":%q,"clusterIPs":[%[1]q],"foo":1,"ports":[{"port":80}]}}`, svc.Spec.ClusterIP)
		return client.CoreV1().RESTClient().Put().AbsPath(path).Param("fieldValidation", validation).
			SetHeader("Content-Type", inJSON).Body([]byte(body)).Do(f.Context()).Error()
	}, `unknown field "spec.foo"`)
	apply := `{"apiVersion":"v1","kind":"Service","metadata":{"name":"web"},"spec":{"foo":1}}`
	got := f.ask(http.MethodPatch, path+"?fieldManager=m", []byte(apply), "Content-Type", string(types.ApplyPatchType))
	if got.code != http.StatusInternalServerError && got.code != http.StatusBadRequest ||
		!strings.Contains(string(got.body), "field not declared in schema") {
		f.Errorf("applied: got %d\n%s", got.code, got.body)
	}
}

// wrongTypes: an error about a field of the wrong type says where it is.
func wrongTypes(f *fixture) {
	for body, want := range map[string]string{
		`{"apiVersion":"v1","kind":"Service","metadata":{"name":"web"},"spec":{"ports":80}}`:                "json: cannot unmarshal number into Go struct field ServiceSpec.spec.ports of type []v1.ServicePort",
		`{"apiVersion":"v1","kind":"Service","metadata":{"name":1},"spec":{"ports":[{"port":80}]}}`:         "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.name of type string",
		`{"apiVersion":"v1","kind":"Service","metadata":{"name":"web"},"spec":{"ports":[{"port":"http"}]}}`: "json: cannot unmarshal string into Go struct field ServicePort.spec.ports.port of type int32",
	} {
		client, _ := f.warned()
		if err := f.post(kindNamed("services"), body)(client, ""); !apierrors.IsBadRequest(err) || !strings.Contains(err.Error(), want) {
			f.Errorf("got %v, want %s", err, want)
		}
	}
}

// anotherKind: another, an unknown or a missing kind or version is rejected.
func anotherKind(f *fixture) {
	client, _ := f.warned()
	for body, want := range map[string]string{
		`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web"}}`: "" +
			"Pod in version \"v1\" cannot be handled as a Service",
		`{"apiVersion":"v2","kind":"Service","metadata":{"name":"web"}}`: "" +
			"no kind \"Service\" is registered for version \"v2\"",
		`{"apiVersion":"v1","kind":"Nothing","metadata":{"name":"web"}}`: "" +
			"no kind \"Nothing\" is registered for version \"v1\"",
		`{"apiVersion":"v1","kind":"Service","metadata":{"name":"web"}`: "" +
			"unexpected end of JSON input",
		`{"apiVersion":"example.com/v1","kind":"Service","metadata":{"name":"web"},"spec":{}}`: "" +
			"no kind \"Service\" is registered for version \"example.com/v1\"",
	} {
		if err := f.post(kindNamed("services"), body)(client, ""); !apierrors.IsBadRequest(err) || !strings.Contains(err.Error(), want) {
			f.Errorf("got %v, want %s", err, want)
		}
	}
}

// anotherPlace: a name or namespace other than the path's is rejected.
func anotherPlace(f *fixture) {
	ctx := f.Context()
	elsewhere := newService("web")
	elsewhere.Namespace = "default"
	_, err := f.services().Create(ctx, elsewhere, metav1.CreateOptions{})
	if !apierrors.IsBadRequest(err) ||
		!strings.Contains(err.Error(), "the namespace of the provided object does not match the namespace sent on the request") {
		f.Errorf("another namespace: %v", err)
	}
	made := f.createService(newService("web"))
	put := f.client.CoreV1().RESTClient().Put().AbsPath(f.path(kindNamed("services"), "other")).Body(made).Do(ctx).Error()
	if !apierrors.IsBadRequest(put) ||
		!strings.Contains(put.Error(), "the name of the object (web) does not match the name on the URL (other)") {
		f.Errorf("another name: %v", put)
	}
	nowhere := f.client.CoreV1().Services("nowhere")
	if _, err := nowhere.Create(ctx, newService("web"), metav1.CreateOptions{}); !apierrors.IsNotFound(err) ||
		err.Error() != `namespaces "nowhere" not found` {
		f.Errorf("no namespace: %v", err)
	}
}

// badNames are rejected for each kind. Events of the core group may have any
// name, those of roles and bindings are rejected only if no path can have them, and about
// Services without a name upstream reports an address.
func badNames(f *fixture) {
	for _, k := range kinds() {
		if k.id() == "events" {
			continue
		}
		obj := f.object(k, 0)
		bad := "Not_A_Name"
		if k.Group == rbacv1.GroupName {
			bad = "a/b"
		}
		obj.SetName(bad)
		_, err := f.resource(k).Create(f.Context(), obj, metav1.CreateOptions{})
		if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), fmt.Sprintf("metadata.name: Invalid value: %q", bad)) {
			f.Errorf("%s: %v", k.id(), err)
		}
		obj = f.object(k, 0)
		obj.SetLabels(map[string]string{"a": "b c"})
		_, err = f.resource(k).Create(f.Context(), obj, metav1.CreateOptions{})
		if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "metadata.labels: Invalid value: \"b c\"") {
			f.Errorf("%s: %v", k.id(), err)
		}
		if k.named != nil || k.Resource == "services" {
			continue
		}
		obj = f.object(k, 0)
		obj.SetName("")
		_, err = f.resource(k).Create(f.Context(), obj, metav1.CreateOptions{})
		if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "name or generateName is required") {
			f.Errorf("%s: %v", k.id(), err)
		}
	}
}

// deprecatedKind: requests about Endpoints get a warning, since 1.33.
func deprecatedKind(f *fixture) {
	got := f.ask(http.MethodGet, f.path(kindNamed("endpoints")), nil)
	if want := `299 - "` + endpointsDeprecated + `"`; got.code != http.StatusOK || got.header.Get("Warning") != want {
		f.Errorf("got %d, the warning %q", got.code, got.header.Get("Warning"))
	}
	if got := f.ask(http.MethodGet, f.path(kindNamed("services")), nil); got.header.Get("Warning") != "" {
		f.Errorf("Services: warned of %s", got.header.Get("Warning"))
	}
}
