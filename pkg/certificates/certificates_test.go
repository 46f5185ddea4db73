package certificates

import (
	"crypto/x509"
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestPairAsText(t *testing.T) {
	t.Parallel()
	ca := authority(t, epoch)
	leaf := issue(t, ca, epoch, "a.example")
	cert, key, err := leaf.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if read, err := Parse(cert, key); err != nil || !read.Cert.Equal(leaf.Cert) || read.Key == nil {
		t.Errorf("read %v, %v", read, err)
	}
	_, others, err := ca.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Parse(cert, others); !errors.Is(err, ErrMismatch) {
		t.Errorf("another key: %v", err)
	}
	for want, pair := range map[string][2][]byte{
		"certificate: ": {[]byte("garbage"), key},
		"key: ":         {cert, []byte("garbage")},
	} {
		if _, err := Parse(pair[0], pair[1]); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestBundleAsText(t *testing.T) {
	t.Parallel()
	b := Bundle{Pair{Cert: authority(t, epoch).Cert}, authority(t, epoch.Add(day)), authority(t, epoch.Add(2*day))}
	keys, err := b.Keys()
	if err != nil {
		t.Fatal(err)
	}
	mixed := EncodeCerts(b[2].Cert, b[0].Cert, b[1].Cert, b[0].Cert)
	read, err := ParseBundle(mixed, keys)
	same := func(x, y Pair) bool { return x.Cert.Equal(y.Cert) && (x.Key == nil) == (y.Key == nil) }
	if err != nil || !slices.EqualFunc(read, b, same) {
		t.Errorf("read %v, %v", read, err)
	}
	leaf := issue(t, b[1], epoch.Add(day), "a.example")
	if issuer := b.Issuer(leaf.Cert); issuer == nil || !issuer.Equal(b[1].Cert) {
		t.Errorf("issued by %v", issuer)
	}
	for name, test := range map[string]struct {
		certs, keys []byte
		want        string
	}{
		"no certificate":   {nil, keys, "certificate: "},
		"garbage":          {[]byte("garbage"), keys, "certificate: "},
		"not an authority": {EncodeCerts(leaf.Cert), keys, "is not an authority's"},
		"no key":           {mixed, nil, "key: there is none"},
		"invalid keys":     {mixed, []byte("-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n"), "key: "},
		"another's key":    {EncodeCerts(b[1].Cert), keys, ErrMismatch.Error()},
	} {
		if _, err := ParseBundle(test.certs, test.keys); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
	}
}

func TestCovers(t *testing.T) {
	t.Parallel()
	template := func(hosts ...string) *x509.Certificate {
		c := *wanted
		SetHosts(&c, hosts...)
		return &c
	}
	leaf := issue(t, authority(t, epoch), epoch, "*.a.example", "b.example", "127.0.0.1", "::1")
	for name, test := range map[string]struct {
		asked *x509.Certificate
		want  bool
	}{
		"all of it":      {template("*.a.example", "b.example", "127.0.0.1", "::1"), true},
		"less":           {template("b.example"), true},
		"another form":   {template("0:0:0:0:0:0:0:1", "::ffff:127.0.0.1"), true},
		"another name":   {template("c.a.example"), false},
		"another IP":     {template("127.0.0.2"), false},
		"another usage":  {&x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, false},
		"nothing at all": {&x509.Certificate{}, true},
	} {
		if got := Covers(leaf.Cert, test.asked); got != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
