//go:build e2e

package hostile

import (
	"net/http"
	"testing"

	"k8s.io/client-go/rest"

	"github.com/portolan-dev/portolan/test/framework"
)

// TestKubernetes sends to a kube-apiserver what TestCoreGroups sends. Where it
// refuses, it must be with the same code; where it fails, or takes what no object
// is, it doesn't count.
func TestKubernetes(t *testing.T) {
	kube := framework.StartKube(t)
	transport, err := rest.TransportFor(kube.Config)
	if err != nil {
		t.Fatal(err)
	}
	server := &target{Server: &framework.Server{Config: kube.Config}, client: &http.Client{Transport: transport}}
	for _, kind := range coreKinds {
		t.Run(kind.kind+" of "+kind.version, func(t *testing.T) {
			refused := 0
			for _, a := range append([]attack{{what: "what is right", method: http.MethodPost, path: kind.path, contentType: jsonType,
				body: kind.object(kind.name(), "", ""), code: http.StatusCreated}}, kind.attacks()...) {
				// The former takes it longer than a request has, the latter it does.
				if a.what == "labels without end" || a.what == "what could be read" {
					continue
				}
				got := server.send(t, a.method, a.path, a.contentType, []byte(a.body), a.headers...)
				if got.code >= http.StatusInternalServerError || got.code < http.StatusBadRequest && a.code >= http.StatusBadRequest {
					t.Logf("%s: Portolan answers with %d, kube-apiserver with %v", a.what, a.code, got)
					continue
				}
				refused++
				if got.code != a.code {
					t.Errorf("%s: Portolan answers with %d, kube-apiserver with %v", a.what, a.code, got)
				}
			}
			if refused < 50 {
				t.Errorf("kube-apiserver refused only %d", refused)
			}
		})
	}
}
