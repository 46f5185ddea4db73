package api

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/etcd"
	"github.com/portolan-dev/portolan/pkg/server/options"
	"github.com/portolan-dev/portolan/test/framework"
)

func TestMain(m *testing.M) { framework.Main(m) }

// TestSecondStart starts a server again where one was stopped, with flags that
// say otherwise about the ranges.
func TestSecondStart(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	first := framework.Start(t, withRanges("20000-20009", "10.96.0.0/24"))
	svc, err := servicesOf(first).Create(ctx, serviceWith("web", onNodePort(0)), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	authority, err := os.ReadFile(filepath.Join(first.DataDir, "pki", "ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	kubeconfig := contents(t, first.Kubeconfig)
	_, text, err := framework.Command(t, "serve", "--data-dir="+first.DataDir, "--secure-port=1")
	if err == nil || !strings.Contains(text, first.DataDir+" is in use by another process") || contents(t, first.Kubeconfig) != kubeconfig {
		t.Errorf("a second server: %v, %s\nand the kubeconfig is\n%s", err, text, contents(t, first.Kubeconfig))
	}
	if _, text, err := framework.Command(t, "verify", "--data-dir="+first.DataDir); err == nil ||
		!strings.Contains(text, first.DataDir+" is in use by another process") {
		t.Errorf("verify beside the server: %v\n%s", err, text)
	}
	if err := first.Stop(); err != nil {
		t.Fatal(err)
	}
	if text, errors, err := framework.Command(t, "verify", "--data-dir="+first.DataDir); err != nil ||
		!strings.Contains(text, "1 Service, holding 1 address and 1 node port") {
		t.Errorf("verify of the stopped store: %v\n%s%s", err, text, errors)
	}

	second := framework.Start(t, func(o *options.Options) {
		o.DataDir = first.DataDir
		o.ClusterIPRanges, o.NodePortRanges = []string{"10.200.0.0/24", "fd00:200::/112"}, []string{"25000-25009"}
	})
	again, err := os.ReadFile(filepath.Join(first.DataDir, "pki", "ca.crt"))
	if err != nil || !bytes.Equal(authority, again) {
		t.Errorf("the certificate authority is another, error %v", err)
	}
	// The older kubeconfig has the older port but goes on being trusted.
	older := rest.CopyConfig(first.Config)
	older.Host = second.Config.Host
	transport, err := rest.TransportFor(older)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: transport}
	if status := get(t, client, http.MethodGet, older.Host+"/apis/portolan.dev/v1"); status != http.StatusOK {
		t.Errorf("the older kubeconfig gets %d", status)
	}

	found, err := servicesOf(second).Get(ctx, "web", metav1.GetOptions{})
	if err != nil || found.UID != svc.UID || found.ResourceVersion != svc.ResourceVersion ||
		!equality.Semantic.DeepEqual(found.Spec, svc.Spec) {
		t.Errorf("error %v, the Service is\n%+v\nit was\n%+v", err, found, svc)
	}
	cidrs, err := second.Client.PortolanV1().ServiceCIDRs().List(ctx, metav1.ListOptions{})
	if err != nil || len(cidrs.Items) != 1 || cidrs.Items[0].Name != v1.DefaultRangeName ||
		fmt.Sprint(cidrs.Items[0].Spec.CIDRs) != "[10.96.0.0/24]" {
		t.Errorf("error %v, the ServiceCIDRs are %+v", err, cidrs)
	}
	ranges, err := second.Client.PortolanV1().NodePortRanges().List(ctx, metav1.ListOptions{})
	if err != nil || len(ranges.Items) != 1 || ranges.Items[0].Name != v1.DefaultRangeName ||
		fmt.Sprint(ranges.Items[0].Spec.Ports) != "[20000-20009]" {
		t.Errorf("error %v, the NodePortRanges are %+v", err, ranges)
	}
	expectAllocated(t, []*framework.Server{second}, []int64{1}, 1)
	_, err = servicesOf(second).Create(ctx, serviceWith("thief", onNodePort(svc.Spec.Ports[0].NodePort)), metav1.CreateOptions{})
	expectInvalid(t, "thief", err, portTaken(svc.Spec.Ports[0].NodePort))
	if err := second.Stop(); err != nil {
		t.Fatal(err)
	}
	store, err := etcd.StartEmbedded(context.Background(), first.DataDir)
	if err != nil {
		t.Fatal(err)
	}
	framework.Verify(t, store.Client)
	if err := store.Close(); err != nil {
		t.Error(err)
	}
}

func contents(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestWhoMayDoWhat asks as nobody, as somebody and as the administrator.
func TestWhoMayDoWhat(t *testing.T) {
	t.Parallel()
	server := framework.Start(t, nil)
	pki := filepath.Join(server.DataDir, "pki")
	for _, file := range []string{server.Kubeconfig, filepath.Join(pki, "ca.key"), filepath.Join(pki, "admin.key"),
		filepath.Join(pki, "serving.key")} {
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v, error %v", file, info.Mode(), err)
		}
	}

	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(server.Config.CAData)
	as := func(certificates ...tls.Certificate) *http.Client {
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: certificates}}
		t.Cleanup(transport.CloseIdleConnections)
		return &http.Client{Transport: transport}
	}
	callers := []struct {
		name   string
		client *http.Client
		denied []int
		all    bool
	}{
		{"nobody", as(), []int{http.StatusUnauthorized, http.StatusForbidden}, false},
		{"a stranger", as(clientCertificate(t, pki, "eve", "developers")), []int{http.StatusForbidden}, false},
		{"one in no group", as(clientCertificate(t, pki, "portolan-admin")), []int{http.StatusForbidden}, false},
		{"the administrator", as(clientCertificate(t, pki, "adam", "system:masters")), nil, true},
	}
	const services = "/apis/portolan.dev/v1/namespaces/default/services"
	for _, caller := range callers {
		for _, path := range []string{"/healthz", "/livez", "/readyz"} {
			if status := get(t, caller.client, http.MethodGet, server.Config.Host+path); status != http.StatusOK {
				t.Errorf("%s gets %d from %s", caller.name, status, path)
			}
		}
		// All authenticated users may find out what is served, as in kube-apiserver.
		for _, path := range []string{"/api", "/apis", "/apis/portolan.dev/v1", "/version", "/openapi/v2", "/openapi/v3"} {
			want := http.StatusOK
			if caller.name == "nobody" {
				want = http.StatusUnauthorized
			}
			if status := get(t, caller.client, http.MethodGet, server.Config.Host+path); status != want {
				t.Errorf("%s gets %d from %s, want %d", caller.name, status, path, want)
			}
		}
		for _, request := range []struct{ method, path string }{
			{http.MethodGet, "/metrics"},
			{http.MethodGet, "/healthz/etcd"},
			{http.MethodGet, "/"},
			{http.MethodGet, services},
			{http.MethodGet, "/apis/portolan.dev/v1/servicecidrs/kubernetes"},
			{http.MethodPost, services},
			{http.MethodPut, services + "/x"},
			{http.MethodPatch, services + "/x"},
			{http.MethodDelete, services},
			{http.MethodDelete, "/apis/portolan.dev/v1/servicecidrs/kubernetes"},
		} {
			if caller.all && request.method != http.MethodGet {
				continue
			}
			status := get(t, caller.client, request.method, server.Config.Host+request.path)
			denied := status == http.StatusUnauthorized || status == http.StatusForbidden
			if denied == caller.all {
				t.Errorf("%s gets %d from %s %s", caller.name, status, request.method, request.path)
			}
			if denied && len(caller.denied) == 1 && status != caller.denied[0] {
				t.Errorf("%s gets %d from %s %s, want %d", caller.name, status, request.method, request.path, caller.denied[0])
			}
		}
	}
	if _, err := server.Client.PortolanV1().ServiceCIDRs().Get(t.Context(), v1.DefaultRangeName, metav1.GetOptions{}); err != nil {
		t.Errorf("the administrator's kubeconfig: %v", err)
	}
}

// get is a request without a body, and the status that answers it.
func get(t *testing.T, client *http.Client, method, url string) int {
	t.Helper()
	response, _ := framework.Send(t, client, method, url, nil, nil)
	return response.StatusCode
}

// clientCertificate makes a certificate of the server's own authority.
func clientCertificate(t *testing.T, pki, user string, groups ...string) tls.Certificate {
	t.Helper()
	authority, err := cert.CertsFromFile(filepath.Join(pki, "ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	authorityKey, err := keyutil.PrivateKeyFromFile(filepath.Join(pki, "ca.key"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2),
		Subject:      pkix.Name{CommonName: user, Organization: groups},
		NotBefore:    time.Now().Add(-time.Minute),
		NotAfter:     time.Now().Add(time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, authority[0], key.Public(), authorityKey)
	if err != nil {
		t.Fatal(err)
	}
	encodedKey, err := keyutil.MarshalPrivateKeyToPEM(key)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), encodedKey)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}
