package removed

import (
	"context"
	"net/http"

	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
	apirequest "k8s.io/apiserver/pkg/endpoints/request"

	"github.com/portolan-dev/portolan/pkg/requeststate"
)

// WithImpersonators wraps an authenticator. It records who impersonates another user, for
// WithEnd: the framework's filter replaces the user of the request.
func WithImpersonators(inner authenticator.Request) authenticator.Request {
	return authenticator.RequestFunc(func(req *http.Request) (*authenticator.Response, bool, error) {
		response, ok, err := inner.AuthenticateRequest(req)
		if ok && err == nil && req.Header.Get(authenticationv1.ImpersonateUserHeader) != "" {
			if impersonator := requeststate.From(req.Context()).Impersonator; impersonator != nil {
				name := response.User.GetName()
				impersonator.Store(&name)
			}
		}
		return response, ok, err
	})
}

func impersonatorOf(ctx context.Context) string {
	if stored := requeststate.From(ctx).Impersonator; stored != nil {
		if name := stored.Load(); name != nil {
			return *name
		}
	}
	return ""
}

// WithEnd is a filter that ends a request when its user or the one who impersonates it is
// removed: a long-running one, such as a watch, and a write, whose body may still be on its
// way. It also denies the requests of a removed impersonator, because the framework caches
// for ten seconds who may impersonate whom. It goes behind authorization.
func (u *Users) WithEnd(handler http.Handler, longRunning apirequest.LongRunningRequestCheck, s runtime.NegotiatedSerializer) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		ctx := req.Context()
		who, known := apirequest.UserFrom(ctx)
		impersonator := impersonatorOf(ctx)
		if known && u.has(impersonator) {
			responsewriters.Forbidden(impersonation(impersonator, who), w, req, errRemoved.Error(), s)
			return
		}
		info, _ := apirequest.RequestInfoFrom(ctx)
		if !known || info == nil || isRead(info.Verb) && !longRunning(req, info) {
			handler.ServeHTTP(w, req)
			return
		}
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		for _, name := range []string{who.GetName(), impersonator} {
			if name != "" && name != user.APIServerUser {
				defer u.register(name, cancel)()
			}
		}
		handler.ServeHTTP(w, req.WithContext(ctx))
	})
}

func isRead(verb string) bool { return verb == "get" || verb == "list" || verb == "head" }

// impersonation is what the framework asks the authorizer about.
func impersonation(impersonator string, of user.Info) authorizer.Attributes {
	return authorizer.AttributesRecord{
		User: &user.DefaultInfo{Name: impersonator}, Verb: "impersonate", Resource: "users", Name: of.GetName(), ResourceRequest: true,
	}
}

// register makes the removal of a user cancel a request, until the returned function is
// called. The user may have been removed since the request was authorized.
func (u *Users) register(name string, cancel context.CancelCauseFunc) (done func()) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.bindings[name] > 0 {
		cancel(errRemoved)
	}
	if u.open[name] == nil {
		u.open[name] = map[*context.CancelCauseFunc]bool{}
	}
	u.open[name][&cancel] = true
	return func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		delete(u.open[name], &cancel)
		if len(u.open[name]) == 0 {
			delete(u.open, name)
		}
	}
}
