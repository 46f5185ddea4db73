package server

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"sync/atomic"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/namespace/lifecycle"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
	"k8s.io/apiserver/pkg/endpoints/responsewriter"
	"k8s.io/klog/v2"

	"github.com/portolan-dev/portolan/pkg/admission/resourcequota"
)

// A request is undecided if the cluster had to be asked about it and could not
// be: who sends it, whether he may, whether its namespace exists, whether there
// is quota. Without a cluster it is undecided if an authorization webhook could not
// be asked. The framework answers with a 401 or a 500 then, on which clients give
// up, and with a 403 if it is about impersonation. Here they are told to try
// again. Nothing was written: it is refused before the storage. The audit log
// keeps the framework's code.

type undecidedKey struct{}

// setUndecided notes that the cluster could not be asked about a request.
func setUndecided(ctx context.Context) {
	if undecided, ok := ctx.Value(undecidedKey{}).(*atomic.Bool); ok {
		undecided.Store(true)
	}
}

// isUndecided says whether setUndecided was called for a request.
func isUndecided(ctx context.Context) bool {
	undecided, ok := ctx.Value(undecidedKey{}).(*atomic.Bool)
	return ok && undecided.Load()
}

// noteUnasked notes requests whose user the cluster could not be asked for.
func noteUnasked(inner authenticator.Request) authenticator.Request {
	return authenticator.RequestFunc(func(req *http.Request) (*authenticator.Response, bool, error) {
		response, ok, err := inner.AuthenticateRequest(req)
		if !ok && unasked(err) {
			setUndecided(req.Context())
		}
		return response, ok, err
	})
}

// noteUnanswered notes requests that the cluster could not be asked to allow.
func noteUnanswered(inner authorizer.Authorizer) authorizer.Authorizer {
	return authorizer.AuthorizerFunc(func(ctx context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
		decision, reason, err := inner.Authorize(ctx, a)
		if err != nil && decision == authorizer.DecisionNoOpinion {
			setUndecided(ctx)
		}
		return decision, reason, err
	})
}

// noteUnreachable notes requests that no webhook could be asked to allow, whatever
// its failure policy makes of that. The cause is logged and not told: it has the
// webhook's address.
func noteUnreachable(inner authorizer.Authorizer) authorizer.Authorizer {
	return authorizer.AuthorizerFunc(func(ctx context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
		decision, reason, err := inner.Authorize(ctx, a)
		if err != nil && decision != authorizer.DecisionAllow {
			setUndecided(ctx)
			klog.FromContext(ctx).Error(err, "An authorization webhook could not be asked", "verb", a.GetVerb(), "resource", a.GetResource(), "path",
				a.GetPath())
		}
		return decision, reason, err
	})
}

// unasked tells an error of asking from an answer, such as that a token is bad,
// which is an error of no particular type.
func unasked(err error) bool {
	if aggregate := utilerrors.Aggregate(nil); errors.As(err, &aggregate) {
		return slices.ContainsFunc(aggregate.Errors(), unasked)
	}
	var status apierrors.APIStatus
	return errors.As(err, &status) || away(err)
}

// away says whether an API server can't be reached, or can't answer.
func away(err error) bool {
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		return status.Status().Code >= http.StatusInternalServerError
	}
	var transport *url.Error
	return errors.As(err, &transport) || errors.Is(err, context.DeadlineExceeded)
}

// noteUnadmitted notes requests that the plugins could not ask the cluster
// about. Webhooks are others than the cluster, and have a policy for this case.
func noteUnadmitted(plugin admission.Interface, name string) admission.Interface {
	if name != lifecycle.PluginName && name != resourcequota.PluginName {
		return plugin
	}
	return notedPlugin{plugin}
}

type notedPlugin struct{ admission.Interface }

var (
	_ admission.MutationInterface   = notedPlugin{}
	_ admission.ValidationInterface = notedPlugin{}
)

// Admit is the plugin's.
func (p notedPlugin) Admit(ctx context.Context, a admission.Attributes, o admission.ObjectInterfaces) error {
	inner, ok := p.Interface.(admission.MutationInterface)
	if !ok {
		return nil
	}
	return noted(ctx, inner.Admit(ctx, a, o))
}

// Validate is the plugin's.
func (p notedPlugin) Validate(ctx context.Context, a admission.Attributes, o admission.ObjectInterfaces) error {
	inner, ok := p.Interface.(admission.ValidationInterface)
	if !ok {
		return nil
	}
	return noted(ctx, inner.Validate(ctx, a, o))
}

func noted(ctx context.Context, err error) error {
	if away(err) {
		setUndecided(ctx)
	}
	return err
}

// withUndecided answers undecided requests with a 503. It goes around all other
// filters.
func withUndecided(handler http.Handler, serializer runtime.NegotiatedSerializer, asked string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		req = req.WithContext(context.WithValue(req.Context(), undecidedKey{}, &atomic.Bool{}))
		writer := &undecidedWriter{ResponseWriter: w, req: req, serializer: serializer, asked: asked}
		handler.ServeHTTP(responsewriter.WrapForHTTP1Or2(writer), req)
	})
}

type undecidedWriter struct {
	http.ResponseWriter
	req        *http.Request
	serializer runtime.NegotiatedSerializer
	// asked is who could not be asked.
	asked string
	// replaced is set when the answer is another than what is written.
	replaced bool
}

var _ responsewriter.UserProvidedDecorator = &undecidedWriter{}

// Unwrap gives the framework what is underneath.
func (w *undecidedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader replaces the answer to an undecided request.
func (w *undecidedWriter) WriteHeader(code int) {
	refusals := []int{http.StatusUnauthorized, http.StatusForbidden, http.StatusInternalServerError}
	if !slices.Contains(refusals, code) || !isUndecided(w.req.Context()) {
		w.ResponseWriter.WriteHeader(code)
		return
	}
	w.replaced = true
	w.Header().Del("Content-Length")
	w.Header().Del("Content-Type")
	err := apierrors.NewServiceUnavailable(w.asked + " could not be asked about this request, try again")
	err.ErrStatus.Details = &metav1.StatusDetails{RetryAfterSeconds: 1}
	responsewriters.ErrorNegotiated(err, w.serializer, metav1.Unversioned, w.ResponseWriter, w.req)
}

// Write leaves out what was replaced.
func (w *undecidedWriter) Write(data []byte) (int, error) {
	if w.replaced {
		return len(data), nil
	}
	return w.ResponseWriter.Write(data)
}
