//go:build e2e

package access

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"

	"github.com/portolan-dev/portolan/test/framework"
)

const builder = "/api/v1/namespaces/default/serviceaccounts/builder"

// issued are values that a server chooses about a token.
var issued = regexp.MustCompile(`eyJ[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*|[0-9a-f]{8}-[0-9a-f-]{27}|kid":"[A-Za-z0-9_-]*"`)

// prepareAccounts makes a ServiceAccount, and a Secret that tokens are bound to.
func prepareAccounts(t *testing.T, servers [2]*server) {
	t.Helper()
	for _, server := range servers {
		for path, body := range map[string]string{
			"/api/v1/namespaces/default/serviceaccounts": `{"metadata":{"name":"builder"}}`,
			"/api/v1/namespaces/default/secrets":         `{"metadata":{"name":"tie"}}`,
		} {
			header := http.Header{"Content-Type": {"application/json"}}
			if got := server.send(t, http.MethodPost, path, body, header); got.code != http.StatusCreated {
				t.Fatalf("%s: %d %s", server.name, got.code, got.body)
			}
		}
	}
}

// token returns a token for builder.
func (s *server) token(t *testing.T, spec string) string {
	t.Helper()
	got := s.send(t, http.MethodPost, builder+"/token", `{"spec":`+spec+`}`, http.Header{"Content-Type": {"application/json"}})
	var request authenticationv1.TokenRequest
	if err := json.Unmarshal([]byte(got.body), &request); err != nil || request.Status.Token == "" {
		t.Fatalf("%s: %d %s", s.name, got.code, got.body)
	}
	return request.Status.Token
}

// review returns what a TokenReview says about a token.
func (s *server) review(t *testing.T, token, audiences string) string {
	t.Helper()
	body := fmt.Sprintf(`{"spec":{"token":%q,"audiences":%s}}`, token, audiences)
	got := s.send(t, http.MethodPost, authentication+"tokenreviews", body, http.Header{"Content-Type": {"application/json"}})
	return fmt.Sprint(got.code, " ", issued.ReplaceAllString(chosen.ReplaceAllString(got.body, "chosen"), "issued"))
}

// TestTokens compares what the servers say about tokens, good ones and bad ones, before and
// after what the tokens name is deleted.
func TestTokens(t *testing.T) {
	servers := start(t)
	prepareAccounts(t, servers)
	specs := []string{
		`{}`, `{"audiences":["vault"]}`, `{"audiences":["vault","https://kubernetes.default.svc"]}`, `{"expirationSeconds":600}`,
		`{"boundObjectRef":{"apiVersion":"v1","kind":"Secret","name":"tie"}}`,
	}
	audiences := []string{`[]`, `["https://kubernetes.default.svc"]`, `["vault"]`, `["other","vault"]`, `["other"]`}
	var tokens [2][]string
	for i, server := range servers {
		for _, spec := range specs {
			tokens[i] = append(tokens[i], server.token(t, spec))
		}
		good := tokens[i][0]
		tokens[i] = append(tokens[i], good[:len(good)-5], "a.b.c", "a", good+"."+good)
	}
	compareReviews := func(when string) {
		t.Helper()
		for n := range tokens[0] {
			for _, asked := range audiences {
				theirs, ours := servers[0].review(t, tokens[0][n], asked), servers[1].review(t, tokens[1][n], asked)
				// kube-apiserver adds the errors of authenticators that Portolan does not have.
				if reason.ReplaceAllString(theirs, "") != reason.ReplaceAllString(ours, "") {
					t.Errorf("%s, token %d for %s: got\n%s\nwant\n%s", when, n, asked, ours, theirs)
				}
			}
		}
	}
	compareReviews("all is there")
	tied := len(specs) - 1
	for i, server := range servers {
		server.send(t, http.MethodDelete, "/api/v1/namespaces/default/secrets/tie", "", nil)
		server.awaitEnd(t, tokens[i][tied:tied+1], audiences)
	}
	compareReviews("the Secret is gone")
	for i, server := range servers {
		server.send(t, http.MethodDelete, builder, "", nil)
		server.awaitEnd(t, tokens[i], audiences)
	}
	compareReviews("the account is gone")
}

var (
	authenticated = regexp.MustCompile(`"authenticated":true`)
	reason        = regexp.MustCompile(`,?"error":"([^"\\]|\\.)*"`)
)

// awaitEnd waits until none of some tokens is valid. Both servers keep what they know of a
// token for ten seconds.
func (s *server) awaitEnd(t *testing.T, tokens, audiences []string) {
	t.Helper()
	framework.Eventually(t, "the tokens have ended at "+s.name, func(context.Context) (bool, error) {
		for _, token := range tokens {
			for _, asked := range audiences {
				if text := s.review(t, token, asked); authenticated.MatchString(text) {
					return false, fmt.Errorf("%s", text)
				}
			}
		}
		return true, nil
	})
}

// TestIssuer compares the documents about the issuer, and who may read them.
func TestIssuer(t *testing.T) {
	servers := start(t)
	for _, path := range []string{"/.well-known/openid-configuration", "/openid/v1/jwks"} {
		for _, caller := range callers {
			var answers [2]string
			for i, server := range servers {
				got := server.send(t, http.MethodGet, path, "", caller)
				answers[i] = fmt.Sprint(got.code, got.header["Content-Type"], got.header["Cache-Control"])
				if got.code == http.StatusOK {
					var fields map[string]any
					if err := json.Unmarshal([]byte(got.body), &fields); err != nil {
						t.Fatal(err)
					}
					// The key set has the same form, with other keys.
					delete(fields, "jwks_uri")
					delete(fields, "keys")
					answers[i] += fmt.Sprint(fields)
				}
			}
			if answers[0] != answers[1] {
				t.Errorf("%s %v: got %s, want %s", path, caller, answers[1], answers[0])
			}
		}
	}
}
