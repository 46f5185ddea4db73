package server

import (
	"crypto/x509"
	"net"
	"testing"
	"time"

	genericapiserver "k8s.io/apiserver/pkg/server"
	certutil "k8s.io/client-go/util/cert"
)

// TestLoopback checks that the loopback client trusts the certificate that it is shown, and
// that the server asks to be restarted when the certificate has expired.
func TestLoopback(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	now := time.Now()
	config := &genericapiserver.Config{SecureServing: &genericapiserver.SecureServingInfo{Listener: listener}}
	if err := applyLoopback(config, func() time.Time { return now }); err != nil {
		t.Fatal(err)
	}
	client := config.LoopbackClientConfig
	if client.Host != "https://"+listener.Addr().String() || client.BearerToken == "" {
		t.Errorf("the client is %v", client)
	}
	shown, _ := config.SecureServing.SNICerts[0].CurrentCertKeyContent()
	certs, err := certutil.ParseCertsPEM(shown)
	if err != nil {
		t.Fatal(err)
	}
	trusted, err := certutil.NewPoolFromBytes(client.CAData)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := certs[0].Verify(x509.VerifyOptions{DNSName: client.ServerName, Roots: trusted}); err != nil {
		t.Error(err)
	}

	check := config.LivezChecks[0]
	if err := check.Check(nil); check.Name() != "loopback-serving-certificate" || err != nil {
		t.Errorf("the check %s: %v", check.Name(), err)
	}
	now = now.Add(loopbackLifetime + time.Second)
	if err := check.Check(nil); err == nil {
		t.Error("an expired certificate passes")
	}
}
