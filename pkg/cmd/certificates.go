package cmd

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/validation"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	cliflag "k8s.io/component-base/cli/flag"

	"github.com/portolan-dev/portolan/pkg/certificates/etcdsecrets"
)

// clusterTimeout is how long a request waits for the cluster's answer.
const clusterTimeout = 30 * time.Second

func newCertificatesCommand() *cobra.Command {
	return newGroup("certificates", "Create and renew certificates in a cluster", newEtcdCertificatesCommand())
}

type etcdCertificatesOptions struct {
	kubeconfig, namespace, clusterDomain string
	hosts                                []string
}

func newEtcdCertificatesCommand() *cobra.Command {
	o := etcdCertificatesOptions{namespace: "portolan", clusterDomain: "cluster.local"}
	cmd := &cobra.Command{
		Use:   "etcd",
		Short: "Create the certificates of Portolan's etcd, and renew those that are due",
		Long: `Creates the Secrets portolan-etcd-server, portolan-etcd-peer and
portolan-etcd-client (tls.crt, tls.key and ca.crt) for an etcd StatefulSet with
the headless Service portolan-etcd, and portolan-etcd-ca with the authority that
signs them. It prints what it did with each Secret.

Run it once at installation and then every week. It does only what is due, so
you can run it at any time. It is for clusters without cert-manager, and leaves
cert-manager's Secrets alone.

Certificates are valid for a year and renewed when a third of it is left. etcd
and Portolan reload them without a restart. The authority is valid for ten
years. Before it expires, the command adds a new one to ca.crt. Restart etcd and
Portolan once within a year from then; the command prints the date each time.`,
		Example: `  # In a Job or a CronJob, with the service account of its Pod
  portolan certificates etcd --namespace=portolan

  # From elsewhere, for members with additional names and addresses
  portolan certificates etcd --kubeconfig=admin.kubeconfig --host=etcd.example.com --host=192.0.2.7

  # The certificate that etcd presents to its clients
  kubectl -n portolan get secret portolan-etcd-server -o jsonpath='{.data.tls\.crt}' | base64 -d | openssl x509 -noout -text`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.validate(); err != nil {
				return err
			}
			cmd.SilenceUsage = true
			return o.run(cmd.Context(), cmd.OutOrStdout())
		},
	}
	var sets cliflag.NamedFlagSets
	cluster := sets.FlagSet("cluster")
	cluster.StringVar(&o.kubeconfig, "kubeconfig", o.kubeconfig,
		"kubeconfig of the cluster. The default is the cluster that the command runs in, with the service account of its Pod.")
	cluster.StringVar(&o.namespace, "namespace", o.namespace, "Namespace of etcd and of the Secrets")
	names := sets.FlagSet("names")
	names.StringVar(&o.clusterDomain, "cluster-domain", o.clusterDomain,
		"DNS domain of the cluster, in which members look up each other's names.")
	names.StringSliceVar(&o.hosts, "host", o.hosts,
		"Additional name or IP address of the members, besides those of their Service and of loopback; may be repeated. A name may begin with *.")
	addFlags(cmd, sets)
	return cmd
}

func (o *etcdCertificatesOptions) validate() error {
	var errs []error
	if problems := validation.ValidateNamespaceName(o.namespace, false); len(problems) > 0 {
		errs = append(errs, fmt.Errorf("--namespace: %q: %s", o.namespace, strings.Join(problems, ", ")))
	}
	if problems := utilvalidation.IsDNS1123Subdomain(o.clusterDomain); len(problems) > 0 {
		errs = append(errs, fmt.Errorf("--cluster-domain: %q: %s", o.clusterDomain, strings.Join(problems, ", ")))
	}
	for _, host := range o.hosts {
		name := strings.TrimPrefix(host, "*.")
		if problems := utilvalidation.IsDNS1123Subdomain(name); net.ParseIP(host) == nil && len(problems) > 0 {
			errs = append(errs, fmt.Errorf("--host: %q is neither a name nor an IP address: %s", host, strings.Join(problems, ", ")))
		}
	}
	return utilerrors.NewAggregate(errs)
}

func (o *etcdCertificatesOptions) run(ctx context.Context, out io.Writer) error {
	config, err := o.clusterConfig()
	if err != nil {
		return fmt.Errorf("how to reach the cluster: %w", err)
	}
	config.Timeout = clusterTimeout
	client, err := kubernetes.NewForConfig(rest.AddUserAgent(config, "certificates"))
	if err != nil {
		return err
	}
	return etcdsecrets.Ensure(ctx, etcdsecrets.Config{
		Client: client, Namespace: o.namespace, ClusterDomain: o.clusterDomain, Hosts: o.hosts,
		Policy: etcdsecrets.DefaultPolicy, Now: time.Now, Progress: out,
	})
}

func (o *etcdCertificatesOptions) clusterConfig() (*rest.Config, error) {
	if o.kubeconfig != "" {
		return clientcmd.BuildConfigFromFlags("", o.kubeconfig)
	}
	return rest.InClusterConfig()
}
