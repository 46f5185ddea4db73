package options

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/api/validation"
)

const (
	servingSecretFlag  = "serving-secret"
	servingServiceFlag = "serving-service"

	maxUnauthenticatedFlag     = "max-unauthenticated-connections"
	unauthenticatedTimeoutFlag = "unauthenticated-connection-timeout"
)

// ConnectionOptions limit connections without an authenticated request.
type ConnectionOptions struct {
	MaxUnauthenticated     int
	UnauthenticatedTimeout time.Duration
}

func newConnectionOptions() ConnectionOptions {
	return ConnectionOptions{MaxUnauthenticated: 1000, UnauthenticatedTimeout: 15 * time.Second}
}

func (o *ConnectionOptions) addFlags(fs *pflag.FlagSet) {
	fs.IntVar(&o.MaxUnauthenticated, maxUnauthenticatedFlag, o.MaxUnauthenticated,
		"Maximum number of open connections without an authenticated request. If there is another, the oldest of them is closed.")
	fs.DurationVar(&o.UnauthenticatedTimeout, unauthenticatedTimeoutFlag, o.UnauthenticatedTimeout,
		"How long a connection may stay open without an authenticated request. Clients that only check the server's health must reconnect.")
}

func (o *ConnectionOptions) errors() []error {
	var errs []error
	if o.MaxUnauthenticated <= 0 {
		errs = append(errs, fmt.Errorf("--%s must be more than 0", maxUnauthenticatedFlag))
	}
	if o.UnauthenticatedTimeout < time.Second {
		errs = append(errs, fmt.Errorf("--%s must be at least 1s", unauthenticatedTimeoutFlag))
	}
	return errs
}

func (o *Options) addServingSecretFlags(fs *pflag.FlagSet) {
	fs.StringVar(&o.ServingSecret, servingSecretFlag, o.ServingSecret,
		"NAMESPACE/NAME of the Secret in the cluster with the certificate for HTTPS. The server creates and renews it, and all replicas "+
			"share it. "+
			"The server also updates the caBundle of the APIService v1.portolan.dev, unless that has insecureSkipTLSVerify or is left to "+
			"cert-manager. It replaces --tls-cert-file. A gateway can have both: it presents the certificate of the Secret to clients that ask "+
			"for the Service's name, such as the aggregation layer.")
	fs.StringVar(&o.ServingService, servingServiceFlag, o.ServingService,
		"Service that the certificate is for, in the namespace of --serving-secret. It is the one that the APIService names. (default "+
			"\"portolan\")")
}

// ServingSecretName returns the name in --serving-secret. Both parts are empty if the
// flag isn't set.
func (o *Options) ServingSecretName() (namespace, name string) {
	namespace, name, _ = strings.Cut(o.ServingSecret, "/")
	return namespace, name
}

// ServingServiceName returns the name of the Service that the certificate in the Secret
// is for.
func (o *Options) ServingServiceName() string { return cmp.Or(o.ServingService, "portolan") }

func (o *Options) servingSecretErrors() []error {
	if o.ServingSecret == "" {
		if o.ServingService != "" {
			return []error{fmt.Errorf("--%s is for the certificate of --%s, which is not set", servingServiceFlag, servingSecretFlag)}
		}
		return nil
	}
	var errs []error
	namespace, name := o.ServingSecretName()
	if problems := append(validation.ValidateNamespaceName(namespace, false),
		validation.NameIsDNSSubdomain(name, false)...); len(problems) > 0 {
		errs = append(errs, fmt.Errorf("--%s: %q is not the NAMESPACE/NAME of a Secret: %s", servingSecretFlag, o.ServingSecret,
			strings.Join(problems, ", ")))
	}
	if problems := validation.NameIsDNS1035Label(o.ServingServiceName(), false); len(problems) > 0 {
		errs = append(errs, fmt.Errorf("--%s: %q is not the name of a Service: %s", servingServiceFlag, o.ServingService,
			strings.Join(problems, ", ")))
	}
	pair := o.SecureServing.ServerCert.CertKey
	if (pair.CertFile != "" || pair.KeyFile != "") && !o.ForwardsToCluster() {
		errs = append(errs, fmt.Errorf("--%s and --tls-cert-file: only one of them can be set", servingSecretFlag))
	}
	if !o.InCluster() {
		errs = append(errs, fmt.Errorf("--%s needs a cluster: set --kubeconfig or --in-cluster", servingSecretFlag))
	}
	return errs
}
