package options

import (
	"strings"
	"testing"
)

func TestServingSecret(t *testing.T) {
	for name, test := range map[string]struct {
		secret, service string
		change          func(*Options)
		want            string
	}{
		"in a cluster":       {"portolan/portolan-serving", "", func(o *Options) { o.ServiceAccount = true }, ""},
		"of another Service": {"a/b.c", "portolan2", func(o *Options) { o.ServiceAccount = true }, ""},
		"without a cluster": {
			"portolan/portolan-serving", "", func(*Options) {}, "--serving-secret needs a cluster: set --kubeconfig or --in-cluster",
		},
		"no namespace": {"portolan-serving", "", func(o *Options) { o.ServiceAccount = true },
			`--serving-secret: "portolan-serving" is not the NAMESPACE/NAME of a Secret: `},
		"not a name": {"portolan/a/b", "", func(o *Options) { o.ServiceAccount = true },
			`--serving-secret: "portolan/a/b" is not the NAMESPACE/NAME of a Secret: `},
		"not a Service": {
			"a/b", "1.2", func(o *Options) { o.ServiceAccount = true }, `--serving-service: "1.2" is not the name of a Service: `,
		},
		"a Service without Secret": {
			"", "portolan", func(*Options) {}, "--serving-service is for the certificate of --serving-secret, which is not set",
		},
		"files and a Secret": {"a/b", "", func(o *Options) { o.ServiceAccount, o.SecureServing.ServerCert.CertKey.CertFile = true, "x" },
			"--serving-secret and --tls-cert-file: only one of them can be set"},
		"a key's file and a Secret": {"a/b", "", func(o *Options) { o.ServiceAccount, o.SecureServing.ServerCert.CertKey.KeyFile = true, "x" },
			"--serving-secret and --tls-cert-file"},
		"a gateway with files and a Secret": {"a/b", "", func(o *Options) {
			yes := true
			o.ServiceAccount, o.ServeCore = true, &yes
			o.SecureServing.ServerCert.CertKey.CertFile, o.SecureServing.ServerCert.CertKey.KeyFile = "x", "y"
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			o := New()
			o.ServingSecret, o.ServingService = test.secret, test.service
			test.change(o)
			if err := o.Complete(); err != nil {
				t.Fatal(err)
			}
			err := o.Validate()
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
	o := New()
	o.ServingSecret = "a/b"
	if namespace, name := o.ServingSecretName(); namespace != "a" || name != "b" || o.ServingServiceName() != "portolan" {
		t.Errorf("Secret %s in %s, Service %s", name, namespace, o.ServingServiceName())
	}
}
