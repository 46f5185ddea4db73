package users

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"

	"gopkg.in/go-jose/go-jose.v2"

	"github.com/portolan-dev/portolan/pkg/certificates"
)

// claims are those of a token.
type claims map[string]any

// issuer makes JSON Web Tokens and says on loopback what its key is, as OpenID
// Connect Discovery has it.
type issuer struct {
	url, authority string
	signer         jose.Signer
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	private := jose.JSONWebKey{Key: key, KeyID: "one", Algorithm: string(jose.ES256), Use: "sig"}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: private}, nil)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	server := httptest.NewTLSServer(mux)
	t.Cleanup(server.Close)
	answer := func(path string, value any) {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			if err := json.NewEncoder(w).Encode(value); err != nil {
				t.Error(err)
			}
		})
	}
	answer("/.well-known/openid-configuration", map[string]string{"issuer": server.URL, "jwks_uri": server.URL + "/keys"})
	answer("/keys", jose.JSONWebKeySet{Keys: []jose.JSONWebKey{private.Public()}})
	return &issuer{server.URL, string(certificates.EncodeCerts(server.Certificate())), signer}
}

// config is what an AuthenticationConfiguration says about the issuer.
func (i *issuer) config() string {
	return `- issuer:
    url: ` + i.url + `
    audiences: [portolan]
    certificateAuthority: ` + strconv.Quote(i.authority) + `
  claimValidationRules:
  - expression: claims.staff == true
    message: only staff may come
  claimMappings:
    username: {expression: '"oidc:" + claims.sub'}
    groups: {expression: 'claims.?roles.orValue([])'}
  userValidationRules:
  - expression: user.username != "oidc:mallory"
    message: mallory may not come
`
}

func (i *issuer) sign(t *testing.T, c claims) string {
	t.Helper()
	payload, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := i.signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}
