package auth

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"

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
	"github.com/portolan-dev/portolan/pkg/rbac"
	"github.com/portolan-dev/portolan/pkg/requeststate"
	"github.com/portolan-dev/portolan/pkg/serviceaccount"
)

// A backend is what a request has to be checked with: the cluster, for its user, rights,
// namespace and quota, or a standalone server's authorization webhook, its ServiceAccounts,
// or its roles and bindings, which a server reads when it starts. If a backend is
// unavailable, the framework answers 401 or 500, on which clients give up, or 403 for
// impersonation.
// WithServiceUnavailable answers 503 instead, so that clients retry. Nothing has been
// written at that point, because the request is rejected before the storage. The audit log
// keeps the framework's code.

// Messages for clients.
const (
	noCluster = "the cluster's API server could not be asked about this request, try again"
	noWebhook = "the authorization webhook could not be asked about this request, try again"
	noRoles   = "the server has not read its roles and bindings yet, try again"
	noAccount = "the ServiceAccount of the token could not be read, try again"
)

// markUnavailable records that a backend could not be asked about a request, and the
// message for the client.
func markUnavailable(ctx context.Context, message string) {
	if unavailable := requeststate.From(ctx).Unavailable; unavailable != nil {
		unavailable.Store(&message)
	}
}

// backendUnavailable reports whether markUnavailable was called for a request.
func backendUnavailable(ctx context.Context) bool {
	unavailable := requeststate.From(ctx).Unavailable
	return unavailable != nil && unavailable.Load() != nil
}

// observeTokenReviews marks requests whose token could not be reviewed.
func observeTokenReviews(inner authenticator.Request) authenticator.Request {
	return authenticator.RequestFunc(func(req *http.Request) (*authenticator.Response, bool, error) {
		response, ok, err := inner.AuthenticateRequest(req)
		if !ok && reviewFailed(err) {
			markUnavailable(req.Context(), noCluster)
		}
		return response, ok, err
	})
}

// observeAccounts marks requests with a token of a ServiceAccount that could not be read.
func observeAccounts(inner authenticator.Request) authenticator.Request {
	return authenticator.RequestFunc(func(req *http.Request) (*authenticator.Response, bool, error) {
		response, ok, err := inner.AuthenticateRequest(req)
		if !ok && errors.Is(err, serviceaccount.ErrNotRead) {
			markUnavailable(req.Context(), noAccount)
			klog.FromContext(req.Context()).Error(err, "A token could not be authenticated")
		}
		return response, ok, err
	})
}

// observeAccessReviews marks requests whose access could not be reviewed.
func observeAccessReviews(inner authorizer.Authorizer) authorizer.Authorizer {
	return authorizer.AuthorizerFunc(func(ctx context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
		decision, reason, err := inner.Authorize(ctx, a)
		if err != nil && decision == authorizer.DecisionNoOpinion {
			markUnavailable(ctx, noCluster)
		}
		return decision, reason, err
	})
}

// observeUsers marks requests to a standalone server that failed to reach an authorization
// webhook, regardless of its failure policy, and those before the server knows its roles.
// The cause is logged and not sent to the client, because it contains the webhook's address.
func observeUsers(inner authorizer.Authorizer) authorizer.Authorizer {
	return authorizer.AuthorizerFunc(func(ctx context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
		decision, reason, err := inner.Authorize(ctx, a)
		switch {
		case err == nil || decision == authorizer.DecisionAllow:
		case errors.Is(err, rbac.ErrUnknown):
			markUnavailable(ctx, noRoles)
		default:
			markUnavailable(ctx, noWebhook)
			klog.FromContext(ctx).Error(err, "An authorization webhook could not be asked", "verb", a.GetVerb(), "resource", a.GetResource(), "path",
				a.GetPath())
		}
		return decision, reason, err
	})
}

// reviewFailed reports whether an error comes from a failed review. The error of a
// review that rejects a token has no particular type.
func reviewFailed(err error) bool {
	if aggregate := utilerrors.Aggregate(nil); errors.As(err, &aggregate) {
		return slices.ContainsFunc(aggregate.Errors(), reviewFailed)
	}
	var status apierrors.APIStatus
	return errors.As(err, &status) || unreachable(err)
}

// unreachable reports whether an error says that an API server cannot be reached or
// cannot answer.
func unreachable(err error) bool {
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		return status.Status().Code >= http.StatusInternalServerError
	}
	var transport *url.Error
	return errors.As(err, &transport) || errors.Is(err, context.DeadlineExceeded)
}

// ObserveAdmission is an admission.DecoratorFunc. It marks requests for which a plugin
// could not ask the cluster. Admission webhooks are not part of the cluster, and have a
// failure policy of their own.
func ObserveAdmission(plugin admission.Interface, name string) admission.Interface {
	if name != lifecycle.PluginName && name != resourcequota.PluginName {
		return plugin
	}
	return observedPlugin{plugin}
}

type observedPlugin struct{ admission.Interface }

var (
	_ admission.MutationInterface   = observedPlugin{}
	_ admission.ValidationInterface = observedPlugin{}
)

// Admit implements admission.MutationInterface.
func (p observedPlugin) Admit(ctx context.Context, a admission.Attributes, o admission.ObjectInterfaces) error {
	inner, ok := p.Interface.(admission.MutationInterface)
	if !ok {
		return nil
	}
	return observeAdmissionError(ctx, inner.Admit(ctx, a, o))
}

// Validate implements admission.ValidationInterface.
func (p observedPlugin) Validate(ctx context.Context, a admission.Attributes, o admission.ObjectInterfaces) error {
	inner, ok := p.Interface.(admission.ValidationInterface)
	if !ok {
		return nil
	}
	return observeAdmissionError(ctx, inner.Validate(ctx, a, o))
}

func observeAdmissionError(ctx context.Context, err error) error {
	if unreachable(err) {
		markUnavailable(ctx, noCluster)
	}
	return err
}

// WithServiceUnavailable answers 503 to requests whose backend was unavailable, and
// names the backend. It must wrap the framework's filters, within requeststate.Begin.
func WithServiceUnavailable(handler http.Handler, serializer runtime.NegotiatedSerializer) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		writer := &unavailableWriter{ResponseWriter: w, req: req, serializer: serializer}
		handler.ServeHTTP(responsewriter.WrapForHTTP1Or2(writer), req)
	})
}

type unavailableWriter struct {
	http.ResponseWriter
	req        *http.Request
	serializer runtime.NegotiatedSerializer
	// replaced is set once the 503 has been written in place of the handler's answer.
	replaced bool
}

var _ responsewriter.UserProvidedDecorator = &unavailableWriter{}

// Unwrap implements responsewriter.UserProvidedDecorator.
func (w *unavailableWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader replaces a rejection if the backend was unavailable.
func (w *unavailableWriter) WriteHeader(code int) {
	rejections := []int{http.StatusUnauthorized, http.StatusForbidden, http.StatusInternalServerError}
	if !slices.Contains(rejections, code) || !backendUnavailable(w.req.Context()) {
		w.ResponseWriter.WriteHeader(code)
		return
	}
	w.replaced = true
	w.Header().Del("Content-Length")
	w.Header().Del("Content-Type")
	err := apierrors.NewServiceUnavailable(*requeststate.From(w.req.Context()).Unavailable.Load())
	err.ErrStatus.Details = &metav1.StatusDetails{RetryAfterSeconds: 1}
	responsewriters.ErrorNegotiated(err, w.serializer, metav1.Unversioned, w.ResponseWriter, w.req)
}

// Write drops the body of an answer that was replaced.
func (w *unavailableWriter) Write(data []byte) (int, error) {
	if w.replaced {
		return len(data), nil
	}
	return w.ResponseWriter.Write(data)
}
