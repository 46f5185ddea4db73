package options

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/spf13/pflag"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	cliflag "k8s.io/component-base/cli/flag"

	"github.com/portolan-dev/portolan/pkg/controllers"
)

func (o *Options) addClusterFlags(fs *pflag.FlagSet) {
	o.CoreAPI.AddFlags(fs)
	describe(fs, "kubeconfig",
		"kubeconfig of the cluster whose namespaces, quotas, policies and webhooks the server uses. "+
			"Without it and without --in-cluster the server is standalone: it serves its own namespaces or, with --serve-core=false, accepts "+
			"every namespace.")
	fs.BoolVar(&o.ServiceAccount, "in-cluster", o.ServiceAccount,
		"Use the cluster that the server runs in, with the service account of its Pod, instead of --kubeconfig.")
}

// addAuthFlags adds the flags for authentication and authorization. Most configure how
// the server asks the cluster.
func (o *Options) addAuthFlags(sets *cliflag.NamedFlagSets) {
	authentication := sets.FlagSet("authentication")
	o.Authentication.AddFlags(authentication)
	describe(authentication, "client-ca-file",
		"Certificate authorities whose client certificates are accepted, in addition to the cluster's or, on a standalone server, to its own: "+
			"the common name is the user, the organizations are the groups. Members of system:masters may do everything.")
	describe(authentication, "authentication-kubeconfig",
		"kubeconfig of the cluster that authenticates bearer tokens with a TokenReview, and from which the authentication configuration "+
			"is read. It defaults to --kubeconfig or --in-cluster.")
	describe(authentication, "authentication-token-webhook-cache-ttl",
		"How long the cluster's answer about a bearer token is cached. If the cluster's API server is down, a cached token stays valid "+
			"for that long; after that, and for new tokens, requests get a 503 until it is back.")
	describe(authentication, "authentication-skip-lookup",
		"Don't read from the cluster's ConfigMap kube-system/extension-apiserver-authentication which client certificates are accepted and "+
			"how its aggregation layer passes on users.")
	describe(authentication, "requestheader-client-ca-file",
		"Certificate authority of the client certificate with which the cluster's aggregation layer passes on users. "+
			"By default it is read from the cluster, and the other --requestheader flags are ignored.")
	describe(authentication, "authentication-tolerate-lookup-failure",
		"Become ready even if the authentication configuration can't be read from the cluster. Requests through its aggregation layer, "+
			"and those with its "+
			"client certificates, are rejected until it can. If false, the server is not ready until then. In both cases it retries, and "+
			"reloads all changes.")

	authorization := sets.FlagSet("authorization")
	o.Authorization.AddFlags(authorization)
	describe(authorization, "authorization-kubeconfig",
		"kubeconfig of the cluster that authorizes requests with a SubjectAccessReview. The default is the cluster of --kubeconfig or "+
			"--in-cluster.")
	describe(authorization, "authorization-webhook-cache-authorized-ttl",
		"How long the cluster's answer that a request is allowed is cached. If the cluster's API server is down, it stays allowed for "+
			"that long; requests without a cached answer get a 503 until it is back.")
	describe(authorization, "authorization-webhook-cache-unauthorized-ttl",
		"How long the cluster's answer that a request is not allowed is cached.")
	describe(authorization, "authorization-always-allow-paths",
		"Paths that need neither authentication nor authorization.")
}

// InCluster reports whether the server has a cluster. Otherwise it is standalone.
func (o *Options) InCluster() bool { return o.ServiceAccount || o.CoreAPI.CoreAPIKubeconfigPath != "" }

// ClusterConfig returns the client configuration for the cluster's API server. It sets
// no client-side rate limit: requests block on it, and the cluster limits its clients
// itself. Other clients in this process set their own limits and user agents.
// ClusterConfig fails on a standalone server.
func (o *Options) ClusterConfig() (*rest.Config, error) {
	return o.configOf(o.CoreAPI.CoreAPIKubeconfigPath)
}

// AuthenticationConfig is like ClusterConfig, for authenticating tokens and reading the
// cluster's authentication configuration.
func (o *Options) AuthenticationConfig() (*rest.Config, error) {
	return o.configOf(cmp.Or(o.Authentication.RemoteKubeConfigFile, o.CoreAPI.CoreAPIKubeconfigPath))
}

// AuthorizationConfig is like ClusterConfig, for authorizing requests.
func (o *Options) AuthorizationConfig() (*rest.Config, error) {
	config, err := o.configOf(cmp.Or(o.Authorization.RemoteKubeConfigFile, o.CoreAPI.CoreAPIKubeconfigPath))
	if err != nil {
		return nil, err
	}
	config.Timeout = o.Authorization.ClientTimeout
	return config, nil
}

// configOf returns the configuration in a kubeconfig. If there is none, it returns that
// of the Pod.
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
		return []error{errors.New("--kubeconfig and --in-cluster: only one of them can be set")}
	}
	var errs []error
	if o.Controllers.MirrorClusterServices && !(o.InCluster() && o.WithControllers) {
		errs = append(errs, fmt.Errorf("--%s is for a server that runs controllers and has a cluster: set --kubeconfig or --in-cluster, and "+
			"not --controllers=false", controllers.MirrorFlag))
	}
	if o.Controllers.WriteBackServices && !(o.InCluster() && o.WithControllers) {
		errs = append(errs, fmt.Errorf("--%s is for a server that runs controllers and has a cluster: set --kubeconfig or --in-cluster, and "+
			"not --controllers=false", controllers.WriteBackFlag))
	}
	if !o.InCluster() {
		for _, flag := range []struct{ name, value string }{
			{"authentication-kubeconfig", o.Authentication.RemoteKubeConfigFile},
			{"authorization-kubeconfig", o.Authorization.RemoteKubeConfigFile},
			{"requestheader-client-ca-file", o.Authentication.RequestHeader.ClientCAFile},
		} {
			if flag.value != "" {
				errs = append(errs, fmt.Errorf("--%s needs a cluster: set --kubeconfig or --in-cluster", flag.name))
			}
		}
	}
	return errs
}
