package gateway

import (
	"encoding/json"
	"maps"
	"net/http"
	"strings"

	"k8s.io/apiserver/pkg/util/responsewriter"
	"k8s.io/klog/v2"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

const openAPIV3 = "/openapi/v3"

// fromAggregator reports whether kube-apiserver asks what the server behind the APIService
// of portolan.dev serves (kube-aggregator's discovery manager and OpenAPI downloaders).
// Forwarded, the request would come back to kube-apiserver, which would take its own API
// for that of the server. Nobody else gains anything by the header: served and forwarded
// requests are authenticated.
func fromAggregator(req *http.Request) bool {
	switch req.URL.Path {
	case "/apis", "/openapi/v2", openAPIV3:
	default:
		return false
	}
	switch req.Header.Get("X-Remote-User") {
	case "system:kube-aggregator", "system:aggregator":
		return req.TLS != nil && len(req.TLS.PeerCertificates) > 0
	default:
		return false
	}
}

// withOwnOpenAPI removes everything but portolan.dev from the list of OpenAPI documents.
// kube-apiserver asks the server for every document in the list that it gets. It takes
// only its own group from /apis and /openapi/v2.
func withOwnOpenAPI(served http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path != openAPIV3 {
			served.ServeHTTP(w, req)
			return
		}
		answer := responsewriter.NewInMemoryResponseWriter()
		served.ServeHTTP(answer, req)
		data := answer.Data()
		var list struct {
			Paths map[string]json.RawMessage `json:"paths"`
		}
		if answer.RespCode() == http.StatusOK && json.Unmarshal(data, &list) == nil {
			maps.DeleteFunc(list.Paths, func(path string, _ json.RawMessage) bool { return !ofPortolan(path) })
			if own, err := json.Marshal(list); err == nil {
				data = own
			}
		}
		maps.Copy(w.Header(), answer.Header())
		w.Header().Del("Content-Length")
		w.Header().Del("Etag")
		w.WriteHeader(answer.RespCode())
		if _, err := w.Write(data); err != nil {
			klog.FromContext(req.Context()).V(2).Info("The list of OpenAPI documents was not read", "cause", err)
		}
	})
}

// ofPortolan reports whether a path without its leading slash belongs to portolan.dev.
func ofPortolan(path string) bool {
	group, below := strings.CutPrefix(path, "apis/")
	group, _, _ = strings.Cut(group, "/")
	return below && group == v1.GroupName
}
