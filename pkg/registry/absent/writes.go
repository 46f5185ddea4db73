package absent

import (
	"fmt"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
	"k8s.io/apiserver/pkg/endpoints/request"
)

// WithRefusals rejects writes of absent kinds with a 405 that says why. Without it, the API
// machinery's 405 does not.
func WithRefusals(handler http.Handler, kinds []Kind, serializer runtime.NegotiatedSerializer) http.Handler {
	resources := sets.New[schema.GroupVersionResource]()
	for _, kind := range kinds {
		resources.Insert(kind.Resource)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		info, ok := request.RequestInfoFrom(req.Context())
		if !ok || !info.IsResourceRequest || isRead(info.Verb) || !resources.Has(resourceOf(info)) {
			handler.ServeHTTP(w, req)
			return
		}
		resource := resourceOf(info)
		err := apierrors.NewMethodNotSupported(resource.GroupResource(), info.Verb)
		err.ErrStatus.Message = fmt.Sprintf("%s need a cluster, and this server has none: it stores no such objects", resource.GroupResource())
		responsewriters.ErrorNegotiated(err, serializer, resource.GroupVersion(), w, req)
	})
}

func resourceOf(info *request.RequestInfo) schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: info.APIGroup, Version: info.APIVersion, Resource: info.Resource}
}

func isRead(verb string) bool { return verb == "get" || verb == "list" || verb == "watch" }
