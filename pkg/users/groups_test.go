package users

import (
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

var served = []schema.GroupResource{
	{Resource: "services"}, {Resource: "secrets"}, {Group: "portolan.dev", Resource: "services"},
	{Group: "rbac.authorization.k8s.io", Resource: "roles"},
}

// TestScrapers expects scrapers to read metrics and nothing else.
func TestScrapers(t *testing.T) {
	groups := NewGroups(served)
	for _, test := range []struct {
		attributes authorizer.AttributesRecord
		want       authorizer.Decision
	}{
		{authorizer.AttributesRecord{Verb: "get", Path: "/metrics"}, authorizer.DecisionAllow},
		{authorizer.AttributesRecord{Verb: "get", Path: "/metrics/slis"}, authorizer.DecisionAllow},
		{authorizer.AttributesRecord{Verb: "delete", Path: "/metrics"}, authorizer.DecisionNoOpinion},
		{authorizer.AttributesRecord{Verb: "get", Path: "/debug/pprof/heap"}, authorizer.DecisionNoOpinion},
		{authorizer.AttributesRecord{Verb: "get", Path: "/apis"}, authorizer.DecisionNoOpinion},
		{authorizer.AttributesRecord{Verb: "get", Path: "/metrics", Resource: "services", ResourceRequest: true}, authorizer.DecisionNoOpinion},
		{authorizer.AttributesRecord{Verb: "list", Resource: "services", ResourceRequest: true}, authorizer.DecisionNoOpinion},
	} {
		test.attributes.User = &user.DefaultInfo{Name: "prometheus", Groups: []string{Scrapers}}
		if got, _, err := groups.Authorize(t.Context(), test.attributes); err != nil || got != test.want {
			t.Errorf("%s %s%s: %v, %v", test.attributes.Verb, test.attributes.Path, test.attributes.Resource, got, err)
		}
	}
}

func TestGroups(t *testing.T) {
	groups := NewGroups(served)
	resource := func(verb, subresource string) authorizer.AttributesRecord {
		return authorizer.AttributesRecord{
			Verb: verb, Resource: "services", Subresource: subresource, Namespace: "default", Name: "a", ResourceRequest: true,
		}
	}
	secrets := func(verb string) authorizer.AttributesRecord {
		return authorizer.AttributesRecord{Verb: verb, APIVersion: "v1", Resource: "secrets", Namespace: "default", ResourceRequest: true}
	}
	at := func(verb, path string) authorizer.AttributesRecord {
		return authorizer.AttributesRecord{Verb: verb, Path: path}
	}
	for _, test := range []struct {
		attributes       authorizer.AttributesRecord
		readers, writers bool
	}{
		{resource("get", ""), true, true},
		{resource("list", ""), true, true},
		{resource("watch", ""), true, true},
		{resource("get", "status"), true, true},
		{resource("create", ""), false, true},
		{resource("update", ""), false, true},
		{resource("patch", "status"), false, true},
		{resource("update", "finalize"), false, true},
		{resource("delete", ""), false, true},
		{resource("deletecollection", ""), false, true},
		{resource("get", "proxy"), false, false},
		{resource("create", "proxy"), false, false},
		{resource("get", "log"), false, false},
		{resource("impersonate", ""), false, false},
		{resource("*", ""), false, false},
		{secrets("get"), false, true},
		{secrets("list"), false, true},
		{secrets("watch"), false, true},
		{secrets("create"), false, true},
		{secrets("delete"), false, true},
		{secrets("impersonate"), false, false},
		{authorizer.AttributesRecord{Verb: "get", APIGroup: "rbac.authorization.k8s.io", Resource: "roles", ResourceRequest: true}, false, false},
		{at("head", "/openapi/v3"), true, true},
		{at("get", "/readyz/etcd"), true, true},
		{at("post", "/apis"), false, false},
		{at("get", "/"), false, false},
		{at("get", "/metrics"), false, false},
		{at("get", "/debug/pprof"), false, false},
		{at("get", "/apiserver"), false, false},
	} {
		for group, allowed := range map[string]bool{Readers: test.readers, Writers: test.writers, "portolan:others": false} {
			attributes := test.attributes
			attributes.User = &user.DefaultInfo{Name: "ann", Groups: []string{"people", group, user.AllAuthenticated}}
			got, _, err := groups.Authorize(t.Context(), attributes)
			want := authorizer.DecisionNoOpinion
			if allowed {
				want = authorizer.DecisionAllow
			}
			if got != want || err != nil {
				t.Errorf("%s, %s %s/%s%s: %v, %v, want %v", group, attributes.Verb, attributes.Resource, attributes.Subresource, attributes.Path, got,
					err, want)
			}
		}
	}
	// All authenticated users may find out what is served and what they may do.
	for _, path := range []string{"/api", "/apis/portolan.dev/v1", "/version", "/openapi/v3"} {
		attributes := at("get", path)
		attributes.User = &user.DefaultInfo{Name: "ann", Groups: []string{user.AllAuthenticated}}
		if got, _, err := groups.Authorize(t.Context(), attributes); got != authorizer.DecisionAllow || err != nil {
			t.Errorf("%s: %v, %v", path, got, err)
		}
	}
	if got, _, err := groups.Authorize(t.Context(), resource("get", "")); got != authorizer.DecisionNoOpinion || err != nil {
		t.Errorf("nobody: %v, %v", got, err)
	}
}
