package users

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/portolan-dev/portolan/pkg/server/options"
	"github.com/portolan-dev/portolan/pkg/users"
	"github.com/portolan-dev/portolan/test/framework"
)

func writeFile(t *testing.T, file, content string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// caller asks a server with a token, or with none.
type caller struct {
	t      *testing.T
	server *framework.Server
	token  string
}

// get is the code of the answer to a GET.
func (c caller) get(path string) int {
	c.t.Helper()
	client := clientOf(c.t, c.server.As(&rest.Config{BearerToken: c.token}))
	return code(c.t, client.Discovery().RESTClient().Get().AbsPath(path).Do(c.t.Context()).Error())
}

// list and create are the codes of the answers to a list and to a create that
// writes nothing.
func (c caller) list() int {
	c.t.Helper()
	return c.get("/apis/portolan.dev/v1/namespaces/default/services")
}

func (c caller) create() int {
	c.t.Helper()
	client := clientOf(c.t, c.server.As(&rest.Config{BearerToken: c.token}))
	_, err := client.PortolanV1().Services("default").Create(c.t.Context(), service("new"),
		metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	return code(c.t, err)
}

func TestTokenFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "tokens.csv")
	writeFile(t, file, fmt.Sprintf("ann-token,ann,1,\"people,%s\"\nwill-token,will,2,%s\nned-token,ned,3\nroot-token,root,4,system:masters\n",
		users.Readers, users.Writers))
	s := framework.Start(t, func(o *options.Options) { o.Users.TokenAuthFile = file })
	for name, test := range map[string]struct {
		token                string
		list, create, health int
	}{
		"a reader": {"ann-token", 200, 403, 200},
		"a writer": {"will-token", 200, 200, 200},
		"of none":  {"ned-token", 403, 403, 200},
		"a master": {"root-token", 200, 200, 200},
		"unknown":  {"other", 401, 401, 401},
		"nobody":   {"", 401, 401, 200},
	} {
		t.Run(name, func(t *testing.T) {
			c := caller{t, s, test.token}
			for range 2 {
				if list, create, health := c.list(), c.create(), c.get("/readyz"); list != test.list || create != test.create || health != test.health {
					t.Errorf("list %d, create %d, health %d, want %d, %d and %d", list, create, health, test.list, test.create, test.health)
				}
			}
		})
	}
	client, err := kubernetes.NewForConfig(s.Config)
	if err != nil {
		t.Fatal(err)
	}
	for token, want := range map[string]authenticationv1.TokenReviewStatus{
		"ann-token": {Authenticated: true, User: authenticationv1.UserInfo{
			Username: "ann", UID: "1", Groups: []string{"people", users.Readers, "system:authenticated"},
		}, Audiences: []string{issuerURL}},
		"other": {Error: "invalid bearer token"},
	} {
		review, err := client.AuthenticationV1().TokenReviews().Create(t.Context(),
			&authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token}}, metav1.CreateOptions{})
		if err != nil || !equality.Semantic.DeepEqual(review.Status, want) {
			t.Errorf("%s: got %+v, %v, want %+v", token, review.Status, err, want)
		}
	}
	// Certificates count beside tokens.
	if _, err := s.Client.PortolanV1().Services("default").List(t.Context(), metav1.ListOptions{}); err != nil {
		t.Error(err)
	}
}

func authentication(jwt ...string) string {
	return "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\n" +
		"anonymous: {enabled: true, conditions: [{path: /readyz}, {path: /version}]}\njwt:\n" + strings.Join(jwt, "")
}

// TestJWT has issuers whose tokens are accepted as a configuration says, which
// changes.
func TestJWT(t *testing.T) {
	t.Parallel()
	first, second := newIssuer(t), newIssuer(t)
	file := filepath.Join(t.TempDir(), "authentication.yaml")
	writeFile(t, file, authentication(first.config()))
	s := framework.Start(t, func(o *options.Options) { o.Users.AuthenticationConfig = file })
	by := func(i *issuer, change func(claims)) caller {
		c := claims{
			"iss": i.url, "aud": "portolan", "sub": "ann", "roles": []string{users.Readers}, "staff": true, "exp": time.Now().Add(time.Hour).Unix(),
		}
		if change != nil {
			change(c)
		}
		return caller{t, s, i.sign(t, c)}
	}
	ann := by(first, nil)
	framework.Await(t, "the first issuer's keys are known", func(context.Context) (bool, error) { return ann.list() == 200, nil })

	for name, test := range map[string]struct {
		change       func(claims)
		list, create int
	}{
		"a reader":            {nil, 200, 403},
		"a writer":            {func(c claims) { c["roles"] = []string{"people", users.Writers} }, 200, 200},
		"of no group":         {func(c claims) { delete(c, "roles") }, 403, 403},
		"another audience":    {func(c claims) { c["aud"] = "other" }, 401, 401},
		"another issuer":      {func(c claims) { c["iss"] = "https://issuer.example.com" }, 401, 401},
		"expired":             {func(c claims) { c["exp"] = time.Now().Add(-time.Hour).Unix() }, 401, 401},
		"a rule about claims": {func(c claims) { c["staff"] = false }, 401, 401},
		"a rule about users":  {func(c claims) { c["sub"] = "mallory" }, 401, 401},
	} {
		t.Run(name, func(t *testing.T) {
			c := by(first, test.change)
			c.t = t
			if list, create := c.list(), c.create(); list != test.list || create != test.create {
				t.Errorf("list %d, create %d, want %d and %d", list, create, test.list, test.create)
			}
		})
	}
	// All callers that may be anonymous may read the version, as in kube-apiserver.
	nobody := caller{t, s, ""}
	for path, want := range map[string]int{"/readyz": 200, "/version": 200, "/livez": 401, "/apis": 401} {
		if got := nobody.get(path); got != want {
			t.Errorf("nobody at %s: %d, want %d", path, got, want)
		}
	}

	bea := by(second, func(c claims) { c["sub"] = "bea" })
	if got := bea.list(); got != 401 {
		t.Errorf("an issuer that isn't configured: %d", got)
	}
	// What is wrong changes nothing: the token is one that isn't remembered.
	writeFile(t, file, authentication("- {}\n"))
	if got := by(first, func(c claims) { c["sub"] = "cid" }).list(); got != 200 {
		t.Errorf("after a change that is wrong: %d", got)
	}
	writeFile(t, file, authentication(second.config()))
	framework.Await(t, "the second issuer is known", func(context.Context) (bool, error) { return bea.list() == 200, nil })
	if got := by(first, func(c claims) { c["sub"] = "dan" }).list(); got != 401 {
		t.Errorf("an issuer that was taken away: %d", got)
	}
}
