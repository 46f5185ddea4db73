package callers

import (
	"net/http"

	apirequest "k8s.io/apiserver/pkg/endpoints/request"
)

// WithAllowed notes the connections of anonymous callers who may use resources.
// It goes behind authorization.
func (c *Connections) WithAllowed(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if info, ok := apirequest.RequestInfoFrom(req.Context()); ok && info.IsResourceRequest {
			c.Known(req.RemoteAddr)
		}
		handler.ServeHTTP(w, req)
	})
}
