//go:build e2e

// Package e2e tests Portolan beside a real kube-apiserver, which the Makefile
// builds from its module.
package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/portolan-dev/portolan/test/harness"
	"github.com/portolan-dev/portolan/test/upstream"
)

const root = "../.."

// api is one server's Services, as plain JSON over HTTP.
type api struct {
	name   string
	client *rest.RESTClient
	// version is the apiVersion of Services.
	version string
}

func newAPI(t *testing.T, name string, config *rest.Config, gv schema.GroupVersion, path string) *api {
	t.Helper()
	config = rest.CopyConfig(config)
	config.APIPath, config.GroupVersion = path, &gv
	config.NegotiatedSerializer = scheme.Codecs.WithoutConversion()
	config.QPS = -1
	client, err := rest.RESTClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	return &api{name: name, client: client, version: gv.String()}
}

// do makes a request and returns its status code and body.
func (a *api) do(t *testing.T, verb, path, contentType string, body []byte) (int, map[string]any) {
	t.Helper()
	request := a.client.Verb(verb).Namespace("default").Resource("services").Suffix(path).
		SetHeader("Content-Type", contentType).SetHeader("Accept", "application/json").
		Body(bytes.ReplaceAll(body, []byte("portolan.dev/v1"), []byte(a.version)))
	var code int
	raw, err := request.Do(t.Context()).StatusCode(&code).Raw()
	if status, ok := err.(apierrors.APIStatus); ok && len(raw) == 0 {
		raw, _ = json.Marshal(status.Status())
	} else if err != nil && len(raw) == 0 {
		t.Fatalf("%s: %v", a.name, err)
	}
	answer := map[string]any{}
	if err := json.Unmarshal(raw, &answer); err != nil {
		t.Fatalf("%s answers %q: %v", a.name, raw, err)
	}
	return code, answer
}

var chosen = []struct {
	pattern *regexp.Regexp
	with    string
}{
	{regexp.MustCompile(`"(uid|resourceVersion|creationTimestamp|deletionTimestamp)":"[^"]*"`), `"$1":"CHOSEN"`},
	{regexp.MustCompile(`"time":"[^"]*"`), `"time":"CHOSEN"`},
	{regexp.MustCompile(`\b10\.(9[6-9]|10\d|11[01])\.\d+\.\d+\b`), "ADDRESS"},
	{regexp.MustCompile(`odePort":3(00[89]\d|0[1-9]\d\d|[12]\d\d\d)\b`), `odePort":PORT`},
	{regexp.MustCompile(`portolan\.dev/v1`), "v1"},
	{regexp.MustCompile(`(services|Service)\.portolan\.dev`), "$1"},
	{regexp.MustCompile(`"group":"portolan\.dev",`), ""},
}

// better are the requests that Portolan answers otherwise on purpose.
var better = map[string]string{
	"toad-nodeport: create again": "a name that exists is a 409, also where the port is taken as well; upstream allocates before it looks",
}

// masked hides what the server chooses, and the group.
func masked(t *testing.T, answer map[string]any) string {
	t.Helper()
	raw, err := json.Marshal(answer)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range chosen {
		raw = c.pattern.ReplaceAll(raw, []byte(c.with))
	}
	return string(raw)
}

// manifests are the Services of the examples.
func manifests(t *testing.T) (services []map[string]any) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "artifacts", "examples", "toad.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, document := range strings.Split(string(text), "\n---\n") {
		service := map[string]any{}
		if err := yaml.Unmarshal([]byte(document), &service); err != nil {
			t.Fatal(err)
		}
		services = append(services, service)
	}
	return services
}

// TestSameAnswers sends the same requests to both servers and compares codes
// and bodies, but for what a server chooses.
func TestSameAnswers(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	bin, err := filepath.Abs(filepath.Join(root, ".bin"))
	if err != nil {
		t.Fatal(err)
	}
	kube, err := upstream.StartKube(ctx, upstream.Programs{
		KubeAPIServer: filepath.Join(bin, "kube-apiserver"), Etcd: filepath.Join(bin, "etcd"),
	}, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(kube.Stop)
	portolan := harness.Start(t, nil)
	apis := []*api{
		newAPI(t, "kube-apiserver", kube.Config, schema.GroupVersion{Version: "v1"}, "/api"),
		newAPI(t, "Portolan", portolan.Config, schema.GroupVersion{Group: "portolan.dev", Version: "v1"}, "/apis"),
	}
	if err := kube.Await(ctx, func(ctx context.Context) bool {
		return apis[0].client.Get().AbsPath("/api/v1/namespaces/default").Do(ctx).Error() == nil
	}); err != nil {
		t.Fatal(err)
	}

	compared := 0
	compare := func(what, verb, path, contentType string, body []byte) {
		t.Helper()
		compared++
		upstreamCode, upstreamAnswer := apis[0].do(t, verb, path, contentType, body)
		ourCode, ourAnswer := apis[1].do(t, verb, path, contentType, body)
		if why, known := better[what]; known {
			if ourCode == upstreamCode {
				t.Errorf("%s: upstream answers the same now, although %s", what, why)
			}
			return
		}
		if ourCode != upstreamCode {
			t.Errorf("%s: %d, upstream %d", what, ourCode, upstreamCode)
		}
		if ours, theirs := masked(t, ourAnswer), masked(t, upstreamAnswer); ours != theirs {
			t.Errorf("%s:\n     got %s\nupstream %s", what, ours, theirs)
		}
	}

	const plain, merge, apply = "application/json", "application/merge-patch+json", "application/apply-patch+yaml"
	for _, service := range manifests(t) {
		name := service["metadata"].(map[string]any)["name"].(string)
		body, err := json.Marshal(service)
		if err != nil {
			t.Fatal(err)
		}
		compare(name+": create", http.MethodPost, "", plain, body)
		compare(name+": create again", http.MethodPost, "", plain, body)
		compare(name+": get", http.MethodGet, name, plain, nil)
		compare(name+": replace", http.MethodPut, name, plain, body)
		compare(name+": status of a load balancer", http.MethodPatch, name+"/status", merge, []byte(`{"status":{"loadBalancer":{"ingress":[{"ip":"130.211.53.173"}]}}}`))
		for _, kind := range []string{"ClusterIP", "NodePort", "LoadBalancer", "ExternalName", "ClusterIP"} {
			patch := fmt.Sprintf(`{"spec":{"type":%q,"externalName":"a.example.com"}}`, kind)
			compare(name+": patch to "+kind, http.MethodPatch, name, merge, []byte(patch))
		}
		compare(name+": patch of a bad port", http.MethodPatch, name, merge, []byte(`{"spec":{"ports":[{"port":0}]}}`))
		compare(name+": dry-run delete", http.MethodDelete, name, plain, []byte(`{"apiVersion":"v1","kind":"DeleteOptions","dryRun":["All"]}`))
		compare(name+": delete", http.MethodDelete, name, plain, nil)
		compare(name+": get of none", http.MethodGet, name, plain, nil)
		compare(name+": apply", http.MethodPatch, name+"-applied", apply, bytes.ReplaceAll(body, []byte(`"name":"`+name+`"`), []byte(`"name":"`+name+`-applied"`)))
	}
	t.Logf("%d requests had the same answers", compared)
}
