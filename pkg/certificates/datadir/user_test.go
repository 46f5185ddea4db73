package datadir

import (
	"crypto/x509"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	certutil "k8s.io/client-go/util/cert"
)

func TestUserNames(t *testing.T) {
	long := strings.Repeat("ä", maxName)
	for _, test := range []struct {
		user User
		want string
	}{
		{User{Name: "ann"}, ""},
		{User{Name: "ann", Groups: []string{"portolan:readers", "system:masters", "The People"}}, ""},
		{User{Name: "system:kube-proxy"}, ""},
		{User{Name: long, Groups: []string{long}}, ""},
		{User{}, `user "": it must not be empty`},
		{User{Name: " ann"}, `user " ann": it begins or ends with a space`},
		{User{Name: "a\nb"}, `user "a\nb": it has invalid or invisible characters`},
		{User{Name: "a\xff"}, `user "a\xff": it has invalid or invisible characters`},
		{User{Name: long + "x"}, "it is longer than the 64 characters"},
		{User{Name: "system:anonymous"}, `user "system:anonymous": it is reserved, only the server assigns it`},
		{User{Name: "system:apiserver"}, `user "system:apiserver": it is reserved, only the server assigns it`},
		{User{Name: "ann", Groups: []string{"a", ""}}, `group "": it must not be empty`},
		{User{Name: "ann", Groups: []string{"system:authenticated"}}, `group "system:authenticated": it is reserved, only the server assigns it`},
		{User{Name: "ann", Groups: []string{"a", "b", "a"}}, `group "a": it is given twice`},
	} {
		err := test.user.Validate()
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%q of %q: got %v, want %q", test.user.Name, test.user.Groups, err, test.want)
		}
	}
}

func TestAddUser(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	files := ensure(t, dir, localhost, now)
	before := contents(t, dir)
	ann := User{Name: "ann", Groups: []string{"people", "portolan:readers"}}
	for name, test := range map[string]struct {
		url, wantURL   string
		lifetime, want time.Duration
	}{
		"as the administrator":     {"", localhost.URL, time.Hour, time.Hour},
		"elsewhere":                {"https://192.0.2.7:443", "https://192.0.2.7:443", time.Hour, time.Hour},
		"longer than its signer's": {"", localhost.URL, 2 * authorityLifetime, authorityLifetime},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "ann")
			expires, err := AddUser(dir, file, test.url, ann, now, test.lifetime)
			if err != nil {
				t.Fatal(err)
			}
			if want := now.Add(test.want).UTC().Truncate(time.Second); !expires.Equal(want) {
				t.Errorf("it expires at %v, want %v", expires, want)
			}
			config, err := clientcmd.BuildConfigFromFlags("", file)
			if err != nil {
				t.Fatal(err)
			}
			if config.Host != test.wantURL {
				t.Errorf("its server is %s, want %s", config.Host, test.wantURL)
			}
			checkUser(t, files, config.CertData, ann)
			info, err := os.Stat(file)
			if err != nil {
				t.Fatal(err)
			}
			if info.Mode().Perm() != 0o600 {
				t.Errorf("its mode is %o", info.Mode().Perm())
			}
		})
	}
	checkChanged(t, before, contents(t, dir))
}

func checkUser(t *testing.T, files Files, cert []byte, want User) {
	t.Helper()
	certs, err := certutil.ParseCertsPEM(cert)
	if err != nil {
		t.Fatal(err)
	}
	pool, err := certutil.NewPool(files.CACert)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := certs[0].Verify(x509.VerifyOptions{Roots: pool, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
		t.Error(err)
	}
	if subject := certs[0].Subject; subject.CommonName != want.Name || !slices.Equal(subject.Organization, want.Groups) {
		t.Errorf("its subject is %v, want %v", subject, want)
	}
}

func TestAddUserErrors(t *testing.T) {
	now := time.Now()
	ann := User{Name: "ann"}
	for name, test := range map[string]struct {
		user   User
		damage func(dir string) error
		later  time.Duration
		want   string
	}{
		"a bad name":        {User{}, nil, 0, "must not be empty"},
		"no data directory": {ann, os.RemoveAll, 0, "is not the data directory of a standalone server, or the server has not been started yet"},
		"no server in it": {ann, func(dir string) error { return os.WriteFile(filepath.Join(dir, adminKubeconfig), nil, 0o600) }, 0,
			"has no URL of the server"},
		"no key":               {ann, func(dir string) error { return os.Remove(filepath.Join(dir, "pki/ca.key")) }, 0, "ca.key"},
		"an expired authority": {ann, nil, authorityLifetime + time.Hour, "has expired: remove"},
		"an existing file": {
			ann, func(dir string) error { return os.WriteFile(filepath.Join(dir, "ann"), []byte("x"), 0o600) }, 0, "file exists",
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			ensure(t, dir, localhost, now)
			if test.damage != nil {
				if err := test.damage(dir); err != nil {
					t.Fatal(err)
				}
			}
			file := filepath.Join(dir, "ann")
			if _, err := AddUser(dir, file, "", test.user, now.Add(test.later), time.Hour); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
			data, err := os.ReadFile(file)
			if there := name == "an existing file"; there && string(data) != "x" || !there && err == nil {
				t.Errorf("the file has %q, %v", data, err)
			}
		})
	}
}

// TestMovedServer moves the server to another port. Users' kubeconfigs must have the
// new URL, except those that were created for another URL.
func TestMovedServer(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	ensure(t, dir, localhost, now)
	const elsewhere = "https://192.0.2.7:443"
	for name, url := range map[string]string{"ann": "", "bob": elsewhere} {
		if _, err := AddUser(dir, filepath.Join(dir, name+".kubeconfig"), url, User{Name: name}, now, time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "notes.kubeconfig"), []byte("not one"), 0o600); err != nil {
		t.Fatal(err)
	}
	moved := localhost
	moved.URL = "https://127.0.0.1:7443"
	ann := filepath.Join(dir, "ann.kubeconfig")
	for i, want := range [][]string{{ann}, nil} {
		if files := ensure(t, dir, moved, now); !slices.Equal(files.Moved, want) {
			t.Errorf("start %d: moved %q, want %q", i, files.Moved, want)
		}
	}
	for name, want := range map[string]string{"admin": moved.URL, "ann": moved.URL, "bob": elsewhere} {
		config, err := clientcmd.LoadFromFile(filepath.Join(dir, name+".kubeconfig"))
		if err != nil {
			t.Fatal(err)
		}
		if got := config.Clusters["portolan"].Server; got != want {
			t.Errorf("%s has the server %s, want %s", name, got, want)
		}
		if name == "ann" && len(config.AuthInfos["ann"].ClientKeyData) == 0 {
			t.Error("the key is gone")
		}
	}
	info, err := os.Stat(ann)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}
