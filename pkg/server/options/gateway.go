package options

import (
	"errors"

	"github.com/spf13/pflag"
)

// GatewayOptions are for a server that forwards what belongs to its cluster.
type GatewayOptions struct {
	// ProxyClientCertFile and ProxyClientKeyFile are the certificate with which the
	// server names users to kube-apiserver, and its key.
	ProxyClientCertFile, ProxyClientKeyFile string
}

func (o *GatewayOptions) addFlags(fs *pflag.FlagSet) {
	fs.StringVar(&o.ProxyClientCertFile, "proxy-client-cert-file", o.ProxyClientCertFile,
		"Client certificate with which the server names the users of client certificates to the cluster's API server when it forwards "+
			"their requests. "+
			"The cluster must accept it as a front proxy's (its --requestheader-client-ca-file and --requestheader-allowed-names). "+
			"Without it these users get a 401 for what belongs to the cluster. Only with --serve-core and a cluster.")
	fs.StringVar(&o.ProxyClientKeyFile, "proxy-client-key-file", o.ProxyClientKeyFile, "Private key of --proxy-client-cert-file.")
}

// ForwardsToCluster reports whether the server serves Services and their kin in the core
// API groups and forwards everything else to its cluster.
func (o *Options) ForwardsToCluster() bool { return o.InCluster() && o.Core() }

func (o *Options) gatewayErrors() []error {
	if o.Gateway.ProxyClientCertFile != "" && !o.ForwardsToCluster() {
		return []error{errors.New("--proxy-client-cert-file is for a server that forwards requests: one with --serve-core and " +
			"with --kubeconfig or --in-cluster")}
	}
	return nil
}
