package serviceaccount

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"gopkg.in/go-jose/go-jose.v2"
	"gopkg.in/go-jose/go-jose.v2/jwt"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/authentication/authenticator"
)

const issuerURL = "https://kubernetes.default.svc"

// epoch is when tokens are issued.
var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func elliptical(t testing.TB, curve elliptic.Curve) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newIssuer(t testing.TB, url string, signing crypto.Signer, trusted ...crypto.PublicKey) *Issuer {
	t.Helper()
	issuer, err := NewIssuer(url, signing, trusted...)
	if err != nil {
		t.Fatal(err)
	}
	return issuer
}

// objects are the UIDs of objects, by resource, namespace and name.
type objects map[string]*metav1.ObjectMeta

func newObjects(uids map[string]string) objects {
	made := objects{}
	for key, uid := range uids {
		made[key] = &metav1.ObjectMeta{UID: types.UID(uid)}
	}
	return made
}

func (o objects) get(_ context.Context, resource, namespace, name string) (metav1.Object, error) {
	if object, found := o[resource+"/"+namespace+"/"+name]; found {
		return object, nil
	}
	return nil, apierrors.NewNotFound(corev1.Resource(resource), name)
}

var builder = &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "builder", UID: "u1"}}

func grant() Grant {
	return Grant{Account: builder, Audiences: []string{issuerURL}, IssuedAt: epoch, Lifetime: time.Hour}
}

// TestTokens issues tokens and authenticates their bearers, after changes of what the
// tokens name.
func TestTokens(t *testing.T) {
	t.Parallel()
	signing := elliptical(t, elliptic.P256())
	issuer := newIssuer(t, issuerURL, signing)
	all := map[string]string{
		"serviceaccounts/team/builder": "u1", "pods/team/p": "u2", "secrets/team/s": "u3", "nodes//n": "u4",
	}
	without := func(key string) func(objects) { return func(o objects) { delete(o, key) } }
	anew := func(key string) func(objects) { return func(o objects) { o[key].UID = "new" } }
	deletedAt := func(key string, at time.Time) func(objects) {
		return func(o objects) { o[key].DeletionTimestamp = &metav1.Time{Time: at} }
	}
	pod, secret, node := &Reference{"p", "u2"}, &Reference{"s", "u3"}, &Reference{"n", "u4"}
	invalidated := "service account token has been invalidated"
	for name, test := range map[string]struct {
		change func(*Grant)
		store  func(objects)
		after  time.Duration
		asked  []string
		want   string
	}{
		"valid":                      {},
		"for others":                 {change: func(g *Grant) { g.Audiences = []string{"vault"} }, want: "token audiences"},
		"for others, who ask":        {change: func(g *Grant) { g.Audiences = []string{"vault", "x"} }, asked: []string{"vault"}},
		"asked by others":            {asked: []string{"vault"}, want: "token audiences"},
		"nearly expired":             {after: time.Hour},
		"expired":                    {after: time.Hour + 2*time.Minute, want: "service account token has expired"},
		"not yet valid":              {after: -2 * time.Minute, want: "service account token is not valid yet"},
		"account is gone":            {store: without("serviceaccounts/team/builder"), want: `serviceaccounts "builder" not found`},
		"another of its name":        {store: anew("serviceaccounts/team/builder"), want: "service account UID (new) does not match claim (u1)"},
		"account is just going":      {store: deletedAt("serviceaccounts/team/builder", epoch)},
		"account has been going":     {store: deletedAt("serviceaccounts/team/builder", epoch.Add(-time.Hour)), want: "has been deleted"},
		"of a Pod":                   {change: func(g *Grant) { g.Pod, g.Node = pod, node }},
		"of a Pod, without its Node": {change: func(g *Grant) { g.Pod, g.Node = pod, node }, store: without("nodes//n")},
		"of a Pod that is gone":      {change: func(g *Grant) { g.Pod = pod }, store: without("pods/team/p"), want: invalidated},
		"of an earlier Pod":          {change: func(g *Grant) { g.Pod = pod }, store: anew("pods/team/p"), want: "pod UID (new) does not match"},
		"with a Secret":              {change: func(g *Grant) { g.Secret = secret }},
		"with a Secret that is gone": {change: func(g *Grant) { g.Secret = secret }, store: without("secrets/team/s"), want: invalidated},
		"on a Node":                  {change: func(g *Grant) { g.Node = node }},
		"on a Node that is going": {
			change: func(g *Grant) { g.Node = node }, store: deletedAt("nodes//n", epoch.Add(-time.Hour)), want: invalidated,
		},
	} {
		g, stored, ctx := grant(), newObjects(all), t.Context()
		if test.change != nil {
			test.change(&g)
		}
		if test.store != nil {
			test.store(stored)
		}
		if test.asked != nil {
			ctx = authenticator.WithAudiences(ctx, test.asked)
		}
		token, id, err := issuer.Issue(g)
		if err != nil {
			t.Fatal(err)
		}
		tokens := NewAuthenticator(issuer, stored.get, func() time.Time { return epoch.Add(test.after) })
		response, ok, err := tokens.AuthenticateToken(ctx, token)
		if test.want != "" {
			if ok || err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%s: %v, %v, want %q", name, ok, err, test.want)
			}
			continue
		}
		if !ok || err != nil {
			t.Errorf("%s: %v, %v", name, ok, err)
			continue
		}
		groups := []string{"system:serviceaccounts", "system:serviceaccounts:team"}
		user := response.User
		if user.GetName() != "system:serviceaccount:team:builder" || user.GetUID() != "u1" || !slices.Equal(user.GetGroups(), groups) ||
			!slices.Equal(user.GetExtra()["authentication.kubernetes.io/credential-id"], []string{"JTI=" + id}) {
			t.Errorf("%s: %+v", name, user)
		}
		if g.Pod != nil && !slices.Equal(user.GetExtra()["authentication.kubernetes.io/pod-name"], []string{"p"}) {
			t.Errorf("%s: the Pod is not in %v", name, user.GetExtra())
		}
	}
}

// TestKeys authenticates tokens that were signed with other keys and by other issuers.
func TestKeys(t *testing.T) {
	t.Parallel()
	large, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	own, earlier, unknown := elliptical(t, elliptic.P256()), elliptical(t, elliptic.P384()), elliptical(t, elliptic.P256())
	issuer := newIssuer(t, issuerURL, own, earlier.Public(), large.Public(), own.Public())
	stored := newObjects(map[string]string{"serviceaccounts/team/builder": "u1"})
	tokens := NewAuthenticator(issuer, stored.get, func() time.Time { return epoch })
	for name, test := range map[string]struct {
		url   string
		key   crypto.Signer
		valid bool
		err   string
	}{
		"its own":         {issuerURL, own, true, ""},
		"an earlier key":  {issuerURL, earlier, true, ""},
		"an RSA key":      {issuerURL, large, true, ""},
		"an unknown key":  {issuerURL, unknown, false, "invalid signature, no keys found"},
		"another issuer":  {"https://issuer.example", own, false, ""},
		"and another key": {"https://issuer.example", unknown, false, ""},
	} {
		token, _, err := newIssuer(t, test.url, test.key).Issue(grant())
		if err != nil {
			t.Fatal(err)
		}
		_, ok, err := tokens.AuthenticateToken(t.Context(), token)
		if ok != test.valid || (err == nil) != (test.err == "") || err != nil && err.Error() != test.err {
			t.Errorf("%s: %v, %v", name, ok, err)
		}
	}
	var set jose.JSONWebKeySet
	encoded, err := issuer.Keys()
	if err != nil {
		t.Fatal(err)
	}
	private := func(k jose.JSONWebKey) bool { return !k.IsPublic() }
	if err := json.Unmarshal(encoded, &set); err != nil || len(set.Keys) != 3 || slices.ContainsFunc(set.Keys, private) {
		t.Errorf("the keys are %s, error %v", encoded, err)
	}
	description, err := issuer.Discovery("https://192.0.2.1/openid/v1/jwks")
	want := `{"issuer":"https://kubernetes.default.svc","jwks_uri":"https://192.0.2.1/openid/v1/jwks","response_types_supported":["id_token"],` +
		`"subject_types_supported":["public"],"id_token_signing_alg_values_supported":["ES256","ES384","RS256"]}`
	if string(description) != want || err != nil {
		t.Errorf("the document is %s, error %v", description, err)
	}
}

// forged returns a token with a header and claims, signed with a key.
func forged(t testing.TB, signing crypto.Signer, algorithm jose.SignatureAlgorithm, key any, change func(map[string]any)) string {
	t.Helper()
	public, err := newKey(signing.Public())
	if err != nil {
		t.Fatal(err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: jose.JSONWebKey{Key: key, KeyID: public.KeyID}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	claims := map[string]any{
		"iss": issuerURL, "sub": "system:serviceaccount:team:builder", "aud": []string{issuerURL}, "exp": epoch.Add(time.Hour).Unix(),
		"kubernetes.io": map[string]any{"namespace": "team", "serviceaccount": map[string]any{"name": "builder", "uid": "u1"}},
	}
	if change != nil {
		change(claims)
	}
	token, err := jwt.Signed(signer).Claims(claims).CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// TestForged rejects tokens that somebody without the key has made or changed, and tokens
// without the claims that are needed.
func TestForged(t *testing.T) {
	t.Parallel()
	signing := elliptical(t, elliptic.P256())
	issuer := newIssuer(t, issuerURL, signing)
	stored := newObjects(map[string]string{"serviceaccounts/team/builder": "u1"})
	tokens := NewAuthenticator(issuer, stored.get, func() time.Time { return epoch })
	genuine := forged(t, signing, jose.ES256, signing, nil)
	if _, ok, err := tokens.AuthenticateToken(t.Context(), genuine); !ok || err != nil {
		t.Fatalf("the genuine token: %v, %v", ok, err)
	}
	parts := strings.Split(genuine, ".")
	encode := base64.RawURLEncoding.EncodeToString
	public, err := newKey(signing.Public())
	if err != nil {
		t.Fatal(err)
	}
	pem, err := json.Marshal(public)
	if err != nil {
		t.Fatal(err)
	}
	other := strings.Split(forged(t, signing, jose.ES256, signing, func(c map[string]any) { c["aud"] = []string{issuerURL, "x"} }), ".")
	for name, token := range map[string]string{
		"empty": "", "dots": "..", "one part": parts[1], "no signature": parts[0] + "." + parts[1] + ".", "cut": genuine[:len(genuine)-4],
		"of another":     parts[0] + "." + other[1] + "." + parts[2],
		"no algorithm":   encode([]byte(`{"alg":"none"}`)) + "." + parts[1] + ".",
		"the public key": forged(t, signing, jose.HS256, pem, nil),
		"JSON":           `{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`,
		"another key":    forged(t, signing, jose.ES256, elliptical(t, elliptic.P256()), nil),
		"no audience":    forged(t, signing, jose.ES256, signing, func(c map[string]any) { delete(c, "aud") }),
		"no account":     forged(t, signing, jose.ES256, signing, func(c map[string]any) { delete(c, "kubernetes.io") }),
		"an empty UID": forged(t, signing, jose.ES256, signing, func(c map[string]any) {
			c["kubernetes.io"] = map[string]any{"serviceaccount": map[string]any{"name": "builder"}}
		}),
		"of a wrong type": forged(t, signing, jose.ES256, signing, func(c map[string]any) { c["kubernetes.io"] = "x" }),
		"another namespace": forged(t, signing, jose.ES256, signing, func(c map[string]any) {
			c["kubernetes.io"].(map[string]any)["namespace"] = "other"
		}),
	} {
		if response, ok, err := tokens.AuthenticateToken(t.Context(), token); ok || response != nil {
			t.Errorf("%s: %+v, %v", name, response, err)
		}
	}
}

// TestNotRead tells that an object could not be read from that it does not exist.
func TestNotRead(t *testing.T) {
	t.Parallel()
	issuer := newIssuer(t, issuerURL, elliptical(t, elliptic.P256()))
	token, _, err := issuer.Issue(grant())
	if err != nil {
		t.Fatal(err)
	}
	tokens := NewAuthenticator(issuer, func(context.Context, string, string, string) (metav1.Object, error) {
		return nil, apierrors.NewServiceUnavailable("no etcd")
	}, func() time.Time { return epoch })
	if _, ok, err := tokens.AuthenticateToken(t.Context(), token); ok || !errors.Is(err, ErrNotRead) {
		t.Errorf("%v, %v", ok, err)
	}
}

func TestIssuerURL(t *testing.T) {
	t.Parallel()
	for url, valid := range map[string]bool{
		issuerURL: true, "https://issuer.example:8443/path": true, "": false, "http://issuer.example": false, "kubernetes/serviceaccount": false,
		"https://": false, "https://issuer.example?a=b": false, "https://issuer.example#a": false, "https://a b": false,
	} {
		if err := CheckURL(url); (err == nil) != valid {
			t.Errorf("%q: %v", url, err)
		}
	}
	curve := elliptical(t, elliptic.P224())
	if _, err := NewIssuer(issuerURL, curve); err == nil {
		t.Error("a key of an unsupported curve is accepted")
	}
}

// FuzzAuthenticate wants no panic and no user for anything but a genuine token.
func FuzzAuthenticate(f *testing.F) {
	signing := elliptical(f, elliptic.P256())
	issuer := newIssuer(f, issuerURL, signing)
	stored := newObjects(map[string]string{"serviceaccounts/team/builder": "u1"})
	tokens := NewAuthenticator(issuer, stored.get, func() time.Time { return epoch })
	genuine := forged(f, signing, jose.ES256, signing, nil)
	seeds := map[string]bool{"": true, genuine: true, "..": true, genuine + ".": true, strings.ToUpper(genuine): true}
	for _, seed := range slices.Sorted(maps.Keys(seeds)) {
		f.Add(seed)
	}
	payload := strings.Split(genuine, ".")[1]
	f.Fuzz(func(t *testing.T, token string) {
		_, ok, _ := tokens.AuthenticateToken(t.Context(), token)
		// An ECDSA signature can be changed into another valid one of the same claims.
		if ok && !strings.Contains(token, "."+payload+".") {
			t.Errorf("%q is accepted", token)
		}
	})
}
