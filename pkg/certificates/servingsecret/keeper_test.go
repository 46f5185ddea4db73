package servingsecret

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	testingclock "k8s.io/utils/clock/testing"

	"github.com/portolan-dev/portolan/pkg/certificates"
)

func start(t *testing.T, c *cluster) *Keeper {
	t.Helper()
	k, err := New(t.Context(), c.config(shortPolicy, testingclock.NewFakeClock(epoch)))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func serves(k *Keeper) string {
	cert, key := k.CurrentCertKeyContent()
	return string(cert) + string(key)
}

type counter int

func (c *counter) Enqueue() { *c++ }

func expectWrites(t *testing.T, c *cluster, want ...string) {
	t.Helper()
	if got := c.writes(); !slices.Equal(got, want) {
		t.Errorf("wrote %q, want %q", got, want)
	}
}

const (
	created   = "POST portolan/secrets"
	updated   = "PUT secrets/portolan-serving"
	published = "PATCH apiservices/v1.portolan.dev"
)

func TestShared(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	first := start(t, c)
	expectWrites(t, c, created, published)
	second := start(t, c)
	expectWrites(t, c)
	if serves(first) != serves(second) {
		t.Error("replicas serve different certificates")
	}
	if c.secret.Type != corev1.SecretTypeTLS || !bytes.Equal(c.caBundle(), c.secret.Data["ca.crt"]) {
		t.Errorf("a Secret of type %s, and the caBundle\n%s", c.secret.Type, c.caBundle())
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(c.caBundle())
	pair, err := certificates.Parse(first.CurrentCertKeyContent())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"portolan.portolan.svc", "portolan.portolan", "portolan", "localhost", "127.0.0.1", "::1"} {
		if _, err := pair.Cert.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: epoch, DNSName: name}); err != nil {
			t.Error(err)
		}
	}
	if !first.Authority().Equal(second.Authority()) || pair.Cert.CheckSignatureFrom(first.Authority()) != nil {
		t.Error("that is not the authority")
	}
}

// TestRaces runs a whole sync of another replica just before a write of the first.
func TestRaces(t *testing.T) {
	t.Parallel()
	for name, method := range map[string]string{"create": http.MethodPost, "update": http.MethodPut, "publish": http.MethodPatch} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t)
			clock := testingclock.NewFakeClock(epoch)
			if method == http.MethodPut {
				start(t, c)
				clock.Step(7 * day)
			}
			var other *Keeper
			c.before = func(req *http.Request) int {
				if req.Method == method && other == nil {
					other = &Keeper{config: c.config(shortPolicy, clock)}
					if err := other.RunOnce(t.Context()); err != nil {
						t.Error(err)
					}
				}
				return 0
			}
			k, err := New(t.Context(), c.config(shortPolicy, clock))
			if err != nil {
				t.Fatal(err)
			}
			if other == nil || serves(k) != serves(other) || !strings.Contains(serves(k), string(c.secret.Data["tls.crt"])) {
				t.Error("replicas serve different certificates")
			}
			if !bytes.Equal(c.caBundle(), c.secret.Data["ca.crt"]) {
				t.Error("the APIService has another bundle than the Secret")
			}
		})
	}
}

func TestDeletedSecretIsCreatedAgain(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	k := start(t, c)
	var notified counter
	k.AddListener(&notified)
	before, data := serves(k), c.secret.Data
	c.writes()
	c.secret = nil
	if err := k.RunOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
	expectWrites(t, c, created)
	if serves(k) != before || notified != 0 || !maps.EqualFunc(c.secret.Data, data, bytes.Equal) {
		t.Error("it was not created from memory")
	}

	// A Secret without contents counts as deleted.
	for _, value := range [][]byte{nil, {}} {
		c.secret = &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: secret, ResourceVersion: "7"}, Type: corev1.SecretTypeTLS,
			Data: map[string][]byte{"tls.crt": value, "tls.key": value}}
		if err := k.RunOnce(t.Context()); err != nil {
			t.Fatal(err)
		}
		expectWrites(t, c, updated)
		if serves(k) != before || notified != 0 {
			t.Error("it was not filled from memory")
		}
	}
}

func TestListenersAreNotified(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	k := start(t, c)
	var notified counter
	k.AddListener(&notified)
	before := serves(k)
	clock := testingclock.NewFakeClock(epoch.Add(7 * day))
	other, err := New(t.Context(), c.config(shortPolicy, clock))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := k.RunOnce(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if serves(k) == before || serves(k) != serves(other) || notified != 1 {
		t.Errorf("notified %d times", notified)
	}
}

func TestInvalidSecret(t *testing.T) {
	t.Parallel()
	good := newCluster(t)
	start(t, good)
	stranger := newCluster(t)
	start(t, stranger)
	for name, test := range map[string]struct {
		change map[string][]byte
		want   string
	}{
		"no key of the authority": {map[string][]byte{"ca.key": nil}, "it has no ca.key, so it isn't Portolan's"},
		"no authority":            {map[string][]byte{"ca.crt": nil}, "ca.crt and ca.key: certificate: "},
		"not PEM":                 {map[string][]byte{"tls.crt": []byte("x")}, "tls.crt and tls.key: certificate: "},
		"no key":                  {map[string][]byte{"tls.key": nil}, "tls.crt and tls.key: key: "},
		"another's key": {
			map[string][]byte{"tls.key": stranger.secret.Data["tls.key"]}, "tls.crt and tls.key: the certificate doesn't match the key",
		},
		"another authority's key": {
			map[string][]byte{"ca.key": stranger.secret.Data["ca.key"]}, "ca.crt and ca.key: the certificate doesn't match the key",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t)
			running := start(t, c)
			before, intact := serves(running), c.secret
			c.writes()
			c.secret = intact.DeepCopy()
			maps.Copy(c.secret.Data, test.change)

			_, err := New(t.Context(), c.config(shortPolicy, testingclock.NewFakeClock(epoch)))
			if err == nil || !strings.Contains(err.Error(), "secret portolan/portolan-serving: ") || !strings.Contains(err.Error(), test.want) {
				t.Errorf("at the start: %v, want %q", err, test.want)
			}
			if err := running.RunOnce(t.Context()); !errors.Is(err, errInvalidSecret) || serves(running) != before {
				t.Errorf("while running: %v", err)
			}
			expectWrites(t, c)
			c.secret = intact
			if err := running.RunOnce(t.Context()); err != nil {
				t.Errorf("when it is valid again: %v", err)
			}
		})
	}
}

func TestAPIService(t *testing.T) {
	t.Parallel()
	set := func(value any, fields ...string) func(*unstructured.Unstructured) *unstructured.Unstructured {
		return func(a *unstructured.Unstructured) *unstructured.Unstructured {
			if err := unstructured.SetNestedField(a.Object, value, fields...); err != nil {
				t.Error(err)
			}
			return a
		}
	}
	for name, test := range map[string]struct {
		change func(*unstructured.Unstructured) *unstructured.Unstructured
		want   string
		writes []string
	}{
		"no bundle":  {set("", "spec", "caBundle"), "", []string{published}},
		"another's":  {set(base64.StdEncoding.EncodeToString([]byte("x")), "spec", "caBundle"), "", []string{published}},
		"none":       {func(*unstructured.Unstructured) *unstructured.Unstructured { return nil }, "there is none", nil},
		"unverified": {set(true, "spec", "insecureSkipTLSVerify"), "it sets insecureSkipTLSVerify", nil},
		"cert-manager": {set("portolan/x", "metadata", "annotations", "cert-manager.io/inject-ca-from"),
			"its annotation cert-manager.io/inject-ca-from leaves it to cert-manager", nil},
		"another's own": {set("elsewhere", "spec", "service", "namespace"), "its Service is elsewhere/portolan, not portolan/portolan", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t)
			k := start(t, c)
			c.writes()
			c.apiService = test.change(c.apiService.DeepCopy())
			before := c.caBundle()
			for i := range 2 {
				if err := k.RunOnce(t.Context()); err != nil {
					t.Fatal(err)
				}
				if i == 0 {
					expectWrites(t, c, test.writes...)
				} else {
					expectWrites(t, c)
				}
			}
			if k.loggedReason != test.want {
				t.Errorf("not written because %q, want %q", k.loggedReason, test.want)
			}
			if want := c.secret.Data["ca.crt"]; test.want == "" && !bytes.Equal(c.caBundle(), want) ||
				test.want != "" && !bytes.Equal(c.caBundle(), before) {
				t.Errorf("the caBundle is\n%s\nthe Secret's is\n%s", c.caBundle(), want)
			}
			// The APIService is as before again.
			c.apiService = apiService("portolan", "portolan")
			if err := k.RunOnce(t.Context()); err != nil || k.loggedReason != "" {
				t.Errorf("%v, not written because %q", err, k.loggedReason)
			}
			expectWrites(t, c, published)
		})
	}
}

// TestUnpublishedAuthority makes the APIService read-only when an authority is due.
// The new authority must not sign before it is published, however long that takes.
func TestUnpublishedAuthority(t *testing.T) {
	t.Parallel()
	c, clock := newCluster(t), testingclock.NewFakeClock(epoch)
	k, err := New(t.Context(), c.config(shortPolicy, clock))
	if err != nil {
		t.Fatal(err)
	}
	first := k.Authority()
	forbidden := true
	c.before = func(req *http.Request) int {
		if forbidden && req.Method == http.MethodPatch {
			return http.StatusForbidden
		}
		return 0
	}
	for range 20 {
		clock.Step(4 * day)
		err := k.RunOnce(t.Context())
		if late := clock.Since(epoch) >= 60*day; late != (err != nil) {
			t.Errorf("after %v: %v", clock.Since(epoch), err)
		}
		if !k.Authority().Equal(first) {
			t.Fatalf("after %v another authority signs, and kube-apiserver doesn't know it", clock.Since(epoch))
		}
	}
	forbidden = false
	for range 2 {
		clock.Step(4 * day)
		if err := k.RunOnce(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if k.Authority().Equal(first) {
		t.Error("it is published, and signs nothing")
	}
}

// TestNames runs replicas that want different names, as during an update. They must
// not replace each other's certificates in turn.
func TestNames(t *testing.T) {
	t.Parallel()
	first, changes, err := material{}.renewed(shortPolicy, template("portolan", "old"), epoch, certificates.AssumePublished)
	if err != nil || len(changes) != 2 {
		t.Fatalf("%q, %v", changes, err)
	}
	second, changes, err := first.renewed(shortPolicy, template("portolan", "new"), epoch, certificates.AssumePublished)
	if err != nil || len(changes) != 1 {
		t.Fatalf("%q, %v", changes, err)
	}
	for _, service := range []string{"old", "new"} {
		_, changes, err := second.renewed(shortPolicy, template("portolan", service), epoch, certificates.AssumePublished)
		if err != nil || len(changes) > 0 {
			t.Errorf("%s: %q, %v", service, changes, err)
		}
	}
}

func TestStartWaitsForCluster(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	refusals := 2
	c.before = func(req *http.Request) int {
		if req.Method == http.MethodPost && refusals > 0 {
			refusals--
			return http.StatusForbidden
		}
		return 0
	}
	start(t, c)
	ctx, cancel := context.WithCancel(t.Context())
	c.before = func(*http.Request) int { cancel(); return http.StatusForbidden }
	if _, err := New(ctx, c.config(shortPolicy, testingclock.NewFakeClock(epoch))); err == nil ||
		!strings.Contains(err.Error(), "serving certificate: secret portolan/portolan-serving: ") {
		t.Errorf("got %v", err)
	}
}

// TestDefaultPolicy expects the last certificate that an authority signs to be renewed
// before the authority expires.
func TestDefaultPolicy(t *testing.T) {
	t.Parallel()
	if p := DefaultPolicy; p.Authority/3 <= p.Publish+p.Certificate || p.Publish <= 0 {
		t.Errorf("%+v", p)
	}
}
