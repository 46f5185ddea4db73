package removed

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	apirequest "k8s.io/apiserver/pkg/endpoints/request"

	"github.com/portolan-dev/portolan/pkg/requeststate"
)

// serve sends requests of ann through a handler like the server's. They impersonate the user
// of, unless it is empty.
func serve(ctx context.Context, handler http.Handler, verb, of string) *httptest.ResponseRecorder {
	authenticate := WithImpersonators(authenticator.RequestFunc(func(*http.Request) (*authenticator.Response, bool, error) {
		return &authenticator.Response{User: &user.DefaultInfo{Name: "ann"}}, true, nil
	}))
	chain := requeststate.Begin(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		response, _, _ := authenticate.AuthenticateRequest(req)
		ctx, who := req.Context(), response.User
		if of != "" {
			who = &user.DefaultInfo{Name: of}
		}
		ctx = apirequest.WithRequestInfo(apirequest.WithUser(ctx, who), &apirequest.RequestInfo{Verb: verb})
		handler.ServeHTTP(w, req.WithContext(ctx))
	}))
	req := httptest.NewRequest(http.MethodGet, "/", nil).WithContext(ctx)
	if of != "" {
		req.Header.Set("Impersonate-User", of)
	}
	answer := httptest.NewRecorder()
	chain.ServeHTTP(answer, req)
	return answer
}

func codecs() runtime.NegotiatedSerializer {
	scheme := runtime.NewScheme()
	metav1.AddToGroupVersion(scheme, metav1.Unversioned)
	return serializer.NewCodecFactory(scheme)
}

func isWatch(_ *http.Request, info *apirequest.RequestInfo) bool { return info.Verb == "watch" }

// TestWithEnd removes a user with open requests, some of which impersonate another user.
func TestWithEnd(t *testing.T) {
	u := New()
	causes := make(chan error)
	started := make(chan struct{})
	handler := u.WithEnd(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		started <- struct{}{}
		<-req.Context().Done()
		causes <- context.Cause(req.Context())
	}), isWatch, codecs())
	open := func(verb, of string) context.CancelFunc {
		ctx, cancel := context.WithCancel(t.Context())
		go serve(ctx, handler, verb, of)
		<-started
		return cancel
	}
	defer open("watch", "")()
	defer open("watch", "bob")()
	defer open("delete", "")()
	cancelGet := open("get", "")
	u.set("a", []string{"ann"})
	for range 3 {
		if cause := <-causes; !errors.Is(cause, errRemoved) {
			t.Errorf("a request ends with %v", cause)
		}
	}
	// One that was authorized just before.
	defer open("watch", "")()
	if cause := <-causes; !errors.Is(cause, errRemoved) {
		t.Errorf("the late watch ends with %v", cause)
	}
	cancelGet()
	if cause := <-causes; !errors.Is(cause, context.Canceled) {
		t.Errorf("the get ends with %v", cause)
	}
}

// TestImpersonator expects the requests of a removed impersonator to be denied although the
// framework has allowed the impersonation.
func TestImpersonator(t *testing.T) {
	u := New()
	served := 0
	handler := u.WithEnd(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { served++ }), isWatch, codecs())
	for _, step := range []struct {
		removed []string
		of      string
		want    int
	}{
		{nil, "bob", http.StatusOK},
		{[]string{"ann"}, "bob", http.StatusForbidden},
		{[]string{"carl"}, "bob", http.StatusOK},
	} {
		u.set("a", step.removed)
		for _, verb := range []string{"get", "watch"} {
			answer := serve(t.Context(), handler, verb, step.of)
			if answer.Code != step.want {
				t.Errorf("without %v: %d", step.removed, answer.Code)
			}
			const reason = `User \"ann\" cannot impersonate resource \"users\" in API group \"\" at the cluster scope: the user was removed`
			if step.want == http.StatusForbidden && !strings.Contains(answer.Body.String(), reason) {
				t.Errorf("the answer is %s", answer.Body)
			}
		}
	}
	if served != 4 {
		t.Errorf("%d requests were served", served)
	}
}
