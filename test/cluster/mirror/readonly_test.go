//go:build e2e

package mirror

import (
	"context"
	"net/http"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/test/framework"
)

// TestReadOnly wants every write of a copy rejected with advice, in both API groups, also
// for an administrator, and nothing changed by them.
func TestReadOnly(t *testing.T) {
	f := newFixture(t, framework.EndpointControllers)
	g := f.serve(nil)
	f.create("web", nil)
	f.startPod("web", "web", "192.0.2.7")
	f.expectSlices(g, "web")
	f.expectEndpoints(g, "web")
	slice := g.slices(t, "web")[0].Name
	const web = "/namespaces/default/services/web"
	const services, slices = "/namespaces/default/services", "/namespaces/default/endpointslices"
	before := f.revision()
	for _, test := range []struct{ method, path, kind, body string }{
		{http.MethodPut, "/api/v1" + web, "", get(t, g, "/api/v1"+web)},
		{http.MethodPut, "/api/v1" + web + "/status", "", get(t, g, "/api/v1"+web)},
		{http.MethodPatch, "/api/v1" + web, merge, `{"metadata":{"labels":{"a":"b"}}}`},
		{http.MethodPatch, "/api/v1" + web, merge, `{"metadata":{"annotations":{"portolan.dev/mirrored-from":null}}}`},
		{http.MethodPatch, "/api/v1" + web + "/status", merge, `{"status":{"loadBalancer":{"ingress":[{"ip":"192.0.2.1"}]}}}`},
		{http.MethodPatch, "/api/v1" + web + "?fieldManager=t&force=true", string(types.ApplyPatchType),
			`{"apiVersion":"v1","kind":"Service","metadata":{"name":"web","labels":{"a":"b"}}}`},
		{http.MethodPatch, "/apis/portolan.dev/v1" + web, merge, `{"metadata":{"labels":{"a":"b"}}}`},
		{http.MethodDelete, "/api/v1" + web, "", ""},
		{http.MethodDelete, "/api/v1" + web + "?dryRun=All", "", ""},
		{http.MethodDelete, "/api/v1" + services + "?fieldSelector=metadata.name=web", "", ""},
		{http.MethodDelete, "/apis/portolan.dev/v1" + services, "", ""},
		{http.MethodDelete, "/apis/discovery.k8s.io/v1" + slices + "/" + slice, "", ""},
		{http.MethodDelete, "/apis/discovery.k8s.io/v1" + slices, "", ""},
		{http.MethodPatch, "/apis/discovery.k8s.io/v1" + slices + "/" + slice, merge, `{"endpoints":[]}`},
		{http.MethodPatch, "/apis/portolan.dev/v1" + slices + "/" + slice, merge, `{"endpoints":[]}`},
		{http.MethodDelete, "/api/v1/namespaces/default/endpoints/web", "", ""},
		{http.MethodPatch, "/api/v1/namespaces/default/endpoints/web", merge, `{"subsets":[]}`},
	} {
		err := g.do(t, test.method, test.path, test.kind, test.body)
		if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), f.kube.Config.Host) || !strings.Contains(err.Error(), "portolan adopt") {
			t.Errorf("%s %s: %v", test.method, test.path, err)
		}
	}
	if after := f.revision(); after != before {
		t.Errorf("%d writes", after-before)
	}
}

// TestMark wants nobody but the mirror to make a copy, and the subresources open to their
// rights alone.
func TestMark(t *testing.T) {
	f := newFixture(t)
	g := f.serve(nil)
	ctx := t.Context()
	_, err := g.client.CoreV1().Services(namespace).Create(ctx, newService("own", nil), metav1.CreateOptions{})
	f.must(err)
	marked := newService("marked", func(s *corev1.Service) { s.Annotations = map[string]string{v1.AnnotationMirroredFrom: "me"} })
	_, err = g.client.CoreV1().Services(namespace).Create(ctx, marked, metav1.CreateOptions{})
	expectInvalid(t, "create", err)
	const own = "/api/v1/namespaces/default/services/own"
	expectInvalid(t, "patch", g.do(t, http.MethodPatch, own, merge, `{"metadata":{"annotations":{"portolan.dev/mirrored-from":"me"}}}`))

	f.create("web", nil)
	g.eventually(t, "web", "is there", func(*corev1.Service) bool { return true })
	const web = "/apis/portolan.dev/v1/namespaces/default/services/web"
	f.kubectl("create", "serviceaccount", "editor")
	f.kubectl("create", "clusterrole", "editor", "--verb=get,list,create,update,delete,patch", "--resource=services")
	f.kubectl("create", "clusterrolebinding", "editor", "--clusterrole=editor", "--serviceaccount=default:editor")
	editor := g.As(&rest.Config{BearerToken: f.token(namespace, "editor")})
	framework.Eventually(t, "the editor may list", func(ctx context.Context) (bool, error) {
		err := send(ctx, editor, http.MethodGet, "/api/v1/namespaces/default/services", "", "")
		return err == nil, err
	})
	for _, request := range []struct{ method, path string }{
		{http.MethodPut, web + "/mirror"}, {http.MethodDelete, web + "/mirror"}, {http.MethodPost, web + "/adopt"},
	} {
		if err := send(ctx, editor, request.method, request.path, "", "{}"); !apierrors.IsForbidden(err) {
			t.Errorf("%s %s: %v", request.method, request.path, err)
		}
	}
	// An administrator has the right, and can't harm Portolan's own Service with it.
	const ownMirror = "/apis/portolan.dev/v1/namespaces/default/services/own/mirror"
	if err := g.do(t, http.MethodDelete, ownMirror, "", ""); !apierrors.IsConflict(err) {
		t.Errorf("deleting Portolan's own: %v", err)
	}
	if err := g.do(t, http.MethodPut, ownMirror, "", `{"apiVersion":"v1","kind":"Pod"}`); !apierrors.IsBadRequest(err) {
		t.Errorf("a Pod: %v", err)
	}
	const noCopy = `{"apiVersion":"portolan.dev/v1","kind":"Service","metadata":{"name":"x"}}`
	expectInvalid(t, "no copy", g.do(t, http.MethodPut, ownMirror, "", noCopy))
}

const merge = string(types.MergePatchType)

func expectInvalid(t *testing.T, what string, err error) {
	t.Helper()
	if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "metadata.annotations[portolan.dev/mirrored-from]") {
		t.Errorf("%s: %v", what, err)
	}
}

// do sends a request to the gateway as an administrator.
func (g gateway) do(t *testing.T, method, path, kind, body string) error {
	t.Helper()
	return request(t.Context(), g.client.RESTClient(), method, path, kind, body).Error()
}

func send(ctx context.Context, config *rest.Config, method, path, kind, body string) error {
	config = rest.CopyConfig(config)
	config.NegotiatedSerializer = codecs
	client, err := rest.UnversionedRESTClientFor(config)
	if err != nil {
		return err
	}
	return request(ctx, client, method, path, kind, body).Error()
}

func request(ctx context.Context, client rest.Interface, method, path, kind, body string) rest.Result {
	if kind == "" {
		kind = "application/json"
	}
	return client.Verb(method).RequestURI(path).SetHeader("Content-Type", kind).Body([]byte(body)).Do(ctx)
}

func get(t *testing.T, g gateway, path string) string {
	t.Helper()
	body, err := g.client.RESTClient().Get().AbsPath(path).SetHeader("Accept", "application/json").DoRaw(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// revision is the number of writes that the store has seen, but for those of its keys that
// servers renew.
func (f *fixture) revision() int64 {
	f.t.Helper()
	response, err := f.store.Client.Get(f.t.Context(), "/registry/portolan.dev", fromPrefix()...)
	f.must(err)
	var highest int64
	for _, kv := range response.Kvs {
		highest = max(highest, kv.ModRevision)
	}
	return highest
}
