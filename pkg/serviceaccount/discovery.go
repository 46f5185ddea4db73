package serviceaccount

import (
	"encoding/json"
	"slices"

	"gopkg.in/go-jose/go-jose.v2"
)

// Paths of the documents. They are kube-apiserver's.
const (
	DiscoveryPath = "/.well-known/openid-configuration"
	KeysPath      = "/openid/v1/jwks"
)

// discovery has the fields of OpenID Connect Discovery 1.0, section 3, that concern those
// who only verify tokens.
type discovery struct {
	Issuer        string   `json:"issuer"`
	KeysURL       string   `json:"jwks_uri"`
	ResponseTypes []string `json:"response_types_supported"`
	SubjectTypes  []string `json:"subject_types_supported"`
	Algorithms    []string `json:"id_token_signing_alg_values_supported"`
}

// Discovery returns the document that describes the issuer as JSON. The keys are at a URL.
func (i *Issuer) Discovery(keysURL string) ([]byte, error) {
	var algorithms []string
	for _, key := range i.keys {
		algorithms = append(algorithms, key.Algorithm)
	}
	slices.Sort(algorithms)
	return json.Marshal(discovery{
		Issuer: i.url, KeysURL: keysURL, ResponseTypes: []string{"id_token"}, SubjectTypes: []string{"public"},
		Algorithms: slices.Compact(algorithms),
	})
}

// Keys returns the public keys of valid tokens as JSON.
func (i *Issuer) Keys() ([]byte, error) { return json.Marshal(jose.JSONWebKeySet{Keys: i.keys}) }
