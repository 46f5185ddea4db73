package users

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gopkg.in/go-jose/go-jose.v2"
	"gopkg.in/go-jose/go-jose.v2/jwt"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/portolan-dev/portolan/pkg/server/options"
	"github.com/portolan-dev/portolan/test/framework"
)

const (
	issuerURL = "https://kubernetes.default.svc"
	builder   = "system:serviceaccount:default:builder"
)

// accounts makes ServiceAccounts and their tokens.
type accounts struct {
	*testing.T
	server *framework.Server
	// admin is the administrator's client.
	admin kubernetes.Interface
}

func newAccounts(t *testing.T, s *framework.Server) *accounts {
	t.Helper()
	return &accounts{t, s, kubernetes.NewForConfigOrDie(s.Config)}
}

func (a *accounts) create(name string) *corev1.ServiceAccount {
	a.Helper()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}
	made, err := a.admin.CoreV1().ServiceAccounts("default").Create(a.Context(), account, metav1.CreateOptions{})
	if err != nil {
		a.Fatal(err)
	}
	return made
}

func (a *accounts) token(name string, spec authenticationv1.TokenRequestSpec) string {
	a.Helper()
	answer, err := a.admin.CoreV1().ServiceAccounts("default").CreateToken(a.Context(), name, &authenticationv1.TokenRequest{Spec: spec},
		metav1.CreateOptions{})
	if err != nil {
		a.Fatal(err)
	}
	return answer.Status.Token
}

// with returns a client of a server that authenticates itself with a token.
func (a *accounts) with(s *framework.Server, token string) kubernetes.Interface {
	config := rest.AnonymousClientConfig(s.Config)
	config.BearerToken, config.QPS = token, -1
	return kubernetes.NewForConfigOrDie(config)
}

// whoami returns the caller as the server knows it.
func whoami(ctx context.Context, client kubernetes.Interface) (authenticationv1.UserInfo, error) {
	review, err := client.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		return authenticationv1.UserInfo{}, err
	}
	return review.Status.UserInfo, nil
}

// expectEnded wants the server to stop accepting a token. It is cached for a while.
func (a *accounts) expectEnded(what string, client kubernetes.Interface) {
	a.Helper()
	framework.Eventually(a, what, func(ctx context.Context) (bool, error) {
		_, err := whoami(ctx, client)
		return apierrors.IsUnauthorized(err), err
	})
}

// TestServiceAccount gives rights to a ServiceAccount, uses its token and deletes it.
func TestServiceAccount(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	a := newAccounts(t, framework.Start(t, nil))
	account := a.create("builder")
	token := a.token("builder", authenticationv1.TokenRequestSpec{})
	client := a.with(a.server, token)
	who, err := whoami(ctx, client)
	if err != nil {
		t.Fatal(err)
	}
	groups := []string{"system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated"}
	if who.Username != builder || who.UID != string(account.UID) || !slices.Equal(who.Groups, groups) {
		t.Errorf("the server knows %+v", who)
	}
	if _, err := client.CoreV1().Services("default").List(ctx, metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("without rights: %v", err)
	}
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "builder"}, RoleRef: rbacv1.RoleRef{Kind: "ClusterRole", Name: "view"},
		Subjects: []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: "builder", Namespace: "default"}},
	}
	if _, err := a.admin.RbacV1().RoleBindings("default").Create(ctx, binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	framework.Eventually(t, "the binding applies", func(ctx context.Context) (bool, error) {
		_, err := client.CoreV1().Services("default").List(ctx, metav1.ListOptions{})
		return err == nil, err
	})
	if _, err := client.CoreV1().Services("kube-system").List(ctx, metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("in another namespace: %v", err)
	}
	a.expectReviews(token)
	a.expectBound()
	for _, bad := range []string{"a.b.c", token + "x", token[:len(token)-8], strings.Replace(token, ".", "..", 1)} {
		if _, err := whoami(ctx, a.with(a.server, bad)); !apierrors.IsUnauthorized(err) {
			t.Errorf("a bad token: %v", err)
		}
	}
	if err := a.admin.CoreV1().ServiceAccounts("default").Delete(ctx, "builder", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	a.expectEnded("the token of a deleted account", client)
	a.create("builder")
	if _, err := whoami(ctx, client); !apierrors.IsUnauthorized(err) {
		t.Errorf("the token of an earlier account: %v", err)
	}
	if output := a.server.Output(); strings.Contains(output, token) {
		t.Error("the server prints a token")
	}
}

// expectBound wants a token that is bound to a Secret to end with it.
func (a *accounts) expectBound() {
	a.Helper()
	secret, err := a.admin.CoreV1().Secrets("default").Create(a.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "tie"}},
		metav1.CreateOptions{})
	if err != nil {
		a.Fatal(err)
	}
	client := a.with(a.server, a.token("builder", authenticationv1.TokenRequestSpec{
		BoundObjectRef: &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Secret", Name: secret.Name, UID: secret.UID},
	}))
	if _, err := whoami(a.Context(), client); err != nil {
		a.Errorf("a token with a Secret: %v", err)
	}
	if err := a.admin.CoreV1().Secrets("default").Delete(a.Context(), secret.Name, metav1.DeleteOptions{}); err != nil {
		a.Fatal(err)
	}
	a.expectEnded("the token of a deleted Secret", client)
}

// expectReviews has the server tell others about tokens.
func (a *accounts) expectReviews(token string) {
	a.Helper()
	vault := a.token("builder", authenticationv1.TokenRequestSpec{Audiences: []string{"vault"}})
	if _, err := whoami(a.Context(), a.with(a.server, vault)); !apierrors.IsUnauthorized(err) {
		a.Errorf("a token for others: %v", err)
	}
	for name, test := range map[string]struct {
		token     string
		audiences []string
		want      bool
	}{
		"its own":               {token, nil, true},
		"asked by others":       {token, []string{"vault"}, false},
		"for others":            {vault, nil, false},
		"asked by those others": {vault, []string{"vault", "x"}, true},
		"bad":                   {token + "x", nil, false},
	} {
		review, err := a.admin.AuthenticationV1().TokenReviews().Create(a.Context(), &authenticationv1.TokenReview{
			Spec: authenticationv1.TokenReviewSpec{Token: test.token, Audiences: test.audiences},
		}, metav1.CreateOptions{})
		if err != nil {
			a.Fatal(err)
		}
		if status := review.Status; status.Authenticated != test.want || test.want && status.User.Username != builder {
			a.Errorf("%s: %+v", name, status)
		}
	}
}

// TestDiscovery verifies a token with the documents that the server publishes.
func TestDiscovery(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	a := newAccounts(t, framework.Start(t, nil))
	a.create("builder")
	token := a.token("builder", authenticationv1.TokenRequestSpec{Audiences: []string{"vault"}})
	client := a.with(a.server, a.token("builder", authenticationv1.TokenRequestSpec{})).Discovery().RESTClient()
	description, err := client.Get().AbsPath("/.well-known/openid-configuration").DoRaw(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var document struct {
		Issuer  string `json:"issuer"`
		KeysURL string `json:"jwks_uri"`
	}
	if err := json.Unmarshal(description, &document); err != nil || document.Issuer != issuerURL ||
		document.KeysURL != a.server.Config.Host+"/openid/v1/jwks" {
		t.Errorf("the document is %s, error %v", description, err)
	}
	encoded, err := client.Get().AbsPath("/openid/v1/jwks").DoRaw(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var keys jose.JSONWebKeySet
	if err := json.Unmarshal(encoded, &keys); err != nil {
		t.Fatal(err)
	}
	parsed, err := jwt.ParseSigned(token)
	if err != nil {
		t.Fatal(err)
	}
	var claims jwt.Claims
	if err := parsed.Claims(keys.Key(parsed.Headers[0].KeyID)[0], &claims); err != nil || claims.Subject != builder {
		t.Errorf("the claims are %+v, error %v", claims, err)
	}
	for _, path := range []string{"/.well-known/openid-configuration", "/openid/v1/jwks"} {
		anonymous := kubernetes.NewForConfigOrDie(rest.AnonymousClientConfig(a.server.Config)).Discovery().RESTClient()
		if err := anonymous.Get().AbsPath(path).Do(ctx).Error(); !apierrors.IsUnauthorized(err) && !apierrors.IsForbidden(err) {
			t.Errorf("%s for anybody: %v", path, err)
		}
		if err := a.admin.Discovery().RESTClient().Post().AbsPath(path).Do(ctx).Error(); !apierrors.IsMethodNotSupported(err) {
			t.Errorf("posted to %s: %v", path, err)
		}
	}
}

// TestKeysOutliveRestarts restarts a server, and starts another one that is given its key.
func TestKeysOutliveRestarts(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	store := framework.StartEtcd(t)
	a := newAccounts(t, framework.Start(t, framework.On(store)))
	a.create("builder")
	token := a.token("builder", authenticationv1.TokenRequestSpec{})
	other := framework.Start(t, func(o *options.Options) {
		framework.On(store)(o)
		o.Users.ServiceAccountKeys = []string{filepath.Join(a.server.DataDir, "pki", "service-accounts.pub")}
	})
	if who, err := whoami(ctx, a.with(other, token)); err != nil {
		t.Errorf("at another server: %+v, %v", who, err)
	}
	stranger := newAccounts(t, other).token("builder", authenticationv1.TokenRequestSpec{})
	if _, err := whoami(ctx, a.with(a.server, stranger)); !apierrors.IsUnauthorized(err) {
		t.Errorf("a token of a server that is not trusted: %v", err)
	}
	if err := a.server.Stop(); err != nil {
		t.Fatal(err)
	}
	again := framework.Start(t, func(o *options.Options) {
		a.server.Again(t)(o)
		framework.On(store)(o)
	})
	if who, err := whoami(ctx, a.with(again, token)); err != nil {
		t.Errorf("after a restart: %+v, %v", who, err)
	}
}

// TestTokenRequests sends requests that cannot be answered with a token.
func TestTokenRequests(t *testing.T) {
	t.Parallel()
	a := newAccounts(t, framework.Start(t, nil))
	a.create("builder")
	for name, test := range map[string]struct {
		account, body string
		code          int32
		message       string
	}{
		"no account":   {"other", `{}`, 404, `serviceaccounts "other" not found`},
		"another name": {"builder", `{"metadata":{"name":"x"}}`, 422, "must match the service account name if specified"},
		"too short":    {"builder", `{"spec":{"expirationSeconds":599}}`, 422, "may not specify a duration less than 10 minutes"},
		"too long":     {"builder", `{"spec":{"expirationSeconds":4294967297}}`, 422, "may not specify a duration larger than 2^32 seconds"},
		"another UID":  {"builder", `{"metadata":{"uid":"x"}}`, 409, "does not match the UID of the service account"},
		"no Secret": {
			"builder", `{"spec":{"boundObjectRef":{"apiVersion":"v1","kind":"Secret","name":"x"}}}`, 404, `secrets "x" not found`,
		},
		"an unknown kind": {
			"builder", `{"spec":{"boundObjectRef":{"apiVersion":"v1","kind":"Service","name":"x"}}}`, 400, "cannot bind token to object of type",
		},
		"not a TokenReview": {"builder", `{"kind":"Pod","apiVersion":"v1"}`, 400, ""},
	} {
		err := a.admin.CoreV1().RESTClient().Post().Namespace("default").Resource("serviceaccounts").Name(test.account).SubResource("token").
			SetHeader("Content-Type", "application/json").Body([]byte(test.body)).Do(t.Context()).Error()
		var status apierrors.APIStatus
		if !errors.As(err, &status) || status.Status().Code != test.code || !strings.Contains(err.Error(), test.message) {
			t.Errorf("%s: got %v, want %d %s", name, err, test.code, test.message)
		}
	}
}
