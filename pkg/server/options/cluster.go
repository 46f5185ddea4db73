package options

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/spf13/pflag"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	cliflag "k8s.io/component-base/cli/flag"
)

func (o *Options) addClusterFlags(fs *pflag.FlagSet) {
	o.CoreAPI.AddFlags(fs)
	describe(fs, "kubeconfig",
		"kubeconfig of the cluster whose namespaces, quotas, policies and webhooks the server follows. "+
			"Without it and without --in-cluster there is no cluster: namespaces are the server's own or, with --serve-core=false, all exist.")
	fs.BoolVar(&o.ServiceAccount, "in-cluster", o.ServiceAccount,
		"Follow the cluster that the server runs in as a Pod, with the Pod's service account. It takes the place of --kubeconfig.")
}

// addAuthFlags adds the flags of who is known and who may do what. Most say how
// the cluster is asked that.
func (o *Options) addAuthFlags(sets *cliflag.NamedFlagSets) {
	authentication := sets.FlagSet("authentication")
	o.Authentication.AddFlags(authentication)
	describe(authentication, "client-ca-file",
		"Certificate authorities whose client certificates are accepted besides the cluster's or, without a cluster, besides those of the server's own: "+
			"the common name is the user, the organizations are the groups. Members of system:masters may do everything.")
	describe(authentication, "authentication-kubeconfig",
		"kubeconfig of the cluster that is asked who a bearer token belongs to, with a TokenReview, and which the authentication configuration is looked up in. "+
			"Without it that is done with what --kubeconfig or --in-cluster says.")
	describe(authentication, "authentication-token-webhook-cache-ttl",
		"For how long the cluster's answer about a bearer token is believed. A token that is in use stays good for that long while the cluster's API server is away; "+
			"then, and for tokens not seen before, requests get a 503 until it is back.")
	describe(authentication, "authentication-skip-lookup",
		"Don't look up in the cluster, in the ConfigMap kube-system/extension-apiserver-authentication, whose client certificates are accepted and "+
			"how its aggregation layer speaks for users.")
	describe(authentication, "requestheader-client-ca-file",
		"Certificate authority of the client certificate with which the cluster's aggregation layer speaks for users. "+
			"Without it that is looked up in the cluster, and the other --requestheader flags don't count.")
	describe(authentication, "authentication-tolerate-lookup-failure",
		"Be ready even if the authentication configuration could not be looked up in the cluster. Requests through its aggregation layer, and those with its "+
			"client certificates, are refused until it could. If false the server is not ready until then; it tries again in either case, and follows all changes.")

	authorization := sets.FlagSet("authorization")
	o.Authorization.AddFlags(authorization)
	describe(authorization, "authorization-kubeconfig",
		"kubeconfig of the cluster that is asked what a user may do, with a SubjectAccessReview. Without it that is done with what --kubeconfig or --in-cluster says.")
	describe(authorization, "authorization-webhook-cache-authorized-ttl",
		"For how long the cluster's answer that a user may do something is believed. That long it stays allowed while the cluster's API server is away; "+
			"what the cluster has to be asked gets a 503 until it is back.")
	describe(authorization, "authorization-webhook-cache-unauthorized-ttl",
		"For how long the cluster's answer that a user may not do something is believed.")
	describe(authorization, "authorization-always-allow-paths",
		"Paths that everybody may use without a question, and without saying who he is.")
}

// InCluster says whether there is a cluster to ask.
func (o *Options) InCluster() bool { return o.ServiceAccount || o.CoreAPI.CoreAPIKubeconfigPath != "" }

// ClusterConfig is how the cluster's API server is asked. It has no limit on
// the rate: requests wait for what is asked with it, and the cluster has its
// own ways to slow down who asks too much. What else asks in this process sets
// a limit and a user agent of its own. Unless InCluster that is an error.
func (o *Options) ClusterConfig() (*rest.Config, error) {
	return o.configOf(o.CoreAPI.CoreAPIKubeconfigPath)
}

// AuthenticationConfig is how the cluster is asked who a token belongs to and
// whom its aggregation layer may speak for, otherwise like ClusterConfig.
func (o *Options) AuthenticationConfig() (*rest.Config, error) {
	return o.configOf(cmp.Or(o.Authentication.RemoteKubeConfigFile, o.CoreAPI.CoreAPIKubeconfigPath))
}

// AuthorizationConfig is how the cluster is asked what a user may do, otherwise
// like ClusterConfig.
func (o *Options) AuthorizationConfig() (*rest.Config, error) {
	config, err := o.configOf(cmp.Or(o.Authorization.RemoteKubeConfigFile, o.CoreAPI.CoreAPIKubeconfigPath))
	if err != nil {
		return nil, err
	}
	config.Timeout = o.Authorization.ClientTimeout
	return config, nil
}

// configOf is that of a kubeconfig or, without one, of the Pod.
func (o *Options) configOf(kubeconfig string) (*rest.Config, error) {
	var config *rest.Config
	var err error
	switch {
	case kubeconfig != "":
		config, err = clientcmd.BuildConfigFromFlags("", kubeconfig)
	case o.ServiceAccount:
		config, err = rest.InClusterConfig()
	default:
		err = errors.New("neither --kubeconfig nor --in-cluster is set")
	}
	if err != nil {
		return nil, fmt.Errorf("how to reach the cluster: %w", err)
	}
	config.QPS = -1
	return rest.AddUserAgent(config, "serve"), nil
}

func (o *Options) clusterErrors() []error {
	if o.ServiceAccount && o.CoreAPI.CoreAPIKubeconfigPath != "" {
		return []error{errors.New("--kubeconfig and --in-cluster: only one of them can say where the cluster is")}
	}
	var errs []error
	if !o.InCluster() {
		for _, flag := range []struct{ name, value string }{
			{"authentication-kubeconfig", o.Authentication.RemoteKubeConfigFile},
			{"authorization-kubeconfig", o.Authorization.RemoteKubeConfigFile},
			{"requestheader-client-ca-file", o.Authentication.RequestHeader.ClientCAFile},
		} {
			if flag.value != "" {
				errs = append(errs, fmt.Errorf("--%s is for a server with a cluster: name that with --kubeconfig or --in-cluster", flag.name))
			}
		}
	}
	return errs
}
