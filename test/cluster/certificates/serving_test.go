//go:build e2e

package certificates

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	testingclock "k8s.io/utils/clock/testing"

	"github.com/portolan-dev/portolan/pkg/certificates"
	"github.com/portolan-dev/portolan/pkg/certificates/servingsecret"
	"github.com/portolan-dev/portolan/pkg/server/options"
	"github.com/portolan-dev/portolan/test/framework"
)

const (
	servingSecret = "portolan-serving"
	apiService    = "v1.portolan.dev"
	servingName   = "portolan.portolan.svc"
)

var servingManifests = []string{"cluster/server/serviceaccount.yaml", "cluster/server/rbac.yaml", "cluster/server/apiservice.yaml"}

func (g *fixture) keeperConfig(clock *testingclock.FakeClock, policy certificates.Policy) servingsecret.Config {
	g.Helper()
	config, err := servingsecret.NewConfig(g.as("portolan"), namespace, servingSecret, "portolan")
	g.must(err)
	config.Clock, config.Policy = clock, policy
	return config
}

// caBundle is the APIService's.
func (g *fixture) caBundle() []byte {
	g.Helper()
	object, err := g.dynamic.Resource(apiServices).Get(g.Context(), apiService, metav1.GetOptions{})
	g.must(err)
	text, _, err := unstructured.NestedString(object.Object, "spec", "caBundle")
	g.must(err)
	bundle, err := base64.StdEncoding.DecodeString(text)
	g.must(err)
	return bundle
}

// settle waits until nothing is due any more, the APIService has the Secret's
// authorities, and all keepers serve its certificate.
func (g *fixture) settle(keepers []*servingsecret.Keeper, now time.Time) {
	g.Helper()
	framework.Eventually(g, "in line", func(context.Context) (bool, error) {
		secret := g.secret(servingSecret)
		serving, err := certificates.Parse(secret.Data["tls.crt"], secret.Data["tls.key"])
		g.must(err)
		authorities, err := certificates.ParseBundle(secret.Data["ca.crt"], secret.Data["ca.key"])
		g.must(err)
		newest := authorities[len(authorities)-1].Cert
		if !now.Before(certificates.RenewAt(serving.Cert)) || !now.Before(certificates.RenewAt(newest)) ||
			now.After(authorities[0].Cert.NotAfter) {
			return false, errors.New("something is due")
		}
		if !bytes.Equal(g.caBundle(), secret.Data["ca.crt"]) {
			return false, errors.New("the APIService has another bundle")
		}
		for i, k := range keepers {
			if cert, _ := k.CurrentCertKeyContent(); !bytes.Equal(cert, secret.Data["tls.crt"]) {
				return false, fmt.Errorf("replica %d serves another certificate", i)
			}
		}
		return true, nil
	})
}

// TestReplicas has four replicas make, keep and renew a certificate together,
// with the rights of the manifests.
func TestReplicas(t *testing.T) {
	t.Parallel()
	g := newFixture(t, servingManifests...)
	clock := testingclock.NewFakeClock(time.Now())
	policy := certificates.Policy{Authority: 90 * day, Certificate: 9 * day, Publish: 2 * day}
	keepers := make([]*servingsecret.Keeper, 4)
	var all sync.WaitGroup
	for i := range keepers {
		config := g.keeperConfig(clock, policy)
		all.Go(func() {
			var err error
			if keepers[i], err = servingsecret.New(t.Context(), config); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if t.Failed() {
		t.FailNow()
	}
	g.settle(keepers, clock.Now())
	ctx, cancel := context.WithCancel(t.Context())
	defer all.Wait()
	defer cancel()
	for _, k := range keepers {
		all.Go(func() { k.Run(ctx, 1) })
	}

	before := g.secret(servingSecret)
	g.must(g.client.CoreV1().Secrets(namespace).Delete(t.Context(), servingSecret, metav1.DeleteOptions{}))
	framework.Eventually(g, "the Secret is there again", func(ctx context.Context) (bool, error) {
		secret, err := g.client.CoreV1().Secrets(namespace).Get(ctx, servingSecret, metav1.GetOptions{})
		return err == nil && secret.UID != before.UID, err
	})
	if after := g.secret(servingSecret); !maps.EqualFunc(before.Data, after.Data, bytes.Equal) {
		t.Error("the Secret was made again with something else in it")
	}
	_, err := g.dynamic.Resource(apiServices).Patch(t.Context(), apiService, types.MergePatchType, []byte(`{"spec":{"caBundle":null}}`),
		metav1.PatchOptions{})
	g.must(err)
	g.settle(keepers, clock.Now())

	g.rotate(keepers, clock)
	g.expectNoRefusal("portolan")
}

// rotate lives through two authorities. At each step what is served then is
// verified by a client that has the previous bundle.
func (g *fixture) rotate(keepers []*servingsecret.Keeper, clock *testingclock.FakeClock) {
	g.Helper()
	served, authorities := map[string]bool{}, map[string]bool{}
	for range 44 {
		known := x509.NewCertPool()
		known.AppendCertsFromPEM(g.caBundle())
		clock.Step(3 * day)
		g.settle(keepers, clock.Now())
		for i, k := range keepers {
			pair, err := certificates.Parse(k.CurrentCertKeyContent())
			g.must(err)
			if _, err := pair.Cert.Verify(x509.VerifyOptions{Roots: known, CurrentTime: clock.Now(), DNSName: servingName}); err != nil {
				g.Errorf("replica %d at %s: %v", i, clock.Now(), err)
			}
			served[pair.Cert.SerialNumber.String()] = true
			authorities[k.Authority().SerialNumber.String()] = true
		}
	}
	if len(served) < 15 || len(authorities) != 3 {
		g.Errorf("in 132 days there were %d served of %d authorities", len(served), len(authorities))
	}
}

// TestServerPresentsTheSecret runs a server that is not restarted while another
// replica renews the certificate.
func TestServerPresentsTheSecret(t *testing.T) {
	t.Parallel()
	g := newFixture(t, servingManifests...)
	clock := testingclock.NewFakeClock(time.Now())
	other, err := servingsecret.New(t.Context(), g.keeperConfig(clock, servingsecret.DefaultPolicy))
	g.must(err)
	server := framework.Start(t, func(o *options.Options) {
		o.CoreAPI.CoreAPIKubeconfigPath = g.kubeconfig("portolan")
		o.ServingSecret = namespace + "/" + servingSecret
		// It is what the test verifies the server with.
		g.must(os.MkdirAll(filepath.Join(o.DataDir, "pki"), 0o700))
		g.must(os.WriteFile(filepath.Join(o.DataDir, "pki", "ca.crt"), g.caBundle(), 0o600))
	})
	address := strings.TrimPrefix(server.Config.Host, "https://")

	// In two months it is due, and both are good.
	clock.Step(61 * day)
	presented := func() []byte {
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(g.caBundle())
		conn, err := tls.Dial("tcp", address, &tls.Config{RootCAs: roots, ServerName: servingName, Time: clock.Now})
		g.must(err)
		defer conn.Close()
		return certificates.EncodeCerts(conn.ConnectionState().PeerCertificates[0])
	}
	if first, _ := other.CurrentCertKeyContent(); !bytes.Equal(presented(), first) {
		t.Error("the server presents another certificate than the Secret's")
	}
	g.must(other.RunOnce(t.Context()))
	second, _ := other.CurrentCertKeyContent()
	if bytes.Equal(second, presented()) {
		t.Log("the server was very quick")
	}
	framework.Eventually(g, "the new certificate", func(context.Context) (bool, error) {
		return bytes.Equal(presented(), second), errors.New("the old one is presented")
	})
	g.expectNoRefusal("portolan")
}

// TestForeignSecret wants a start on a Secret of somebody else to fail at once
// with what to do about it.
func TestForeignSecret(t *testing.T) {
	t.Parallel()
	g := newFixture(t, servingManifests...)
	g.kubectl("-n", namespace, "create", "secret", "generic", servingSecret, "--from-literal=tls.crt=x")
	_, err := servingsecret.New(t.Context(), g.keeperConfig(testingclock.NewFakeClock(time.Now()), servingsecret.DefaultPolicy))
	const want = "serving certificate: secret portolan/portolan-serving: what it holds can't be used: delete it to have a new one made, or name another with --serving-secret: it has no ca.key, so it isn't Portolan's"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
