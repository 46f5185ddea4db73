package serviceaccount

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"

	"gopkg.in/go-jose/go-jose.v2"
)

// newKey returns a public key with its algorithm and its ID. The ID is kube-apiserver's: a
// hash of the key.
func newKey(public crypto.PublicKey) (jose.JSONWebKey, error) {
	algorithm, err := algorithmOf(public)
	if err != nil {
		return jose.JSONWebKey{}, err
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return jose.JSONWebKey{}, err
	}
	sum := sha256.Sum256(der)
	id := base64.RawURLEncoding.EncodeToString(sum[:])
	return jose.JSONWebKey{Key: public, KeyID: id, Algorithm: string(algorithm), Use: "sig"}, nil
}

func algorithmOf(public crypto.PublicKey) (jose.SignatureAlgorithm, error) {
	switch key := public.(type) {
	case *rsa.PublicKey:
		return jose.RS256, nil
	case *ecdsa.PublicKey:
		switch key.Curve {
		case elliptic.P256():
			return jose.ES256, nil
		case elliptic.P384():
			return jose.ES384, nil
		case elliptic.P521():
			return jose.ES512, nil
		}
		return "", fmt.Errorf("the curve of an elliptic key must be P-256, P-384 or P-521, not %s", key.Curve.Params().Name)
	}
	return "", fmt.Errorf("keys must be RSA or elliptic curve keys, not %T", public)
}

// signerFor returns what signs with a private key.
func signerFor(private crypto.Signer, key jose.JSONWebKey) (jose.Signer, error) {
	return jose.NewSigner(jose.SigningKey{
		Algorithm: jose.SignatureAlgorithm(key.Algorithm),
		Key:       jose.JSONWebKey{Algorithm: key.Algorithm, Key: private, KeyID: key.KeyID, Use: key.Use},
	}, nil)
}
