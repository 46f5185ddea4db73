//go:build e2e

package aggregated

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/retry"

	"github.com/portolan-dev/portolan/pkg/certificates"
	"github.com/portolan-dev/portolan/test/framework"
)

const (
	servingSecret = "portolan-serving"
	servingName   = "portolan.portolan.svc"
	day           = 24 * time.Hour
)

// serving is what the replicas' Secret holds.
type serving struct {
	authorities certificates.Bundle
	served      certificates.Pair
}

func (g *fixture) readServing(ctx context.Context) (*corev1.Secret, serving, error) {
	secret, err := g.client.CoreV1().Secrets(namespace).Get(ctx, servingSecret, metav1.GetOptions{})
	if err != nil {
		return nil, serving{}, err
	}
	authorities, err := certificates.ParseBundle(secret.Data["ca.crt"], secret.Data["ca.key"])
	if err != nil {
		return nil, serving{}, err
	}
	served, err := certificates.Parse(secret.Data["tls.crt"], secret.Data["tls.key"])
	return secret, serving{authorities, served}, err
}

// changeServing makes the Secret what time would have made of it.
func (g *fixture) changeServing(t *testing.T, change func(*serving)) {
	t.Helper()
	err := retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		secret, content, err := g.readServing(t.Context())
		if err != nil {
			return err
		}
		change(&content)
		keys, err := content.authorities.Keys()
		if err != nil {
			return err
		}
		cert, key, err := content.served.Encode()
		if err != nil {
			return err
		}
		secret.Data = map[string][]byte{"ca.crt": content.authorities.Certs(), "ca.key": keys, "tls.crt": cert, "tls.key": key}
		_, err = g.client.CoreV1().Secrets(namespace).Update(t.Context(), secret, metav1.UpdateOptions{})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// makeServingDue replaces the serving certificate with one of the oldest given
// authority that is 61 days old, of 90, and returns it. The replicas renew it.
func (g *fixture) makeServingDue(t *testing.T, given serving) *x509.Certificate {
	t.Helper()
	served := given.served.Cert
	template := x509.Certificate{
		Subject: served.Subject, DNSNames: served.DNSNames, IPAddresses: served.IPAddresses, ExtKeyUsage: served.ExtKeyUsage,
	}
	due, err := given.authorities[0].Issue(template, time.Now().Add(-61*day), 90*day)
	if err != nil {
		t.Fatal(err)
	}
	g.changeServing(t, func(content *serving) { content.served = due })
	return due.Cert
}

// awaitServing waits until the Secret is as it is to be, the APIService has its
// authorities, and every replica presents its certificate.
func (g *fixture) awaitServing(t *testing.T, what string, so func(serving) bool) {
	t.Helper()
	framework.Eventually(t, what, func(ctx context.Context) (bool, error) {
		secret, content, err := g.readServing(ctx)
		if err != nil {
			return false, err
		}
		if !so(content) {
			return false, fmt.Errorf("there are %d authorities, and the certificate is good until %s", len(content.authorities),
				content.served.Cert.NotAfter)
		}
		text, _, err := unstructured.NestedString(g.apiService(t).Object, "spec", "caBundle")
		if err != nil {
			return false, err
		}
		bundle, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return false, fmt.Errorf("the bundle of the APIService: %w", err)
		}
		if !bytes.Equal(bundle, secret.Data["ca.crt"]) {
			return false, errors.New("the APIService has another bundle")
		}
		for name, r := range g.kubelet.running() {
			presented, err := presentedBy(r.address, content.authorities)
			if err != nil {
				return false, fmt.Errorf("replica %s: %w", name, err)
			}
			if !presented.Equal(content.served.Cert) {
				return false, fmt.Errorf("replica %s presents %s", name, presented.NotAfter)
			}
		}
		return true, nil
	})
}

// presentedBy is the certificate of a replica, which must be one that those who
// trust the authorities accept.
func presentedBy(address string, authorities certificates.Bundle) (*x509.Certificate, error) {
	roots := x509.NewCertPool()
	for _, authority := range authorities {
		roots.AddCert(authority.Cert)
	}
	conn, err := tls.Dial("tcp", address+":6443", &tls.Config{RootCAs: roots, ServerName: servingName})
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0], nil
}

// testServingCertificate renews the serving certificate and its authority while
// requests come through the cluster. Of what takes years, the test writes into
// the Secret what is there by then.
func testServingCertificate(t *testing.T, g *fixture) {
	ns := g.newNamespace(t, "serving")
	w := startWriter(t, g, ns)
	w.goesOn(t, row)
	failed := w.failed.Load()
	_, first, err := g.readServing(t.Context())
	if err != nil {
		t.Fatal(err)
	}

	// A second authority was published eight days ago, another one has expired.
	second, expired := newServingAuthority(t, 8*day, 1000*day), newServingAuthority(t, 1000*day, -day)
	g.changeServing(t, func(content *serving) {
		content.authorities = content.authorities.With(certificates.Bundle{second, {Cert: expired.Cert}})
	})
	both := func(content serving) bool {
		return len(content.authorities) == 2 && content.authorities.Contains(first.authorities[0].Cert) &&
			content.authorities.Contains(second.Cert)
	}
	g.awaitServing(t, "both authorities are trusted, and not the one that has expired", both)

	g.makeServingDue(t, first)
	g.awaitServing(t, "the second authority has signed", func(content serving) bool {
		return content.served.Cert.CheckSignatureFrom(second.Cert) == nil
	})
	w.goesOn(t, row)
	if now := w.failed.Load(); now != failed {
		t.Errorf("%d of %d requests failed, the last with: %v", now-failed, w.done.Load(), *w.last.Load())
	}
	w.stop()

	// A bundle that is removed from the APIService is put back.
	_, err = g.dynamic.Resource(apiServices).Patch(t.Context(), apiServiceName, types.MergePatchType, []byte(`{"spec":{"caBundle":null}}`),
		metav1.PatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	g.awaitServing(t, "the APIService has its bundle again", both)
	g.awaitAvailable(t, "True")

	// A Secret that is deleted is made again with what the replicas hold.
	if err := g.client.CoreV1().Secrets(namespace).Delete(t.Context(), servingSecret, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	g.awaitServing(t, "the Secret is there again", func(content serving) bool {
		return content.served.Cert.CheckSignatureFrom(second.Cert) == nil
	})
}

// newServingAuthority makes an authority of some age, which is good for some
// time more.
func newServingAuthority(t *testing.T, age, left time.Duration) certificates.Pair {
	t.Helper()
	authority, err := certificates.NewAuthority("portolan-serving-ca@"+age.String(), time.Now().Add(-age), age+left)
	if err != nil {
		t.Fatal(err)
	}
	return authority
}
