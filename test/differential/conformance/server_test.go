package conformance

import (
	"net/http"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
)

// serverVersion: "should find the server version".
func serverVersion(f *fixture) {
	version, err := f.client.Discovery().ServerVersion()
	f.ok("version", err)
	if !regexp.MustCompile(`^[1-9]$`).MatchString(version.Major) || !regexp.MustCompile(`^[1-9][0-9]*\+?$`).MatchString(version.Minor) {
		f.Errorf("it is %+v", version)
	}
}

// requestTimeouts: "should return HTTP status code 400 if the user specifies an
// invalid timeout in the request URL" and similar tests.
func requestTimeouts(f *fixture) {
	for timeout, code := range map[string]int{"invalid": http.StatusBadRequest, "3m": http.StatusOK, "0s": http.StatusOK} {
		got := f.ask(http.MethodGet, "/version?timeout="+timeout, nil)
		if got.code != code || code == http.StatusBadRequest &&
			!strings.Contains(string(got.body), "invalid timeout specified in the request URL") {
			f.Errorf("%s: got %d\n%s", timeout, got.code, got.body)
		}
	}
}

// health: "should contain necessary checks", except those of kube-apiserver
// alone.
func health(f *fixture) {
	for path, checks := range map[string][]string{
		"/healthz": {"ping", "log", "etcd"}, "/livez": {"ping", "log", "etcd"}, "/readyz": {"ping", "log", "etcd", "shutdown"},
	} {
		if got := f.ask(http.MethodGet, path, nil); got.code != http.StatusOK || string(got.body) != "ok" {
			f.Errorf("%s: got %d\n%s", path, got.code, got.body)
		}
		verbose := f.ask(http.MethodGet, path+"?verbose=1", nil)
		for _, check := range checks {
			if !strings.Contains(string(verbose.body), "[+]"+check+" ok\n") {
				f.Errorf("%s: there is no %s in\n%s", path, check, verbose.body)
			}
			if got := f.ask(http.MethodGet, path+"/"+check, nil); got.code != http.StatusOK || string(got.body) != "ok" {
				f.Errorf("%s/%s: got %d\n%s", path, check, got.code, got.body)
			}
		}
		if got := f.ask(http.MethodGet, path+"?verbose=1&exclude=etcd", nil); !strings.Contains(string(got.body), "[+]etcd excluded: ok\n") {
			f.Errorf("%s: etcd is not excluded in\n%s", path, got.body)
		}
	}
}

// openAPI: "should round trip OpenAPI V3 for all built-in group versions".
func openAPI(f *fixture) {
	paths, err := f.client.Discovery().OpenAPIV3().Paths()
	f.ok("paths", err)
	for version := range served {
		path := "apis/" + version
		if version == "v1" {
			path = "api/v1"
		}
		document, found := paths[path]
		if !found {
			f.Fatalf("there is no %s", path)
		}
		for _, format := range []string{runtime.ContentTypeJSON, "application/com.github.proto-openapi.spec.v3.v1.0+protobuf"} {
			raw, err := document.Schema(format)
			if err != nil || len(raw) == 0 {
				f.Errorf("%s as %s: %d bytes, error %v", path, format, len(raw), err)
			}
		}
	}
	document, err := f.client.Discovery().OpenAPISchema()
	f.ok("OpenAPI v2", err)
	var names []string
	for _, definition := range document.GetDefinitions().GetAdditionalProperties() {
		names = append(names, definition.GetName())
	}
	for _, want := range []string{"io.k8s.api.core.v1.Service", "io.k8s.api.discovery.v1.EndpointSlice",
		"io.k8s.api.networking.v1.ServiceCIDR", "io.k8s.api.networking.v1.IPAddress"} {
		if !slices.Contains(names, want) {
			f.Errorf("there is no model %s", want)
		}
	}
}
