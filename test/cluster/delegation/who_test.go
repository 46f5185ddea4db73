//go:build e2e

package delegation

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/portolan-dev/portolan/pkg/certificates"
	"github.com/portolan-dev/portolan/pkg/server/options"
	"github.com/portolan-dev/portolan/test/framework"
)

// TestWho has callers of all kinds say who they are, and the audit log tell who
// the server took them for.
func TestWho(t *testing.T) {
	g := newGround(t)
	g.bind("portolan-view", user("vera"))
	g.bind("portolan-view", account("default", "robot"))
	server := g.serve(nil)
	vera, proxy := certificateOf(t, g.users, "vera"), certificateOf(t, g.front, frontName)
	robot := g.token("default", "robot")
	const asVera, asAdmin = "X-Remote-User vera", "X-Remote-User root X-Remote-Group system:masters"

	for name, test := range map[string]struct {
		cert    *tls.Certificate
		token   string
		headers string
		// user is empty where the caller remains unknown.
		user   string
		groups string
		code   int
	}{
		"nobody":                       {code: 401},
		"a certificate":                {cert: vera, user: "vera", groups: "system:authenticated", code: 200},
		"a certificate without rights": {cert: certificateOf(t, g.users, "ned"), user: "ned", groups: "system:authenticated", code: 403},
		"a certificate of the masters": {
			cert: certificateOf(t, g.users, "root", "system:masters"), user: "root", groups: "system:masters,system:authenticated", code: 200,
		},
		"a certificate of nobody's": {cert: certificateOf(t, newAuthority(t, "mallory"), "vera"), code: 401},
		"a token": {token: robot, user: "system:serviceaccount:default:robot",
			groups: "system:serviceaccounts,system:serviceaccounts:default,system:authenticated", code: 200},
		"a token without rights": {token: g.token("default", "idle"), user: "system:serviceaccount:default:idle",
			groups: "system:serviceaccounts,system:serviceaccounts:default,system:authenticated", code: 403},
		"a forged token":                {token: robot[:len(robot)-4] + "AAAA", code: 401},
		"a certificate and a bad token": {cert: vera, token: "bad", user: "vera", groups: "system:authenticated", code: 200},
		"the aggregator":                {cert: proxy, headers: asVera, user: "vera", groups: "system:authenticated", code: 200},
		"the aggregator for a master": {
			cert: proxy, headers: asAdmin, user: "root", groups: "system:masters,system:authenticated", code: 200,
		},
		"the aggregator for an account": {cert: proxy, headers: "X-Remote-User system:serviceaccount:default:idle",
			user: "system:serviceaccount:default:idle", groups: "system:authenticated", code: 403},
		"the aggregator for anonymous": {cert: proxy, headers: "X-Remote-User system:anonymous X-Remote-Group system:unauthenticated",
			user: "system:anonymous", groups: "system:unauthenticated", code: 403},
		"the aggregator for itself": {cert: proxy, code: 401},
		"headers alone":             {headers: asAdmin, code: 401},
		"headers with a token": {token: robot, headers: asAdmin, user: "system:serviceaccount:default:robot",
			groups: "system:serviceaccounts,system:serviceaccounts:default,system:authenticated", code: 200},
		"headers with a user's": {cert: vera, headers: asAdmin, user: "vera", groups: "system:authenticated", code: 200},
		"headers with a user of its name": {
			cert: certificateOf(t, g.users, frontName), headers: asAdmin, user: frontName, groups: "system:authenticated", code: 403,
		},
		"headers with another of the CA's": {cert: certificateOf(t, g.front, "mallory"), headers: asAdmin, code: 401},
		"headers with one of nobody's":     {cert: certificateOf(t, newAuthority(t, "mallory"), frontName), headers: asAdmin, code: 401},
		"the server's own authority's":     {cert: certificateOf(t, g.authority(server.DataDir), "root", "system:masters"), code: 401},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCaller(t, server, test.cert, test.token, strings.Fields(test.headers)...)
			// Twice: the second time what is remembered counts.
			for i := range 2 {
				got := c.get(services)
				if got.code != test.code {
					t.Errorf("%d: %d %s, want %d", i, got.code, got.body, test.code)
				}
				event := g.event(got)
				if event.User.Username != test.user || test.user != "" && strings.Join(event.User.Groups, ",") != test.groups {
					t.Errorf("%d: it was taken for %q of %v, want %q of %s", i, event.User.Username, event.User.Groups, test.user, test.groups)
				}
				if got := int(event.ResponseStatus.Code); got != test.code {
					t.Errorf("%d: the audit log has code %d", i, got)
				}
			}
		})
	}
}

// TestAggregatorIsNotItsUsers sends requests of many users on one connection,
// with the one certificate of the aggregation layer: none may be taken for
// another, however quickly they follow each other.
func TestAggregatorIsNotItsUsers(t *testing.T) {
	g := newGround(t)
	server := g.serve(nil)
	proxy := newCaller(t, server, certificateOf(t, g.front, frontName), "")
	const rounds = 20
	type result struct {
		user string
		got  answer
	}
	results := make(chan result)
	for i := range rounds {
		for _, who := range []struct{ user, group string }{{"root", "system:masters"}, {"ned", "people"}, {"ann", "people"}} {
			c := *proxy
			c.header = http.Header{"X-Remote-User": {who.user}, "X-Remote-Group": {who.group}, "X-Remote-Extra-Round": {fmt.Sprint(i)}}
			go func() { results <- result{who.user, c.get(services)} }()
		}
	}
	codes := map[string]map[int]int{"root": {}, "ned": {}, "ann": {}}
	for range 3 * rounds {
		r := <-results
		codes[r.user][r.got.code]++
		if event := g.event(r.got); event.User.Username != r.user {
			t.Errorf("%s was taken for %s", r.user, event.User.Username)
		}
	}
	for who, want := range map[string]int{"root": 200, "ned": 403, "ann": 403} {
		if got := codes[who]; got[want] != rounds {
			t.Errorf("%s got %v, want %d each time", who, got, want)
		}
	}
}

// TestAuthenticationIsFollowed changes how the aggregation layer proves itself
// while the server runs.
func TestAuthenticationIsFollowed(t *testing.T) {
	g := newGround(t)
	server := g.serve(nil)
	second := newAuthority(t, "second")
	proxy := newCaller(t, server, certificateOf(t, second, "second-proxy"), "", "X-Remote-User", "root", "X-Remote-Group", "system:masters")
	if got := proxy.get(services); got.code != 401 {
		t.Fatalf("unknown to the cluster: %d %s", got.code, got.body)
	}
	configMaps := g.client.CoreV1().ConfigMaps(metav1.NamespaceSystem)
	configMap, err := configMaps.Get(t.Context(), "extension-apiserver-authentication", metav1.GetOptions{})
	g.must(err)
	configMap.Data["requestheader-client-ca-file"] += string(certificates.EncodeCerts(second.Cert))
	configMap.Data["requestheader-allowed-names"] = fmt.Sprintf(`[%q,"second-proxy"]`, frontName)
	_, err = configMaps.Update(t.Context(), configMap, metav1.UpdateOptions{})
	g.must(err)
	framework.Eventually(t, "the second proxy speaks for users", func(context.Context) (bool, error) {
		return proxy.get(services).code == 200, nil
	})
}

// TestClientCAFile has an authority besides the cluster's.
func TestClientCAFile(t *testing.T) {
	g := newGround(t)
	extra := newAuthority(t, "extra")
	file := t.TempDir() + "/extra.crt"
	g.write(file, certificates.EncodeCerts(extra.Cert))
	server := g.serve(func(o *options.Options) { o.Authentication.ClientCert.ClientCA = file })
	for name, authority := range map[string]certificates.Pair{"cluster": g.users, "extra": extra} {
		root := newCaller(t, server, certificateOf(t, authority, "root", "system:masters"), "")
		if got := root.get(services); got.code != 200 {
			t.Errorf("%s: %d %s", name, got.code, got.body)
		}
	}
}
