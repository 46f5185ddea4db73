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

// clusterTimeout is for how long a request waits for the cluster's answer.
const clusterTimeout = 30 * time.Second

func newCertificatesCommand() *cobra.Command {
	return newGroup("certificates", "Make and renew certificates in a cluster", newEtcdCertificatesCommand())
}

type etcdCertificatesOptions struct {
	kubeconfig, namespace, clusterDomain string
	hosts                                []string
}

func newEtcdCertificatesCommand() *cobra.Command {
	o := etcdCertificatesOptions{namespace: "portolan", clusterDomain: "cluster.local"}
	cmd := &cobra.Command{
		Use:   "etcd",
		Short: "Make the certificates of the etcd that Portolan runs on, and renew those that are due",
		Long: `Makes the Secrets portolan-etcd-server, portolan-etcd-peer and portolan-etcd-client
(tls.crt, tls.key and ca.crt) for an etcd StatefulSet with the headless Service
portolan-etcd, and portolan-etcd-ca with the authority that signs them. It says
of each Secret what it did.

What needn't be done isn't done, so it is run once at the installation and then
every week, or whenever you like. It is for clusters without cert-manager, and
leaves cert-manager's Secrets alone.

Certificates are good for a year and renewed when a third of it is left. etcd and
Portolan read them anew by themselves. The authority is good for ten years; when
a new one is beside it in ca.crt this command says by when, a year from then,
etcd and Portolan have to have been restarted once.`,
		Example: `  # In a Job or a CronJob, with the service account of its Pod
  portolan certificates etcd --namespace=portolan

  # From elsewhere, for members that are also reached by an address
  portolan certificates etcd --kubeconfig=admin.kubeconfig --host=etcd.example.com --host=192.0.2.7

  # What etcd shows to its clients, and until when
  kubectl -n portolan get secret portolan-etcd-server -o jsonpath='{.data.tls\.crt}' | base64 -d | openssl x509 -noout -text`,
		Args: cobra.NoArgs,
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
		"kubeconfig of the cluster. Without it it is the one that this runs in as a Pod, with the Pod's service account.")
	cluster.StringVar(&o.namespace, "namespace", o.namespace, "Namespace of etcd and of the Secrets")
	names := sets.FlagSet("names")
	names.StringVar(&o.clusterDomain, "cluster-domain", o.clusterDomain,
		"What the names of the cluster's Services end in. Members look up each other's names, which do.")
	names.StringSliceVar(&o.hosts, "host", o.hosts,
		"Name or IP address that members are reached by, besides those of their Service and of loopback; may be repeated. A name may begin with *.")
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
