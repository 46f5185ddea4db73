package serviceaccount

import (
	"crypto"
	"fmt"
	"net/url"
	"time"

	"gopkg.in/go-jose/go-jose.v2"
	"gopkg.in/go-jose/go-jose.v2/jwt"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
)

// Issuer issues tokens.
type Issuer struct {
	url    string
	signer jose.Signer
	// keys are the public keys of valid tokens.
	keys []jose.JSONWebKey
}

// NewIssuer returns an issuer that signs with a key. Its tokens name it by a URL. Tokens
// that were signed with the trusted keys, and name the same URL, are valid too.
func NewIssuer(issuer string, signing crypto.Signer, trusted ...crypto.PublicKey) (*Issuer, error) {
	if err := CheckURL(issuer); err != nil {
		return nil, err
	}
	i := &Issuer{url: issuer}
	known := map[string]bool{}
	for _, public := range append([]crypto.PublicKey{signing.Public()}, trusted...) {
		key, err := newKey(public)
		if err != nil {
			return nil, err
		}
		if !known[key.KeyID] {
			i.keys, known[key.KeyID] = append(i.keys, key), true
		}
	}
	var err error
	i.signer, err = signerFor(signing, i.keys[0])
	return i, err
}

// CheckURL returns an error for what cannot be the URL of an issuer.
func CheckURL(issuer string) error {
	parsed, err := url.Parse(issuer)
	switch {
	case err != nil:
		return fmt.Errorf("the URL of an issuer: %w", err)
	case parsed.Scheme != "https" || parsed.Host == "":
		return fmt.Errorf("the URL of an issuer must be like https://kubernetes.default.svc, not %q", issuer)
	case parsed.RawQuery != "" || parsed.Fragment != "":
		return fmt.Errorf("the URL of an issuer must have no query and no fragment: %q", issuer)
	}
	return nil
}

// Audiences returns the audiences of tokens for the API server itself, which are the
// default.
func (i *Issuer) Audiences() authenticator.Audiences { return authenticator.Audiences{i.url} }

// Reference names an object.
type Reference struct {
	Name string    `json:"name,omitempty"`
	UID  types.UID `json:"uid,omitempty"`
}

// ReferenceTo returns a reference to an object.
func ReferenceTo(object metav1.Object) *Reference {
	return &Reference{Name: object.GetName(), UID: object.GetUID()}
}

// Grant says what a token is for.
type Grant struct {
	Account   *corev1.ServiceAccount
	Audiences []string
	// IssuedAt is now, and Lifetime is how long the token is valid.
	IssuedAt time.Time
	Lifetime time.Duration
	// A token is bound to one object at most. The token of a Pod names its Node as well.
	Pod, Secret, Node *Reference
}

// claims are those of kube-apiserver's tokens.
type claims struct {
	jwt.Claims

	Kubernetes kubernetesClaims `json:"kubernetes.io"`
}

type kubernetesClaims struct {
	Namespace string     `json:"namespace,omitempty"`
	Account   Reference  `json:"serviceaccount"`
	Pod       *Reference `json:"pod,omitempty"`
	Secret    *Reference `json:"secret,omitempty"`
	Node      *Reference `json:"node,omitempty"`
}

// Issue returns a token and its ID.
func (i *Issuer) Issue(grant Grant) (token, id string, err error) {
	account := grant.Account
	id = string(uuid.NewUUID())
	token, err = jwt.Signed(i.signer).Claims(claims{
		Claims: jwt.Claims{
			Issuer: i.url, Subject: serviceaccount.MakeUsername(account.Namespace, account.Name), Audience: grant.Audiences, ID: id,
			IssuedAt: jwt.NewNumericDate(grant.IssuedAt), NotBefore: jwt.NewNumericDate(grant.IssuedAt),
			Expiry: jwt.NewNumericDate(grant.IssuedAt.Add(grant.Lifetime)),
		},
		Kubernetes: kubernetesClaims{
			Namespace: account.Namespace, Account: *ReferenceTo(account), Pod: grant.Pod, Secret: grant.Secret, Node: grant.Node,
		},
	}).CompactSerialize()
	return token, id, err
}
