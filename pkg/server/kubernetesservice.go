package server

import (
	"context"
	"crypto/x509"
	"fmt"
	"strings"
	"sync/atomic"

	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	certutil "k8s.io/client-go/util/cert"
	"k8s.io/klog/v2"

	"github.com/portolan-dev/portolan/pkg/server/options"
	"github.com/portolan-dev/portolan/pkg/standalone/kubernetesservice"
)

// kubernetesNames are the names at which clients in Pods find the API server, besides its
// address. They are those of kube-apiserver's certificate (pkg/controlplane).
var kubernetesNames = []string{"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"}

// requiredNames are those of kubernetesNames that clients use. The domain of a cluster
// need not be cluster.local.
var requiredNames = kubernetesNames[:3]

// applyKubernetesService sets up what maintains the Service kubernetes. In a cluster, the
// Events about it are the cluster's.
func (c *Config) applyKubernetesService(o *options.Options) error {
	if !o.KeepsKubernetesService() {
		return nil
	}
	own := unlimited(c.Generic.LoopbackClientConfig)
	// Every answer about Endpoints has a warning that they are deprecated.
	own.WarningHandlerWithContext = rest.NoWarnings{}
	client, err := kubernetes.NewForConfig(own)
	if err != nil {
		return err
	}
	keep := &kubernetesservice.Config{
		Client: client, Events: client, Etcd: c.Extra.Store.Client, Prefix: o.Etcd.StorageConfig.Prefix,
		Address: o.Advertised(), Port: o.SecureServing.BindPort,
	}
	c.Extra.KubernetesService = keep
	if !o.InCluster() {
		return nil
	}
	cluster, err := o.ClusterConfig()
	if err != nil {
		return err
	}
	if keep.Events, err = kubernetes.NewForConfig(cluster); err != nil {
		return fmt.Errorf("client of the cluster: %w", err)
	}
	check, err := newPodTrust(cluster)
	if err != nil {
		return err
	}
	keep.Check = func(ctx context.Context, clusterIP string) {
		check.warn(ctx, clusterIP, c.Generic.SecureServing.Cert, c.Generic.SecureServing.SNICerts)
	}
	return nil
}

// podTrust checks whether clients in Pods accept the serving certificate. They reach the
// server by the Service kubernetes and trust the cluster's authority.
type podTrust struct {
	// roots are the cluster's authorities, or nil if they are not known.
	roots *x509.CertPool
	// warned is the last warning. It is logged once.
	warned *atomic.Value
}

func newPodTrust(cluster *rest.Config) (podTrust, error) {
	trust := podTrust{warned: &atomic.Value{}}
	config := rest.CopyConfig(cluster)
	if err := rest.LoadTLSFiles(config); err != nil {
		return trust, err
	}
	if len(config.CAData) > 0 {
		pool, err := certutil.NewPoolFromBytes(config.CAData)
		if err != nil {
			return trust, fmt.Errorf("the cluster's authority: %w", err)
		}
		trust.roots = pool
	}
	return trust, nil
}

// warn logs what is wrong with the certificates that the server presents.
func (p podTrust) warn(ctx context.Context, clusterIP string, cert dynamiccertificates.CertKeyContentProvider,
	byName []dynamiccertificates.SNICertKeyContentProvider) {
	providers := []dynamiccertificates.CertKeyContentProvider{cert}
	for _, provider := range byName {
		providers = append(providers, provider)
	}
	var chains [][]*x509.Certificate
	for _, provider := range providers {
		data, _ := provider.CurrentCertKeyContent()
		chain, err := certutil.ParseCertsPEM(data)
		if err != nil {
			return
		}
		chains = append(chains, chain)
	}
	problem := p.problem(clusterIP, chains)
	if before := p.warned.Swap(problem); problem != "" && before != problem {
		klog.FromContext(ctx).Info("Clients in Pods will not trust this server: the Service kubernetes leads them here. Have the cluster's "+
			"authority sign a certificate for --tls-cert-file, or start the servers with --kubernetes-service=false", "problem", problem)
	}
}

// problem returns what keeps clients from accepting the first certificate, which is
// presented at an address, or any of them for a name. It is empty if nothing does.
func (p podTrust) problem(clusterIP string, chains [][]*x509.Certificate) string {
	first := chains[0][0]
	var missing []string
	if first.VerifyHostname(clusterIP) != nil {
		missing = append(missing, clusterIP)
	}
	for _, name := range requiredNames {
		named := false
		for _, chain := range chains {
			named = named || chain[0].VerifyHostname(name) == nil
		}
		if !named {
			missing = append(missing, name)
		}
	}
	var problems []string
	if len(missing) > 0 {
		problems = append(problems, "the serving certificate is not for "+strings.Join(missing, ", "))
	}
	if p.roots != nil {
		between := x509.NewCertPool()
		for _, cert := range chains[0][1:] {
			between.AddCert(cert)
		}
		if _, err := first.Verify(x509.VerifyOptions{Roots: p.roots, Intermediates: between}); err != nil {
			problems = append(problems, "the cluster's authority has not signed the serving certificate: "+err.Error())
		}
	}
	return strings.Join(problems, "; ")
}
