//go:build e2e

package delegation

import (
	"crypto/tls"
	"encoding/json"
	"net/http"
	"path/filepath"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// presented is what a caller presents: a certificate, a token, and headers.
type presented struct {
	name    string
	groups  []string
	token   string
	front   bool
	unknown bool
	headers []string
}

// certificate is that of what is presented, nil if it has none.
func (g *ground) certificate(p presented) *tls.Certificate {
	g.t.Helper()
	switch {
	case p.unknown:
		return certificateOf(g.t, newAuthority(g.t, "unknown"), p.name)
	case p.front:
		return certificateOf(g.t, g.front, frontName)
	case p.name != "":
		return certificateOf(g.t, g.users, p.name, p.groups...)
	default:
		return nil
	}
}

// bindUsers gives users what the cluster's roles view and edit consist of. They are
// empty without kube-controller-manager.
func (g *ground) bindUsers() {
	g.t.Helper()
	for _, who := range []rbacv1.Subject{user("vera"), account("default", "viewer")} {
		g.bind("system:aggregate-to-view", who)
	}
	for _, who := range []rbacv1.Subject{user("eddie"), account("default", "editor")} {
		g.bind("system:aggregate-to-view", who)
		g.bind("system:aggregate-to-edit", who)
	}
	_, err := g.client.RbacV1().ClusterRoles().Create(g.t.Context(), &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: "poser"},
		Rules: []rbacv1.PolicyRule{{
			APIGroups: []string{""}, Resources: []string{"users"}, Verbs: []string{"impersonate"}, ResourceNames: []string{"eddie"},
		}},
	}, metav1.CreateOptions{})
	g.must(err)
	g.bind("poser", user("vera"))
}

// TestGatewayUsers has all kinds of users ask the gateway and kube-apiserver the same, of
// what is served and of what is forwarded.
func TestGatewayUsers(t *testing.T) {
	g := newGround(t)
	g.bindUsers()
	server := g.gateway(true)
	const robot = "system:serviceaccount:default:viewer"
	spoof := []string{"X-Remote-User", "root", "X-Remote-Group", "system:masters", "X-Remote-Uid", "0", "X-Remote-Extra-Scopes", "all"}
	viewer, editor, nobody := g.token("default", "viewer"), g.token("default", "editor"), g.token("default", "nobody")
	for name, p := range map[string]presented{
		"anonymous":               {},
		"anonymous, spoofed":      {headers: spoof},
		"vera":                    {name: "vera", groups: []string{"dev"}},
		"vera, spoofed":           {name: "vera", headers: spoof},
		"eddie":                   {name: "eddie"},
		"ned":                     {name: "ned"},
		"root":                    {name: "root", groups: []string{"system:masters"}},
		"a viewing token":         {token: viewer},
		"an editing token":        {token: editor},
		"a token without rights":  {token: nobody},
		"a token, spoofed":        {token: viewer, headers: spoof},
		"a bad token":             {token: "abc"},
		"vera and a token":        {name: "vera", token: editor},
		"unknown":                 {name: "root", unknown: true},
		"unknown and a token":     {name: "root", unknown: true, token: viewer},
		"vera as eddie":           {name: "vera", headers: []string{"Impersonate-User", "eddie"}},
		"vera as root":            {name: "vera", headers: []string{"Impersonate-User", "root", "Impersonate-Group", "system:masters"}},
		"eddie as vera":           {name: "eddie", headers: []string{"Impersonate-User", "vera"}},
		"a token as eddie":        {token: viewer, headers: []string{"Impersonate-User", "eddie"}},
		"anonymous as eddie":      {headers: []string{"Impersonate-User", "eddie"}},
		"root as a token":         {name: "root", groups: []string{"system:masters"}, headers: []string{"Impersonate-User", robot}},
		"the front proxy's vera":  {front: true, headers: []string{"X-Remote-User", "vera", "X-Remote-Group", "system:authenticated"}},
		"a front proxy's nobody":  {front: true},
		"a front proxy's, spoofs": {front: true, headers: []string{"X-Other-User", "root"}},
	} {
		cert := g.certificate(p)
		at := newCaller(t, server, cert, p.token, p.headers...)
		direct := newCallerAt(t, g.kube.Config.Host, filepath.Dir(g.kube.Kubeconfig), cert, p.token, p.headers...)
		for _, ask := range []struct{ method, path, body string }{
			{"GET", coreServices, ""},
			{"GET", "/api/v1/services?limit=1", ""},
			{"GET", "/api/v1/namespaces/kube-system/endpoints/none", ""},
			{"GET", "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices", ""},
			{"GET", "/apis/networking.k8s.io/v1/servicecidrs", ""},
			{"POST", coreServices + "?dryRun=All", `{"apiVersion":"v1","kind":"Service","metadata":{"name":"a"},"spec":{"ports":[{"port":80}]}}`},
			{"PATCH", coreServices + "/none/status", `{}`},
			{"DELETE", coreServices + "/none", ""},
			{"DELETE", "/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices", ""},
			{"GET", coreServices + "/none/proxy/", ""},
			{"GET", "/api/v1/namespaces/default/configmaps", ""},
			{"GET", "/api/v1/nodes", ""},
			{"POST", "/api/v1/namespaces/default/configmaps?dryRun=All", `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"}}`},
			{"GET", "/apis", ""}, {"GET", "/version", ""}, {"GET", "/openapi/v2", ""}, {"GET", "/none", ""},
			{"POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", `{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}`},
		} {
			got, want := at.do(ask.method, ask.path, ask.body), direct.do(ask.method, ask.path, ask.body)
			if got.code != want.code || messageOf(got) != messageOf(want) {
				t.Errorf("%s: %s %s: %d %s\nwithout the gateway: %d %s", name, ask.method, ask.path, got.code, messageOf(got), want.code,
					messageOf(want))
			}
		}
	}
}

// messageOf is what an answer says: the message of a Status, or the user of a review.
func messageOf(a answer) string {
	var said struct {
		Message string
		Status  json.RawMessage
		Kind    string
	}
	if err := json.Unmarshal([]byte(a.body), &said); err != nil {
		return ""
	}
	if said.Kind == "SelfSubjectReview" {
		return string(said.Status)
	}
	return said.Message
}

// TestGatewayUnpaired has no front proxy's certificate: users of certificates may use
// what is served, and are told why nothing else.
func TestGatewayUnpaired(t *testing.T) {
	g := newGround(t)
	g.bindUsers()
	server := g.gateway(false)
	vera := newCaller(t, server, certificateOf(t, g.users, "vera"), "")
	expectCode(t, "services", vera.get(coreServices), http.StatusOK)
	for _, path := range []string{"/api/v1/namespaces", "/apis", "/version"} {
		got := vera.get(path)
		expectCode(t, path, got, http.StatusUnauthorized)
		const want = `the user "vera" of a client certificate cannot be forwarded to the cluster's API server: use a bearer token instead, or ` +
			`start Portolan with --proxy-client-cert-file and --proxy-client-key-file`
		if messageOf(got) != want {
			t.Errorf("%s: %s", path, got.body)
		}
	}
	viewer := newCaller(t, server, nil, g.token("default", "viewer"))
	expectCode(t, "services, by token", viewer.get(coreServices), http.StatusOK)
	expectCode(t, "config maps, by token", viewer.get("/api/v1/namespaces/default/configmaps"), http.StatusOK)
	expectCode(t, "nobody", newCaller(t, server, nil, "").get("/version"), http.StatusOK)
}
