package callers

import (
	"net/http"

	apirequest "k8s.io/apiserver/pkg/endpoints/request"
)

// WithAuthorized stops limiting the connections of callers, anonymous ones included, that
// are authorized to use resources. It goes behind authorization.
func (c *Connections) WithAuthorized(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if info, ok := apirequest.RequestInfoFrom(req.Context()); ok && info.IsResourceRequest {
			c.Authenticated(req.RemoteAddr)
		}
		handler.ServeHTTP(w, req)
	})
}
