//go:build e2e

package ingress

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/cert"

	"github.com/portolan-dev/portolan/test/framework"
)

const (
	secureHost = "secure.example.com"
	// secretName is known to passing.
	secretName = "host-tls"
)

// pair is a certificate of a host's own, and its key.
func pair(t *testing.T) map[string][]byte {
	t.Helper()
	certificate, key, err := cert.GenerateSelfSignedCertKey(secureHost, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return map[string][]byte{corev1.TLSCertKey: certificate, corev1.TLSPrivateKeyKey: key}
}

// encrypted has a host's requests come by TLS, with the certificate in the Secret
// that its Ingress names, and with another one once that is in there.
func encrypted(t *testing.T, g *fixture) {
	secrets := g.client.CoreV1().Secrets(namespace)
	first, second := pair(t), pair(t)
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: secretName}, Type: corev1.SecretTypeTLS, Data: first}
	secret, err := secrets.Create(t.Context(), secret, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	made := &networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{Name: "secure"}, Spec: networkingv1.IngressSpec{
		Rules: []networkingv1.IngressRule{to(secureHost, prefix("/", "hello", number(80)))},
		TLS:   []networkingv1.IngressTLS{{Hosts: []string{secureHost}, SecretName: secretName}},
	}}
	if _, err := g.client.NetworkingV1().Ingresses(namespace).Create(t.Context(), made, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	expectSecure(t, first)
	secret.Data = second
	if _, err := secrets.Update(t.Context(), secret, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	expectSecure(t, second)
	g.kubectl.Expect(g.kubectl.Run("describe", "ingress", "secure"), secretName+" terminates "+secureHost)
}

// expectSecure waits until the host answers with a certificate, by which a client
// that trusts it alone knows the host.
func expectSecure(t *testing.T, pair map[string][]byte) {
	t.Helper()
	chain, err := cert.ParseCertsPEM(pair[corev1.TLSCertKey])
	if err != nil {
		t.Fatal(err)
	}
	framework.Eventually(t, secureHost+" with its certificate", func(ctx context.Context) (bool, error) {
		leaf, body, err := askSecurely(ctx, pair[corev1.TLSCertKey])
		return err == nil && bytes.Equal(leaf.Raw, chain[0].Raw) && body == "hello", err
	})
}

// askSecurely is what the host presents and answers.
func askSecurely(ctx context.Context, trusted []byte) (*x509.Certificate, string, error) {
	pool, err := cert.NewPoolFromBytes(trusted)
	if err != nil {
		return nil, "", err
	}
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, secure)
		},
	}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+secureHost+"/", nil)
	if err != nil {
		return nil, "", err
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response.TLS.PeerCertificates[0], string(body), err
}
