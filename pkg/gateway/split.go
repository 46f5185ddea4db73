package gateway

import (
	"fmt"
	"net/http"

	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
	"k8s.io/apiserver/pkg/endpoints/request"
)

// Split passes the requests that the server serves to served, and all others to
// forwarded. Both find the request's info in the context. What kube-apiserver asks about
// the server behind portolan.dev is served, too.
func Split(served, forwarded http.Handler, resolver request.RequestInfoResolver) http.Handler {
	aggregated := withOwnOpenAPI(served)
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		info, err := resolver.NewRequestInfo(req)
		if err != nil {
			responsewriters.InternalError(w, req, fmt.Errorf("failed to create RequestInfo: %w", err))
			return
		}
		req = req.WithContext(request.WithRequestInfo(req.Context(), info))
		switch {
		case Serves(info):
			served.ServeHTTP(w, req)
		case fromAggregator(req):
			aggregated.ServeHTTP(w, req)
		default:
			forwarded.ServeHTTP(w, req)
		}
	})
}

// Resolved returns a resolver that takes the info that Split has put into the context
// rather than parsing the path a second time.
func Resolved(resolver request.RequestInfoResolver) request.RequestInfoResolver {
	return resolved{resolver}
}

type resolved struct{ request.RequestInfoResolver }

// NewRequestInfo implements request.RequestInfoResolver.
func (r resolved) NewRequestInfo(req *http.Request) (*request.RequestInfo, error) {
	if info, ok := request.RequestInfoFrom(req.Context()); ok {
		return info, nil
	}
	return r.RequestInfoResolver.NewRequestInfo(req)
}
