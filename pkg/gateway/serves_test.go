package gateway

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/endpoints/request"

	"github.com/portolan-dev/portolan/pkg/registry"
)

// resolver is the framework's, as a server has it.
func resolver() request.RequestInfoResolver {
	return &request.RequestInfoFactory{APIPrefixes: sets.NewString("api", "apis"), GrouplessAPIPrefixes: sets.NewString("api")}
}

func TestServes(t *testing.T) {
	t.Parallel()
	const core = "/api/v1/namespaces/default/"
	for name, test := range map[string]struct {
		path string
		want bool
	}{
		"services":                         {core + "services", true},
		"all services":                     {"/api/v1/services", true},
		"a service":                        {core + "services/web", true},
		"its status":                       {core + "services/web/status", true},
		"its proxy":                        {core + "services/https:web:443/proxy/a/b", true},
		"no subresource":                   {core + "services/web/none", true},
		"a watch":                          {"/api/v1/services?watch=1&sendInitialEvents=true", true},
		"a watch by path":                  {"/api/v1/watch/namespaces/default/services", true},
		"a watch of one by path":           {"/api/v1/watch/namespaces/default/services/web", true},
		"a dry run":                        {core + "services?dryRun=All", true},
		"endpoints":                        {core + "endpoints/web", true},
		"slices":                           {"/apis/discovery.k8s.io/v1/namespaces/default/endpointslices", true},
		"service CIDRs":                    {"/apis/networking.k8s.io/v1/servicecidrs/kubernetes/status", true},
		"addresses":                        {"/apis/networking.k8s.io/v1/ipaddresses/10.0.0.1", true},
		"portolan.dev":                     {"/apis/portolan.dev/v1/namespaces/default/services", true},
		"nodeports":                        {"/apis/portolan.dev/v1/nodeports", true},
		"portolan.dev's resources":         {"/apis/portolan.dev/v1", true},
		"portolan.dev's versions":          {"/apis/portolan.dev", true},
		"health":                           {"/healthz", true},
		"a part of it":                     {"/readyz/etcd", true},
		"liveness":                         {"/livez?verbose", true},
		"metrics":                          {"/metrics", true},
		"profiles":                         {"/debug/pprof/heap", true},
		"a snapshot":                       {"/store/snapshot", true},
		"pods":                             {core + "pods", false},
		"a pod's proxy":                    {core + "pods/web/proxy/services", false},
		"a node's proxy":                   {"/api/v1/nodes/n/proxy/healthz", false},
		"exec":                             {core + "pods/web/exec?command=ls", false},
		"the namespace services":           {"/api/v1/namespaces/services", false},
		"a watch of pods by path":          {"/api/v1/watch/pods", false},
		"network policies":                 {"/apis/networking.k8s.io/v1/networkpolicies", false},
		"services of another version":      {"/api/v2/services", false},
		"slices of another version":        {"/apis/discovery.k8s.io/v1beta1/endpointslices", false},
		"services of another group":        {"/apis/serving.knative.dev/v1/namespaces/default/services", false},
		"services of metrics":              {"/apis/custom.metrics.k8s.io/v1/namespaces/default/services/web/hits", false},
		"a group with the name as a start": {"/apis/portolan.dev.example/v1", false},
		"reviews":                          {"/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", false},
		"the core group's resources":       {"/api/v1", false},
		"the core group's versions":        {"/api", false},
		"groups":                           {"/apis", false},
		"a group":                          {"/apis/discovery.k8s.io/v1", false},
		"OpenAPI":                          {"/openapi/v3", false},
		"OpenAPI of a group":               {"/openapi/v3/apis/discovery.k8s.io/v1", false},
		"OpenAPI of portolan.dev":          {"/openapi/v3/apis/portolan.dev/v1", true},
		"OpenAPI of a group like it":       {"/openapi/v3/apis/portolan.dev.example/v1", false},
		"the version":                      {"/version", false},
		"the root":                         {"/", false},
		"keys of service accounts":         {"/openid/v1/jwks", false},
		"a path like health":               {"/healthzz", false},
		"a path below snapshots":           {"/store/snapshot/x", false},
	} {
		info, err := resolver().NewRequestInfo(httptest.NewRequest(http.MethodGet, test.path, nil))
		if err != nil {
			t.Fatal(err)
		}
		if got := Serves(info); got != test.want {
			t.Errorf("%s: %s is served: %t", name, test.path, got)
		}
	}
}

func TestServesEveryVerb(t *testing.T) {
	t.Parallel()
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
		http.MethodOptions} {
		for path, want := range map[string]bool{"/api/v1/namespaces/default/services": true, "/api/v1/namespaces/default/pods": false} {
			info, err := resolver().NewRequestInfo(httptest.NewRequest(method, path, nil))
			if err != nil {
				t.Fatal(err)
			}
			if got := Serves(info); got != want {
				t.Errorf("%s %s is served: %t", method, path, got)
			}
		}
	}
}

// countingResolver counts how often a path is parsed.
type countingResolver struct {
	request.RequestInfoResolver
	parsed int
}

func (c *countingResolver) NewRequestInfo(req *http.Request) (*request.RequestInfo, error) {
	c.parsed++
	return c.RequestInfoResolver.NewRequestInfo(req)
}

func TestSplit(t *testing.T) {
	t.Parallel()
	counting := &countingResolver{RequestInfoResolver: resolver()}
	var took string
	take := func(who string) http.Handler {
		return http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
			took = who
			info, err := Resolved(counting).NewRequestInfo(req)
			if err != nil || info.Path != req.URL.Path {
				t.Errorf("%s: %v, %v", who, info, err)
			}
		})
	}
	split := Split(take("served"), take("forwarded"), counting)
	for path, want := range map[string]string{"/api/v1/services": "served", "/api/v1/pods": "forwarded"} {
		split.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, path, nil))
		if took != want {
			t.Errorf("%s is %s", path, took)
		}
	}
	if counting.parsed != 2 {
		t.Errorf("2 requests were parsed %d times", counting.parsed)
	}
	if _, err := Resolved(counting).NewRequestInfo(httptest.NewRequest(http.MethodGet, "/", nil)); err != nil || counting.parsed != 3 {
		t.Errorf("without an info: parsed %d times, %v", counting.parsed, err)
	}
}

// TestServesTheTable compares what is served with the table of kinds: with those of
// portolan.dev, in every group that serves them.
func TestServesTheTable(t *testing.T) {
	t.Parallel()
	stored := map[schema.GroupResource]bool{}
	for _, kind := range registry.PortolanKinds() {
		stored[kind.Resource] = true
	}
	for _, kind := range registry.Kinds() {
		for _, group := range kind.Groups {
			info := &request.RequestInfo{
				IsResourceRequest: true, APIGroup: group.Group, APIVersion: group.Version, Resource: kind.Resource.Resource,
			}
			if got, want := Serves(info), stored[kind.Resource]; got != want {
				t.Errorf("%s of %s is served: %t", kind.Resource.Resource, group.GroupVersion, got)
			}
		}
	}
}
