package options

import (
	"fmt"

	"github.com/spf13/pflag"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

func (o *Options) addClusterFlags(fs *pflag.FlagSet) {
	o.CoreAPI.AddFlags(fs)
	describe(fs, "kubeconfig",
		"kubeconfig of the cluster whose namespaces, quotas, policies and webhooks the server follows. "+
			"Without it and without --in-cluster there is no cluster: every namespace exists.")
	fs.BoolVar(&o.ServiceAccount, "in-cluster", o.ServiceAccount,
		"Follow the cluster that the server runs in as a Pod, with the Pod's service account. It takes the place of --kubeconfig.")
}

// InCluster says whether there is a cluster to ask.
func (o *Options) InCluster() bool { return o.ServiceAccount || o.CoreAPI.CoreAPIKubeconfigPath != "" }

// ClusterConfig is how the cluster's API server is asked. It has no limit on
// the rate: requests wait for what is asked with it, and the cluster has its
// own ways to slow down who asks too much. What else asks in this process sets
// a limit and a user agent of its own. Unless InCluster that is an error.
func (o *Options) ClusterConfig() (*rest.Config, error) {
	var config *rest.Config
	var err error
	switch file := o.CoreAPI.CoreAPIKubeconfigPath; {
	case file != "":
		config, err = clientcmd.BuildConfigFromFlags("", file)
	case o.ServiceAccount:
		config, err = rest.InClusterConfig()
	default:
		err = fmt.Errorf("neither --kubeconfig nor --in-cluster is set")
	}
	if err != nil {
		return nil, fmt.Errorf("how to reach the cluster: %w", err)
	}
	config.QPS = -1
	return rest.AddUserAgent(config, "serve"), nil
}

func (o *Options) clusterErrors() []error {
	if o.ServiceAccount && o.CoreAPI.CoreAPIKubeconfigPath != "" {
		return []error{fmt.Errorf("--kubeconfig and --in-cluster: only one of them can say where the cluster is")}
	}
	return nil
}
