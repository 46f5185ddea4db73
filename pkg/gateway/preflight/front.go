package preflight

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	certutil "k8s.io/client-go/util/cert"
)

// kube-apiserver publishes whom it accepts as a front proxy
// (pkg/controlplane/controller/clusterauthenticationtrust).
const (
	authenticationConfigMap = "extension-apiserver-authentication"
	authoritiesKey          = "requestheader-client-ca-file"
	namesKey                = "requestheader-allowed-names"
)

// explain returns why kube-apiserver does not accept the front proxy's certificate, and
// what to do.
func (c Config) explain(ctx context.Context) string {
	const advice = "name the pair that kube-apiserver has as --proxy-client-cert-file and --proxy-client-key-file"
	published, err := c.Client.CoreV1().ConfigMaps(metav1.NamespaceSystem).Get(ctx, authenticationConfigMap, metav1.GetOptions{})
	if err != nil {
		return advice
	}
	data, err := os.ReadFile(c.CertFile)
	if err != nil {
		return err.Error()
	}
	chain, err := certutil.ParseCertsPEM(data)
	if err != nil {
		return err.Error()
	}
	reason := rejection(chain, published.Data)
	if reason == "" {
		return advice
	}
	return reason + ": " + advice
}

// rejection returns what about a certificate does not match what kube-apiserver publishes.
func rejection(chain []*x509.Certificate, published map[string]string) string {
	authorities, err := certutil.NewPoolFromBytes([]byte(published[authoritiesKey]))
	if err != nil {
		return "kube-apiserver has no --requestheader-client-ca-file and accepts no front proxy"
	}
	between := x509.NewCertPool()
	for _, cert := range chain[1:] {
		between.AddCert(cert)
	}
	leaf := chain[0]
	if _, err := leaf.Verify(x509.VerifyOptions{
		Roots: authorities, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}); err != nil {
		return fmt.Sprintf("its issuer %q is not in kube-apiserver's --requestheader-client-ca-file, or it is not valid (%v)",
			leaf.Issuer.CommonName, err)
	}
	var names []string
	if err := json.Unmarshal([]byte(published[namesKey]), &names); err != nil || len(names) == 0 {
		return ""
	}
	if !slices.Contains(names, leaf.Subject.CommonName) {
		return fmt.Sprintf("its common name %q is not among kube-apiserver's --requestheader-allowed-names (%s)", leaf.Subject.CommonName,
			strings.Join(names, ", "))
	}
	return ""
}
