package auth

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/portolan-dev/portolan/pkg/rbac"
	"github.com/portolan-dev/portolan/pkg/requeststate"
	"github.com/portolan-dev/portolan/pkg/server/apigroups"
)

var (
	errRefused   = &url.Error{Op: "Post", URL: "https://192.0.2.1", Err: errors.New("connection refused")}
	errBadToken  = errors.New("[invalid bearer token]")
	errForbidden = apierrors.NewForbidden(schema.GroupResource{Resource: "tokenreviews"}, "", errors.New("no"))
	errInternal  = apierrors.NewInternalError(errors.New("out of order"))
)

func TestReviewFailedAndUnreachable(t *testing.T) {
	for name, test := range map[string]struct {
		err                       error
		reviewFailed, unreachable bool
	}{
		"no error":       {nil, false, false},
		"an answer":      {errBadToken, false, false},
		"no connection":  {errRefused, true, true},
		"among others":   {utilerrors.NewAggregate([]error{errBadToken, utilerrors.NewAggregate([]error{errRefused})}), true, false},
		"answers alone":  {utilerrors.NewAggregate([]error{errBadToken, errBadToken}), false, false},
		"may not ask":    {errForbidden, true, false},
		"out of order":   {errInternal, true, true},
		"no time":        {context.DeadlineExceeded, true, true},
		"client is gone": {context.Canceled, false, false},
	} {
		if got := reviewFailed(test.err); got != test.reviewFailed {
			t.Errorf("%s: reviewFailed is %t", name, got)
		}
		if got := unreachable(test.err); got != test.unreachable {
			t.Errorf("%s: unreachable is %t", name, got)
		}
	}
}

func TestWithServiceUnavailable(t *testing.T) {
	token := func(err error) func(context.Context) {
		return func(ctx context.Context) {
			source := observeTokenReviews(authenticator.RequestFunc(func(*http.Request) (*authenticator.Response, bool, error) {
				return nil, err == nil, err
			}))
			if _, _, got := source.AuthenticateRequest((&http.Request{}).WithContext(ctx)); !errors.Is(got, err) {
				t.Errorf("the error is %v, want %v", got, err)
			}
		}
	}
	review := func(decision authorizer.Decision, err error) func(context.Context) {
		return func(ctx context.Context) {
			answer := func(context.Context, authorizer.Attributes) (authorizer.Decision, string, error) {
				return decision, "", err
			}
			got, _, gotErr := observeAccessReviews(authorizer.AuthorizerFunc(answer)).Authorize(ctx, authorizer.AttributesRecord{})
			if got != decision || !errors.Is(gotErr, err) {
				t.Errorf("decided %v, %v, want %v, %v", got, gotErr, decision, err)
			}
		}
	}
	users := func(err error) func(context.Context) {
		return func(ctx context.Context) {
			answer := func(context.Context, authorizer.Attributes) (authorizer.Decision, string, error) {
				return authorizer.DecisionNoOpinion, "", err
			}
			_, _, _ = observeUsers(authorizer.AuthorizerFunc(answer)).Authorize(ctx, authorizer.AttributesRecord{})
		}
	}
	admit := func(err error) func(context.Context) {
		return func(ctx context.Context) {
			if got := observeAdmissionError(ctx, err); !errors.Is(got, err) {
				t.Errorf("the error is %v, want %v", got, err)
			}
		}
	}
	for name, test := range map[string]struct {
		what       func(context.Context)
		code, want int
	}{
		"a bad token":                        {token(errBadToken), 401, 401},
		"a token that could not be reviewed": {token(errRefused), 401, 503},
		"another source knows the user":      {token(errRefused), 200, 200},
		"forbidden":                          {review(authorizer.DecisionNoOpinion, nil), 403, 403},
		"denied, with an error":              {review(authorizer.DecisionDeny, errRefused), 500, 500},
		"rights not reviewed":                {review(authorizer.DecisionNoOpinion, errRefused), 500, 503},
		"impersonation, not reviewed":        {review(authorizer.DecisionNoOpinion, errRefused), 403, 503},
		"roles not read yet":                 {users(utilerrors.NewAggregate([]error{rbac.ErrUnknown})), 500, 503},
		"another authorizer allows it":       {review(authorizer.DecisionNoOpinion, errRefused), 201, 201},
		"a conflict as well":                 {review(authorizer.DecisionNoOpinion, errRefused), 409, 409},
		"no quota is left":                   {admit(errForbidden), 403, 403},
		"quota not checked":                  {admit(errRefused), 500, 503},
		"namespace not checked":              {admit(errInternal), 500, 503},
	} {
		t.Run(name, func(t *testing.T) {
			inner := http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				test.what(req.Context())
				http.Error(w, "of the framework", test.code)
			})
			recorder := httptest.NewRecorder()
			req := httptest.NewRequest(http.MethodGet, "/apis", nil)
			handler := WithServiceUnavailable(inner, apigroups.NewCodecs(apigroups.NewScheme()))
			requeststate.Begin(handler).ServeHTTP(recorder, req)
			body, replaced := recorder.Body.String(), test.want == http.StatusServiceUnavailable
			if recorder.Code != test.want || strings.Contains(body, "of the framework") == replaced {
				t.Errorf("got %d %s", recorder.Code, body)
			}
			if again := recorder.Header().Get("Retry-After"); replaced != (again == "1") {
				t.Errorf("Retry-After %q", again)
			}
			if replaced && (!strings.Contains(body, `"reason":"ServiceUnavailable"`) ||
				recorder.Header().Get("Content-Type") != "application/json") {
				t.Errorf("%s: %s", recorder.Header().Get("Content-Type"), body)
			}
		})
	}
}
