package api

import (
	"bytes"
	"encoding/base64"
	"net/http"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"

	"github.com/portolan-dev/portolan/test/framework"
)

// held is in the Secrets of these tests.
const held = "hunter2-hunter2"

func secretNamed(name string) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}, StringData: map[string]string{"password": held}}
}

// TestSecrets is the life of a Secret, which ends with its namespace.
func TestSecrets(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	client := coreClient(t, framework.Start(t, nil))
	newNamespace(t, client, "team")
	secrets := client.CoreV1().Secrets("team")
	made, err := secrets.Create(ctx, secretNamed("a"), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if made.Type != corev1.SecretTypeOpaque || string(made.Data["password"]) != held || made.StringData != nil {
		t.Errorf("made %+v", made)
	}
	events, err := secrets.Watch(ctx, metav1.ListOptions{ResourceVersion: made.ResourceVersion, FieldSelector: "type=Opaque"})
	if err != nil {
		t.Fatal(err)
	}
	defer events.Stop()
	made.StringData, made.Immutable = map[string]string{"user": "me"}, ptr.To(true)
	if made, err = secrets.Update(ctx, made, metav1.UpdateOptions{}); err != nil || len(made.Data) != 2 || string(made.Data["user"]) != "me" ||
		made.StringData != nil {
		t.Fatalf("after more text: %+v, error %v", made, err)
	}
	if event := <-events.ResultChan(); event.Type != watch.Modified || len(event.Object.(*corev1.Secret).Data) != 2 {
		t.Errorf("watched %+v", event)
	}
	_, err = secrets.Patch(ctx, "a", types.StrategicMergePatchType, []byte(`{"stringData":{"user":"you"}}`), metav1.PatchOptions{})
	if want := `Secret "a" is invalid: data: Forbidden: field is immutable when ` + "`immutable` is set"; !apierrors.IsInvalid(err) ||
		err.Error() != want {
		t.Errorf("a change of an immutable one: %v", err)
	}
	if _, err := secrets.Create(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "b"}, Type: corev1.SecretTypeTLS},
		metav1.CreateOptions{}); !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "data[tls.crt]: Required value") {
		t.Errorf("one without a certificate: %v", err)
	}
	expectSecrets(t, "type=kubernetes.io/tls",
		func(options metav1.ListOptions) (*corev1.SecretList, error) { return secrets.List(ctx, options) })
	expectSecrets(t, "type=Opaque,metadata.name=a",
		func(options metav1.ListOptions) (*corev1.SecretList, error) { return secrets.List(ctx, options) }, "a")
	if err := client.CoreV1().Namespaces().Delete(ctx, "team", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	framework.Await(t, "the namespace is gone", gone(client, "team"))
	expectSecrets(t, "", func(options metav1.ListOptions) (*corev1.SecretList, error) {
		return client.CoreV1().Secrets(metav1.NamespaceAll).List(ctx, options)
	})
}

func expectSecrets(t *testing.T, selector string, list func(metav1.ListOptions) (*corev1.SecretList, error), want ...string) {
	t.Helper()
	found, err := list(metav1.ListOptions{FieldSelector: selector})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, secret := range found.Items {
		names = append(names, secret.Name)
	}
	if strings.Join(names, " ") != strings.Join(want, " ") {
		t.Errorf("%s: found %q, want %q", selector, names, want)
	}
}

// TestSecretsAreStored is how: as they are, or encrypted where that is configured.
func TestSecretsAreStored(t *testing.T) {
	t.Parallel()
	const key = "/registry/portolan.dev/secrets/default/a"
	etcd := framework.StartEtcd(t)
	plain := coreClient(t, framework.Start(t, framework.On(etcd)))
	encrypted, server := startEncrypted(t)
	if _, err := plain.CoreV1().Secrets("default").Create(t.Context(), secretNamed("a"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	stored, err := etcd.Client.Get(t.Context(), key)
	if err != nil || len(stored.Kvs) != 1 || !bytes.Contains(stored.Kvs[0].Value, []byte(held)) {
		t.Errorf("stored as %v, error %v", stored, err)
	}
	secrets := coreClient(t, server).CoreV1().Secrets("default")
	if _, err := secrets.Create(t.Context(), secretNamed("a"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	expectEncrypted(t, encrypted, key)
	all, err := encrypted.Client.Get(t.Context(), "", clientv3.WithPrefix())
	if err != nil {
		t.Fatal(err)
	}
	for _, pair := range all.Kvs {
		if hasHeld(pair.Value) {
			t.Errorf("%s holds what is secret", pair.Key)
		}
	}
	if read, err := secrets.Get(t.Context(), "a", metav1.GetOptions{}); err != nil || string(read.Data["password"]) != held {
		t.Errorf("read %+v, error %v", read, err)
	}
}

// hasHeld says whether a text shows what is in the Secrets, in any of the ways in
// which it is sent.
func hasHeld(text []byte) bool {
	return bytes.Contains(text, []byte(held)) || bytes.Contains(text, []byte(base64.StdEncoding.EncodeToString([]byte(held))))
}

// TestSecretsAreNotTold looks for what is in a Secret in all that the server logs,
// and in what it answers to those whom it refuses something.
func TestSecretsAreNotTold(t *testing.T) {
	// Parallel tests don't run meanwhile.
	logs := framework.CaptureLogs(t, 10)
	server := framework.Start(t, nil)
	// Clients of the API log what they send.
	client, err := rest.HTTPClientFor(server.Config)
	if err != nil {
		t.Fatal(err)
	}
	const (
		collection = "/api/v1/namespaces/default/secrets"
		one        = collection + "/a"
		start      = `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"a"},`
		text       = start + `"stringData":{"password":"` + held + `"`
		yaml       = "application/apply-patch+yaml"
		merge      = "application/merge-patch+json"
		strategic  = "application/strategic-merge-patch+json"
		jsonPatch  = "application/json-patch+json"
	)
	for _, test := range []struct {
		method, path, contentType, body string
		want                            int
	}{
		{"POST", collection, "application/json", text + `}}`, 201},
		{"POST", collection, "application/json", text + `}}`, 409},
		{"POST", collection, "application/json", text + `,"a b":"` + held + `"}}`, 422},
		{"POST", collection, "application/json", text + `},"data":{"` + `a":"` + held + `"}}`, 400},
		{"POST", collection + "?fieldValidation=Strict", "application/json", text + `},"other":"` + held + `"}`, 400},
		{"POST", collection, "application/json", text + `},"data":["` + held + `"]}`, 400},
		{"POST", collection, "application/json", text + `},"type":"kubernetes.io/tls"}`, 422},
		{"POST", collection, "application/json",
			start + `"stringData":{".dockerconfigjson":"` + held + `"},"type":"kubernetes.io/dockerconfigjson"}`, 422},
		{"POST", collection, "application/json",
			start + `"stringData":{"tls.crt":"` + held + `","tls.key":"` + held + `"},"metadata":{"name":"b"},"type":"kubernetes.io/tls"}`, 201},
		{"PUT", one, "application/json", text + `},"type":"example.com/other"}`, 422},
		{"PATCH", one, merge, `{"stringData":{"more":"` + held + `"}}`, 200},
		{"PATCH", one, strategic, `{"stringData":{"a b":"` + held + `"}}`, 422},
		{"PATCH", one, jsonPatch, `[{"op":"test","path":"/data/password","value":"` + held + `"}]`, 422},
		{"PATCH", one, jsonPatch, `[{"op":"add","path":"/data/password","value":"` + held + `"}]`, 422},
		{"PATCH", one, merge, `{"data":{"more":"not base64"}}`, 422},
		{"PATCH", one, strategic, `{"data":{"more":"` + held + `"}}`, 422},
		{"PATCH", one + "?fieldValidation=Strict", merge, `{"other":1}`, 422},
		{"PATCH", one + "?fieldManager=one", yaml, text + `}}`, 200},
		{"PATCH", one + "?fieldManager=two", yaml, start + `"data":{"password":"not base64"}}`, 409},
		{"PATCH", one + "?fieldManager=two", yaml, start + `"data":["a list"]}`, 400},
		{"PATCH", one + "?fieldManager=two", yaml, start + `"data":{"password":"` + base64.StdEncoding.EncodeToString([]byte("other")) + `"}}`,
			409},
		{"GET", collection, "", "", 200},
		{"GET", collection + "?watch=true&timeoutSeconds=1", "", "", 200},
		{"PATCH", one, merge, `{"immutable":true}`, 200},
		{"PATCH", one, merge, `{"data":null}`, 422},
		{"DELETE", one, "", "", 200},
	} {
		code, header, answer := sendTo(t, client, test.method, server.Config.Host+test.path, test.contentType, test.body)
		warning := header.Get("Warning")
		if code != test.want || test.want >= 400 && hasHeld(answer) || strings.Contains(warning, held) {
			t.Errorf("%s %s %s: %d, %q, warned of %q; want %d", test.method, test.path, test.body, code, answer, warning, test.want)
		}
	}
	logged := []byte(logs.String())
	if !bytes.Contains(logged, []byte(one)) {
		t.Error("nothing is logged of what was asked for")
	}
	for line := range bytes.Lines(logged) {
		if hasHeld(line) {
			t.Errorf("logged: %s", line)
		}
	}
}

// sendTo sends a body, and returns the answer's code, headers and body.
func sendTo(t *testing.T, client *http.Client, method, url, contentType, body string) (int, http.Header, []byte) {
	t.Helper()
	response, answer := framework.Send(t, client, method, url, strings.NewReader(body), http.Header{"Content-Type": {contentType}})
	return response.StatusCode, response.Header, []byte(answer)
}
