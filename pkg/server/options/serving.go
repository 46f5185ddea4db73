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

	unknownConnectionsFlag = "max-unauthenticated-connections"
	unknownTimeoutFlag     = "unauthenticated-connection-timeout"
)

// ConnectionOptions limit connections on which nobody has been authenticated.
type ConnectionOptions struct {
	MaxUnauthenticated     int
	UnauthenticatedTimeout time.Duration
}

func newConnectionOptions() ConnectionOptions {
	return ConnectionOptions{MaxUnauthenticated: 1000, UnauthenticatedTimeout: 15 * time.Second}
}

func (o *ConnectionOptions) addFlags(fs *pflag.FlagSet) {
	fs.IntVar(&o.MaxUnauthenticated, unknownConnectionsFlag, o.MaxUnauthenticated,
		"Most connections that may be open at a time without a request whose user was authenticated. When there is another, the oldest of them is closed.")
	fs.DurationVar(&o.UnauthenticatedTimeout, unknownTimeoutFlag, o.UnauthenticatedTimeout,
		"How long a connection may be open without a request whose user was authenticated. Clients that only ask for the health of the server connect again.")
}

func (o *ConnectionOptions) errors() []error {
	var errs []error
	if o.MaxUnauthenticated <= 0 {
		errs = append(errs, fmt.Errorf("--%s must be more than 0", unknownConnectionsFlag))
	}
	if o.UnauthenticatedTimeout < time.Second {
		errs = append(errs, fmt.Errorf("--%s must be at least 1s", unknownTimeoutFlag))
	}
	return errs
}

func (o *Options) addServingSecretFlags(fs *pflag.FlagSet) {
	fs.StringVar(&o.ServingSecret, servingSecretFlag, o.ServingSecret,
		"NAMESPACE/NAME of the Secret in the cluster that has the certificate for HTTPS. The server makes it and renews it, all replicas share it, "+
			"and the caBundle of APIService v1.portolan.dev is kept current, unless that has insecureSkipTLSVerify or is left to cert-manager. "+
			"It takes the place of --tls-cert-file.")
	fs.StringVar(&o.ServingService, servingServiceFlag, o.ServingService,
		"Service in the namespace of --serving-secret that the certificate is for. It is the one that the APIService names. (default \"portolan\")")
}

// ServingSecretName is what --serving-secret names, both empty if it isn't set.
func (o *Options) ServingSecretName() (namespace, name string) {
	namespace, name, _ = strings.Cut(o.ServingSecret, "/")
	return namespace, name
}

// ServingServiceName is the Service that the certificate in the Secret is for.
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
	if o.SecureServing.ServerCert.CertKey.CertFile != "" || o.SecureServing.ServerCert.CertKey.KeyFile != "" {
		errs = append(errs, fmt.Errorf("--%s and --tls-cert-file: only one of them can say where the certificate is", servingSecretFlag))
	}
	if !o.InCluster() {
		errs = append(errs, fmt.Errorf("--%s is kept in a cluster: name that with --kubeconfig or --in-cluster", servingSecretFlag))
	}
	return errs
}
