package server

import (
	"crypto/x509"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/portolan-dev/portolan/pkg/certificates"
)

func authorityOf(t *testing.T, name string) certificates.Pair {
	t.Helper()
	pair, err := certificates.NewAuthority(name, time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// TestPodTrust has certificates of the cluster's authority and of another one, for some of
// the names.
func TestPodTrust(t *testing.T) {
	cluster, other := authorityOf(t, "cluster"), authorityOf(t, "other")
	roots := x509.NewCertPool()
	roots.AddCert(cluster.Cert)
	issue := func(authority certificates.Pair, ip string, names ...string) []*x509.Certificate {
		pair, err := authority.Issue(x509.Certificate{
			DNSNames: names, IPAddresses: []net.IP{net.ParseIP(ip)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		}, time.Now(), time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		return []*x509.Certificate{pair.Cert}
	}
	const address = "10.96.0.1"
	for name, test := range map[string]struct {
		roots  *x509.CertPool
		chains [][]*x509.Certificate
		want   string
	}{
		"all of it": {roots, [][]*x509.Certificate{issue(cluster, address, kubernetesNames...)}, ""},
		"names in another": {roots, [][]*x509.Certificate{
			issue(cluster, address, "gateway"), issue(cluster, "192.0.2.1", kubernetesNames...),
		}, ""},
		"another address": {
			roots, [][]*x509.Certificate{issue(cluster, "10.97.0.1", kubernetesNames...)}, "the serving certificate is not for 10.96.0.1",
		},
		"the address in another": {
			roots, [][]*x509.Certificate{issue(cluster, "192.0.2.1", kubernetesNames...), issue(cluster, address)},
			"the serving certificate is not for 10.96.0.1",
		},
		"no names": {roots, [][]*x509.Certificate{issue(cluster, address, "kubernetes")},
			"the serving certificate is not for kubernetes.default, kubernetes.default.svc"},
		"another authority": {
			roots, [][]*x509.Certificate{issue(other, address, kubernetesNames...)},
			"the cluster's authority has not signed the serving certificate: ",
		},
		"an unknown cluster": {nil, [][]*x509.Certificate{issue(other, address, kubernetesNames...)}, ""},
	} {
		got := podTrust{roots: test.roots}.problem(address, test.chains)
		if !strings.HasPrefix(got, test.want) || (got == "") != (test.want == "") {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}
