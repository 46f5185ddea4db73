package server

import (
	"net/http"
	"strings"

	"k8s.io/apiserver/pkg/endpoints/responsewriter"
)

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
