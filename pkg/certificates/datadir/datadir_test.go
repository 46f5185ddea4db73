package datadir

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

var localhost = Server{URL: "https://127.0.0.1:6443", IPs: []net.IP{net.IPv4(127, 0, 0, 1)}, Names: []string{"localhost"}}

func ensure(t *testing.T, dir string, server Server, now time.Time) Files {
	t.Helper()
	files, err := Ensure(dir, server, now)
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// contents returns the contents of the files in a directory by name.
func contents(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	read := map[string][]byte{}
	for _, name := range []string{"pki/ca.crt", "pki/ca.key", "pki/serving.crt", "pki/serving.key", "pki/admin.crt", "pki/admin.key",
		"pki/service-accounts.key", "pki/service-accounts.pub", "admin.kubeconfig"} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		read[name] = data
	}
	return read
}

// checkChanged expects exactly the given files to have changed.
func checkChanged(t *testing.T, before, after map[string][]byte, want ...string) {
	t.Helper()
	for name := range before {
		wanted := false
		for _, prefix := range want {
			wanted = wanted || strings.HasPrefix(name, prefix)
		}
		if changed := !bytes.Equal(before[name], after[name]); changed != wanted {
			t.Errorf("%s: changed %v, want %v", name, changed, wanted)
		}
	}
}

func TestFilesAreReused(t *testing.T) {
	dir, now := filepath.Join(t.TempDir(), "new"), time.Now()
	first := ensure(t, dir, localhost, now)
	before := contents(t, dir)
	if second := ensure(t, dir, localhost, now.Add(time.Hour)); !reflect.DeepEqual(second, first) {
		t.Errorf("got %+v, then %+v", first, second)
	}
	checkChanged(t, before, contents(t, dir))
	if err := os.Remove(first.Kubeconfig); err != nil {
		t.Fatal(err)
	}
	ensure(t, dir, localhost, now)
	checkChanged(t, before, contents(t, dir))
}

func TestNoAdministrator(t *testing.T) {
	dir := t.TempDir()
	files, err := EnsureServing(dir, localhost, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if files.Kubeconfig != "" {
		t.Errorf("there is a kubeconfig: %s", files.Kubeconfig)
	}
	if _, err := tls.LoadX509KeyPair(files.ServingCert, files.ServingKey); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"pki/admin.crt", "pki/admin.key", "admin.kubeconfig"} {
		if _, err := os.Stat(filepath.Join(dir, name)); !os.IsNotExist(err) {
			t.Errorf("%s is there: %v", name, err)
		}
	}
	// A standalone server uses the same authority.
	before, err := os.ReadFile(files.CACert)
	if err != nil {
		t.Fatal(err)
	}
	ensure(t, dir, localhost, time.Now())
	if after := contents(t, dir)["pki/ca.crt"]; !bytes.Equal(before, after) {
		t.Error("the authority was replaced")
	}
}

func TestRenewal(t *testing.T) {
	now := time.Now()
	for name, test := range map[string]struct {
		later  time.Duration
		server Server
		want   []string
	}{
		"31 days before the end": {lifetime - 31*24*time.Hour, localhost, nil},
		"29 days before the end": {lifetime - 29*24*time.Hour, localhost, []string{"pki/serving", "pki/admin", "admin.kubeconfig"}},
		"long expired":           {2 * lifetime, localhost, []string{"pki/serving", "pki/admin", "admin.kubeconfig"}},
		"another IP":             {0, Server{URL: localhost.URL, IPs: []net.IP{net.IPv4(10, 0, 0, 1)}}, []string{"pki/serving"}},
		"another name":           {0, Server{URL: localhost.URL, Names: []string{"portolan.example"}}, []string{"pki/serving"}},
		"an IPv6 address more": {
			0, Server{URL: localhost.URL, IPs: append([]net.IP{net.ParseIP("fd00::1")}, localhost.IPs...)}, []string{"pki/serving"},
		},
		"fewer":       {0, Server{URL: localhost.URL, Names: localhost.Names}, nil},
		"another URL": {0, Server{URL: "https://localhost:7443", IPs: localhost.IPs}, []string{"admin.kubeconfig"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			ensure(t, dir, localhost, now)
			before := contents(t, dir)
			ensure(t, dir, test.server, now.Add(test.later))
			checkChanged(t, before, contents(t, dir), test.want...)
		})
	}
}

func TestCertificatesOfAnotherAuthority(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	ensure(t, dir, localhost, now)
	before := contents(t, dir)
	for _, name := range []string{"pki/ca.crt", "pki/ca.key"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	ensure(t, dir, localhost, now)
	checkChanged(t, before, contents(t, dir), "pki/ca", "pki/serving.", "pki/admin", "admin.kubeconfig")
}

func TestEnsureErrors(t *testing.T) {
	now := time.Now()
	for name, test := range map[string]struct {
		damage func(dir string) error
		later  time.Duration
		want   string
	}{
		"an expired authority": {func(string) error { return nil }, authorityLifetime + time.Hour, "has expired: remove"},
		"an invalid authority": {
			func(dir string) error { return os.WriteFile(filepath.Join(dir, "pki/ca.crt"), []byte("x"), 0o600) }, 0, "ca.crt",
		},
		"an invalid key": {
			func(dir string) error { return os.WriteFile(filepath.Join(dir, "pki/serving.key"), []byte("x"), 0o600) }, 0, "serving.key",
		},
		"an invalid key of tokens": {
			func(dir string) error {
				return os.WriteFile(filepath.Join(dir, "pki/service-accounts.key"), []byte("x"), 0o600)
			}, 0,
			"service-accounts.key",
		},
		"an authority without its key": {func(dir string) error { return os.Remove(filepath.Join(dir, "pki/ca.key")) }, 0, "ca.key"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			ensure(t, dir, localhost, now)
			if err := test.damage(dir); err != nil {
				t.Fatal(err)
			}
			if _, err := Ensure(dir, localhost, now.Add(test.later)); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestModes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	files := ensure(t, dir, localhost, time.Now())
	if err := os.Chmod(files.Kubeconfig, 0o644); err != nil {
		t.Fatal(err)
	}
	ensure(t, dir, localhost, time.Now())
	for name, want := range map[string]os.FileMode{
		"pki": 0o700, "pki/ca.key": 0o600, "pki/serving.key": 0o600, "pki/admin.key": 0o600, "admin.kubeconfig": 0o600,
		"pki/service-accounts.key": 0o600,
	} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s has mode %o, want %o", name, got, want)
		}
	}
}

func TestKubeconfigWorks(t *testing.T) {
	dir := t.TempDir()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		subject := req.TLS.PeerCertificates[0].Subject
		_, _ = io.WriteString(w, subject.CommonName+" of "+strings.Join(subject.Organization, ","))
	}))
	files := ensure(t, dir, Server{URL: "https://" + server.Listener.Addr().String(), IPs: localhost.IPs}, time.Now())

	pair, err := tls.LoadX509KeyPair(files.ServingCert, files.ServingKey)
	if err != nil {
		t.Fatal(err)
	}
	authority, err := os.ReadFile(files.CACert)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(authority)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert}
	server.StartTLS()
	defer server.Close()

	// The kubeconfig is self-contained: it can be moved.
	elsewhere := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.Rename(files.Kubeconfig, elsewhere); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.BuildConfigFromFlags("", elsewhere)
	if err != nil {
		t.Fatal(err)
	}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Get(config.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(body), "portolan-admin of system:masters"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestMismatchedPairIsReplaced(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	files := ensure(t, dir, localhost, now)
	before := contents(t, dir)
	if err := os.WriteFile(files.ServingKey, before["pki/admin.key"], 0o600); err != nil {
		t.Fatal(err)
	}
	ensure(t, dir, localhost, now)
	after := contents(t, dir)
	checkChanged(t, before, after, "pki/serving")
	if _, err := tls.X509KeyPair(after["pki/serving.crt"], after["pki/serving.key"]); err != nil {
		t.Error(err)
	}
}
