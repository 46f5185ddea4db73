package serviceaccount

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"gopkg.in/go-jose/go-jose.v2"
	"gopkg.in/go-jose/go-jose.v2/jwt"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	tokenjwt "k8s.io/apiserver/pkg/authentication/token/jwt"
)

// Resources that tokens name objects of.
const (
	accounts = "serviceaccounts"
	pods     = "pods"
	secrets  = "secrets"
	nodes    = "nodes"
)

// Getter reads an object of one of the resources serviceaccounts, pods, secrets and nodes of
// core v1. Its errors are API errors.
type Getter func(ctx context.Context, resource, namespace, name string) (metav1.Object, error)

// Authenticator authenticates the bearers of an issuer's tokens.
type Authenticator struct {
	issuer *Issuer
	get    Getter
	now    func() time.Time
}

var _ authenticator.Token = &Authenticator{}

// NewAuthenticator returns an authenticator for the tokens of an issuer.
func NewAuthenticator(issuer *Issuer, get Getter, now func() time.Time) *Authenticator {
	return &Authenticator{issuer: issuer, get: get, now: now}
}

// AuthenticateToken implements authenticator.Token. It is false without an error for
// what another authenticator may know.
func (a *Authenticator) AuthenticateToken(ctx context.Context, token string) (*authenticator.Response, bool, error) {
	if !a.issuer.named(token) {
		return nil, false, nil
	}
	parsed, err := jwt.ParseSigned(token)
	if err != nil {
		return nil, false, err
	}
	verified, err := a.issuer.verify(parsed)
	if err != nil {
		return nil, false, err
	}
	wanted, ok := authenticator.AudiencesFrom(ctx)
	if !ok {
		wanted = a.issuer.Audiences()
	}
	audiences := authenticator.Audiences(verified.Audience).Intersect(wanted)
	if len(audiences) == 0 {
		return nil, false, fmt.Errorf("token audiences %q is invalid for the target audiences %q", verified.Audience, wanted)
	}
	info, err := a.check(ctx, verified)
	if err != nil {
		return nil, false, err
	}
	return &authenticator.Response{User: info.UserInfo(), Audiences: audiences}, true, nil
}

// named reports whether a token names the issuer. The token is not verified.
func (i *Issuer) named(token string) bool {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return false
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return false
	}
	var unverified struct {
		Issuer string `json:"iss"`
	}
	return json.Unmarshal(payload, &unverified) == nil && unverified.Issuer == i.url
}

// verify returns the claims of a token if one of the keys has signed it, with the key's
// algorithm.
func (i *Issuer) verify(token *jwt.JSONWebToken) (*claims, error) {
	if len(token.Headers) != 1 {
		return nil, errors.New("invalid signature, there must be one")
	}
	header := token.Headers[0]
	err := errors.New("invalid signature, no keys found")
	for _, key := range i.keys {
		if header.KeyID != "" && header.KeyID != key.KeyID {
			continue
		}
		if header.Algorithm != key.Algorithm {
			err = jose.ErrUnsupportedAlgorithm
			continue
		}
		verified := &claims{}
		if err = token.Claims(key.Key, verified); err != nil {
			continue
		}
		if verified.Issuer != i.url {
			return nil, fmt.Errorf("token issuer %q is invalid", verified.Issuer)
		}
		return verified, nil
	}
	return nil, err
}

// check returns the account of a token that is valid now.
func (a *Authenticator) check(ctx context.Context, token *claims) (*serviceaccount.ServiceAccountInfo, error) {
	if err := checkTime(token.Claims, a.now()); err != nil {
		return nil, err
	}
	of := token.Kubernetes
	account, err := a.read(ctx, accounts, of.Namespace, of.Account.Name)
	if err != nil {
		return nil, err
	}
	if account.GetUID() != of.Account.UID {
		return nil, fmt.Errorf("service account UID (%s) does not match claim (%s)", account.GetUID(), of.Account.UID)
	}
	if a.deleted(account) {
		return nil, fmt.Errorf("service account %s/%s has been deleted", of.Namespace, of.Account.Name)
	}
	info := &serviceaccount.ServiceAccountInfo{
		Namespace: of.Namespace, Name: of.Account.Name, UID: string(of.Account.UID), CredentialID: tokenjwt.CredentialIDForJTI(token.ID),
	}
	if of.Secret != nil {
		if err := a.checkBound(ctx, secrets, of.Namespace, of.Secret); err != nil {
			return nil, err
		}
	}
	if of.Pod != nil {
		if err := a.checkBound(ctx, pods, of.Namespace, of.Pod); err != nil {
			return nil, err
		}
		info.PodName, info.PodUID = of.Pod.Name, string(of.Pod.UID)
	}
	if of.Node != nil {
		if of.Pod == nil {
			if err := a.checkBound(ctx, nodes, metav1.NamespaceNone, of.Node); err != nil {
				return nil, err
			}
		}
		info.NodeName, info.NodeUID = of.Node.Name, string(of.Node.UID)
	}
	return info, nil
}

// ErrNotRead means that an object that a token names could not be read, so that nothing is
// known about the token.
var ErrNotRead = errors.New("an object that the token names could not be read")

// read reads an object. Its error is NotFound or ErrNotRead.
func (a *Authenticator) read(ctx context.Context, resource, namespace, name string) (metav1.Object, error) {
	object, err := a.get(ctx, resource, namespace, name)
	if err != nil && !apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("%w: %w", ErrNotRead, err)
	}
	return object, err
}

// checkTime returns an error for a token that is not valid at a time. The clocks may differ
// by a minute.
func checkTime(token jwt.Claims, now time.Time) error {
	err := token.Validate(jwt.Expected{Time: now})
	switch {
	case err == nil:
		return nil
	case errors.Is(err, jwt.ErrExpired):
		return errors.New("service account token has expired")
	case errors.Is(err, jwt.ErrNotValidYet):
		return errors.New("service account token is not valid yet")
	case errors.Is(err, jwt.ErrIssuedInTheFuture):
		return errors.New("service account token is issued in the future")
	}
	return fmt.Errorf("service account token claims could not be validated: %w", err)
}

// checkBound wants the object that a token is bound to.
func (a *Authenticator) checkBound(ctx context.Context, resource, namespace string, bound *Reference) error {
	object, err := a.read(ctx, resource, namespace, bound.Name)
	switch {
	case apierrors.IsNotFound(err):
		return errInvalidated
	case err != nil:
		return err
	case object.GetUID() != bound.UID:
		noun := strings.TrimSuffix(resource, "s")
		return fmt.Errorf("%s UID (%s) does not match service account %s ref claim (%s)", noun, object.GetUID(), noun, bound.UID)
	case a.deleted(object):
		return errInvalidated
	}
	return nil
}

var errInvalidated = errors.New("service account token has been invalidated")

// deleted reports whether an object is being deleted, for longer than clocks may differ.
func (a *Authenticator) deleted(object metav1.Object) bool {
	deleted := object.GetDeletionTimestamp()
	return deleted != nil && deleted.Time.Before(a.now().Add(-jwt.DefaultLeeway))
}
