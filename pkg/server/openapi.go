package server

import (
	"fmt"
	"net/http"
	"strings"
	"sync"

	"k8s.io/apiserver/pkg/endpoints/responsewriter"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/routes"
	"k8s.io/klog/v2"
	"k8s.io/kube-openapi/pkg/builder"
	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/common/restfuladapter"
	"k8s.io/kube-openapi/pkg/handler"
	"k8s.io/kube-openapi/pkg/validation/spec"
)

// installOpenAPI serves the OpenAPI documents of the API groups that are installed. The first
// request for the document of version 2 builds it. The framework builds it at every start,
// which took a fifth of a start's CPU, although clients since kubectl 1.27 read version 3.
func installOpenAPI(server *genericapiserver.GenericAPIServer, v2 *common.Config, v3 *common.OpenAPIV3Config) {
	container, mux := server.Handler.GoRestfulContainer, server.Handler.NonGoRestfulMux
	server.OpenAPIV3VersionedService = routes.OpenAPI{V3Config: v3}.InstallV3(container, mux)
	document := &spec.Swagger{}
	build := sync.OnceValue(func() error {
		built, err := builder.BuildOpenAPISpecFromRoutes(restfuladapter.AdaptWebServices(container.RegisteredWebServices()), v2)
		if err != nil {
			return fmt.Errorf("the OpenAPI v2 document: %w", err)
		}
		built.Definitions = handler.PruneDefaults(built.Definitions)
		*document = *built
		return nil
	})
	// The controller that adds custom resources keeps both.
	server.StaticOpenAPISpec, server.OpenAPIVersionedService = document, handler.NewOpenAPIService(document)
	server.OpenAPIVersionedService.RegisterOpenAPIVersionedService("/openapi/v2", builtFirst{build, mux})
}

// builtFirst registers handlers that call build before they answer.
type builtFirst struct {
	build func() error
	paths common.PathHandler
}

// Handle implements common.PathHandler.
func (b builtFirst) Handle(path string, handler http.Handler) {
	b.paths.Handle(path, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if err := b.build(); err != nil {
			klog.FromContext(req.Context()).Error(err, "A request failed", "path", path)
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		handler.ServeHTTP(w, req)
	}))
}

// openAPIV3Prefix is the path below which each group version has its OpenAPI document.
const openAPIV3Prefix = "/openapi/v3/"

// withUnknownDocuments answers 404 to requests for OpenAPI documents that do not exist, as
// kube-apiserver does (kube-aggregator, handleGroupVersion). The handler of the library
// writes nothing, which makes it an empty 200, or a 406 if it does not know the format.
func withUnknownDocuments(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if !strings.HasPrefix(req.URL.Path, openAPIV3Prefix) {
			handler.ServeHTTP(w, req)
			return
		}
		answer := &answerWriter{ResponseWriter: w}
		handler.ServeHTTP(responsewriter.WrapForHTTP1Or2(answer), req)
		switch {
		case answer.written:
		case answer.notAcceptable && documentExists(handler, req):
			w.WriteHeader(http.StatusNotAcceptable)
		default:
			w.Header().Del("Vary")
			w.WriteHeader(http.StatusNotFound)
		}
	})
}

// documentExists reports whether the handler has a document in a format that it knows.
func documentExists(handler http.Handler, req *http.Request) bool {
	acceptable := req.Clone(req.Context())
	acceptable.Method = http.MethodHead
	acceptable.Header.Set("Accept", "application/json")
	answer := &answerWriter{ResponseWriter: nowhere{}}
	handler.ServeHTTP(answer, acceptable)
	return answer.written
}

// nowhere is a http.ResponseWriter that drops the answer.
type nowhere http.Header

func (w nowhere) Header() http.Header { return http.Header(w) }

func (nowhere) Write(data []byte) (int, error) { return len(data), nil }

func (nowhere) WriteHeader(int) {}

// answerWriter records whether anything was written. It holds back that the format is not
// acceptable, which the library writes about documents that do not exist too.
type answerWriter struct {
	http.ResponseWriter
	written, notAcceptable bool
}

var _ responsewriter.UserProvidedDecorator = &answerWriter{}

// Unwrap implements responsewriter.UserProvidedDecorator.
func (w *answerWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (w *answerWriter) WriteHeader(code int) {
	if code == http.StatusNotAcceptable {
		w.notAcceptable = true
		return
	}
	w.written = true
	w.ResponseWriter.WriteHeader(code)
}

// Write implements http.ResponseWriter.
func (w *answerWriter) Write(data []byte) (int, error) {
	w.written = true
	return w.ResponseWriter.Write(data)
}
