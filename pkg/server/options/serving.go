package options

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/api/validation"
)

const (
	servingSecretFlag  = "serving-secret"
	servingServiceFlag = "serving-service"
)

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
	if problems := append(validation.ValidateNamespaceName(namespace, false), validation.NameIsDNSSubdomain(name, false)...); len(problems) > 0 {
		errs = append(errs, fmt.Errorf("--%s: %q is not the NAMESPACE/NAME of a Secret: %s", servingSecretFlag, o.ServingSecret, strings.Join(problems, ", ")))
	}
	if problems := validation.NameIsDNS1035Label(o.ServingServiceName(), false); len(problems) > 0 {
		errs = append(errs, fmt.Errorf("--%s: %q is not the name of a Service: %s", servingServiceFlag, o.ServingService, strings.Join(problems, ", ")))
	}
	if o.SecureServing.ServerCert.CertKey.CertFile != "" || o.SecureServing.ServerCert.CertKey.KeyFile != "" {
		errs = append(errs, fmt.Errorf("--%s and --tls-cert-file: only one of them can say where the certificate is", servingSecretFlag))
	}
	if !o.InCluster() {
		errs = append(errs, fmt.Errorf("--%s is kept in a cluster: name that with --kubeconfig or --in-cluster", servingSecretFlag))
	}
	return errs
}
