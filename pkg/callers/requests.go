package callers

import (
	"fmt"
	"net/http"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
	apirequest "k8s.io/apiserver/pkg/endpoints/request"
)

const (
	// maxURL is far above what clients send. Selectors and continue tokens are the
	// longest parts.
	maxURL = 16 << 10
	// maxHeaders leaves room for the largest tokens, and for the groups and extras of an
	// impersonated user.
	maxHeaders = 64 << 10
	// maxLogged is how much of a URL is logged.
	maxLogged = 256
)

// Limits has what WithLimits needs to know about requests.
type Limits struct {
	Serializer  runtime.NegotiatedSerializer
	Resolver    apirequest.RequestInfoResolver
	LongRunning apirequest.LongRunningRequestCheck
}

// WithLimits rejects requests with URLs or headers that are too long, and requests that
// the framework would log before their caller is authenticated. It wraps all other
// filters. Log lines get a truncated URL; the audit log has all of it.
func WithLimits(handler http.Handler, limits Limits) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if err := limits.check(req); err != nil {
			w.Header().Set("Connection", "close")
			responsewriters.ErrorNegotiated(err, limits.Serializer, metav1.Unversioned, w, req)
			return
		}
		if len(req.RequestURI) > maxLogged {
			req.RequestURI = req.RequestURI[:maxLogged] + "..."
		}
		handler.ServeHTTP(w, req)
	})
}

func (l Limits) check(req *http.Request) error {
	if length := len(req.URL.Path) + len(req.URL.RawQuery); length > maxURL {
		return tooLong(http.StatusRequestURITooLong, metav1.StatusReason("URITooLong"), "the URL has %d bytes, and at most %d are accepted",
			length, maxURL)
	}
	length := 0
	for name, values := range req.Header {
		for _, value := range values {
			length += len(name) + len(value)
		}
	}
	if length > maxHeaders {
		return tooLong(http.StatusRequestHeaderFieldsTooLarge, metav1.StatusReason("HeadersTooLarge"),
			"the headers have %d bytes, and at most %d are accepted", length, maxHeaders)
	}
	return l.checkTimeout(req)
}

// checkTimeout rejects a malformed timeout. The framework does the same, but logs it.
func (l Limits) checkTimeout(req *http.Request) error {
	if req.URL.RawQuery == "" {
		return nil
	}
	value := req.URL.Query().Get("timeout")
	if value == "" {
		return nil
	}
	_, err := time.ParseDuration(value)
	if err == nil {
		return nil
	}
	if info, infoErr := l.Resolver.NewRequestInfo(req); infoErr != nil || l.LongRunning(req, info) {
		return nil //nolint:nilerr // The framework goes on with such requests.
	}
	return apierrors.NewBadRequest(fmt.Sprintf("invalid timeout specified in the request URL - %.*s", maxLogged, err.Error()))
}

func tooLong(code int32, reason metav1.StatusReason, format string, values ...any) error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: code, Reason: reason, Message: fmt.Sprintf(format, values...),
	}}
}
