// Package options defines the flags of the server, by topic.
package options

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/spf13/pflag"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apimachinery/pkg/util/sets"
	genericoptions "k8s.io/apiserver/pkg/server/options"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	cliflag "k8s.io/component-base/cli/flag"
	"k8s.io/component-base/logs"
	logsapi "k8s.io/component-base/logs/api/v1"
	"k8s.io/component-base/metrics"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/apis/portolan/validation"
	"github.com/portolan-dev/portolan/pkg/admission"
	"github.com/portolan-dev/portolan/pkg/allocation/space"
	"github.com/portolan-dev/portolan/pkg/controllers"
	"github.com/portolan-dev/portolan/pkg/etcd/quota"
)

const (
	defaultDataDir    = "portolan-data"
	defaultPort       = 6443
	defaultEtcdPrefix = "/registry"
	// watchGracePeriod is how long a stopping server waits for watches to end after
	// it has asked them to.
	watchGracePeriod = 10 * time.Second
	storageMediaType = "application/vnd.kubernetes.protobuf"

	// ClusterIPRangeFlag is the flag that seeds the ServiceCIDR of an empty store.
	ClusterIPRangeFlag = "service-cluster-ip-range"
	// NodePortRangeFlag is the flag that seeds its NodePortRange.
	NodePortRangeFlag = "service-node-port-range"
	serviceProxyFlag  = "service-proxy-allow-cidrs"

	kubernetesServiceFlag = "kubernetes-service"
)

// Options holds the values of the flags.
type Options struct {
	// DataDir holds the embedded etcd and the certificates that the server creates
	// for itself.
	DataDir string
	// ClusterIPRanges seed the first ServiceCIDR: one CIDR, or one of each IP
	// family, the default family first.
	ClusterIPRanges []string
	// NodePortRanges seed the first NodePortRange.
	NodePortRanges []string
	// ServiceProxyAllowCIDRs are networks whose addresses may be reached through
	// Services even if no Pod has the address.
	ServiceProxyAllowCIDRs []string
	// ServeCore is --serve-core, or nil if the flag is not set. See Core.
	ServeCore *bool
	// KubernetesService is --kubernetes-service, or nil if the flag is not set. See
	// KeepsKubernetesService.
	KubernetesService *bool
	// EventTTL is how long Events are kept.
	EventTTL time.Duration
	// EmbeddedQuotaBytes limits the size of the embedded etcd.
	EmbeddedQuotaBytes int64
	// ServiceAccount selects the cluster in which the server runs as a Pod, and the
	// Pod's service account.
	ServiceAccount bool
	// ServingSecret is NAMESPACE/NAME of the Secret with the certificate for HTTPS, and
	// ServingService the Service that the certificate is for.
	ServingSecret, ServingService string
	// WithControllers runs the controllers in this process. See HasControllers.
	WithControllers bool
	// Users configures a standalone server.
	Users UserOptions
	// Gateway applies to a server that forwards requests to its cluster.
	Gateway GatewayOptions
	// Connections limits connections of unauthenticated clients.
	Connections ConnectionOptions

	Run            *genericoptions.ServerRunOptions
	SecureServing  *genericoptions.SecureServingOptions
	Authentication *genericoptions.DelegatingAuthenticationOptions
	Authorization  *genericoptions.DelegatingAuthorizationOptions
	Etcd           *genericoptions.EtcdOptions
	Admission      *genericoptions.AdmissionOptions
	CoreAPI        *genericoptions.CoreAPIOptions
	Controllers    *controllers.Options
	Audit          *genericoptions.AuditOptions
	Features       *genericoptions.FeatureOptions
	Tracing        *genericoptions.TracingOptions
	Metrics        *metrics.Options
	Logs           *logs.Options

	// flags holds the flags of the topic portolan. It is nil before AddFlags.
	flags *pflag.FlagSet
}

// New returns options with the defaults: everything on this machine, on loopback.
func New() *Options {
	o := &Options{
		DataDir:            "./" + defaultDataDir,
		ClusterIPRanges:    []string{"10.96.0.0/12"},
		NodePortRanges:     []string{"30000-32767"},
		WithControllers:    true,
		EventTTL:           time.Hour,
		Users:              UserOptions{ServiceAccountIssuer: defaultIssuer},
		EmbeddedQuotaBytes: quota.DefaultBytes,
		Connections:        newConnectionOptions(),
		Run:                genericoptions.NewServerRunOptions(),
		SecureServing:      genericoptions.NewSecureServingOptions(),
		Authentication:     genericoptions.NewDelegatingAuthenticationOptions(),
		Authorization:      genericoptions.NewDelegatingAuthorizationOptions(),
		Etcd:               genericoptions.NewEtcdOptions(storagebackend.NewDefaultConfig(defaultEtcdPrefix, nil)),
		Admission:          admission.NewOptions(),
		CoreAPI:            genericoptions.NewCoreAPIOptions(),
		Controllers:        controllers.NewOptions(),
		Audit:              genericoptions.NewAuditOptions(),
		Features:           genericoptions.NewFeatureOptions(),
		Tracing:            genericoptions.NewTracingOptions(),
		Metrics:            metrics.NewOptions(),
		Logs:               logs.NewOptions(),
	}
	// With upstream's default, 0, a stopping server doesn't end watches and waits a
	// minute for them.
	o.Run.ShutdownWatchTerminationGracePeriod = watchGracePeriod
	o.SecureServing.BindPort = defaultPort
	o.SecureServing.BindAddress = net.IPv4(127, 0, 0, 1)
	o.SecureServing.Required = true
	o.SecureServing.ServerCert.CertDirectory = ""
	// The aggregation layer forwards all clients on a few connections, and each watch is
	// a stream (genericoptions.NewRecommendedOptions).
	o.SecureServing.HTTP2MaxStreamsPerConnection = 1000
	o.Etcd.DefaultStorageMediaType = storageMediaType
	// The server checks etcd over its own connection: an embedded etcd has no endpoint.
	o.Etcd.SkipHealthEndpoints = true
	return o
}

// AddFlags adds the flags by topic, in the order of --help.
func (o *Options) AddFlags(sets *cliflag.NamedFlagSets) {
	fs := sets.FlagSet("portolan")
	o.flags = fs
	fs.StringVar(&o.DataDir, "data-dir", o.DataDir,
		"Directory of the embedded etcd and of the certificates that the server creates for itself. It is created if it doesn't exist.")
	fs.StringSliceVar(&o.ClusterIPRanges, ClusterIPRangeFlag, o.ClusterIPRanges,
		"CIDRs from which cluster IPs are allocated: one, or one of each IP family, the default family first. "+
			"They seed the ServiceCIDR named kubernetes of an empty store. After that the ServiceCIDR objects count.")
	fs.StringSliceVar(&o.NodePortRanges, NodePortRangeFlag, o.NodePortRanges,
		"Ports from which node ports are allocated, such as 443 or 30000-32767. "+
			"They seed the NodePortRange named kubernetes of an empty store. After that the NodePortRange objects count.")
	fs.StringSliceVar(&o.ServiceProxyAllowCIDRs, serviceProxyFlag, o.ServiceProxyAllowCIDRs,
		"CIDRs of endpoints that may be reached through services/{name}/proxy even if no Pod has the address. "+
			"Other endpoints may be reached only if they are the addresses of Pods in the Service's namespace. "+
			"Loopback, link-local and this machine's own addresses need a CIDR with nothing else in it, such as 127.0.0.1/32. "+
			"On a standalone server, such a CIDR of loopback also allows its addresses in Endpoints and EndpointSlices, "+
			"which are rejected otherwise.")
	o.addCoreFlags(fs)

	adopt(sets.FlagSet("serving"), o.SecureServing.AddFlags, "cert-dir")
	describe(sets.FlagSet("serving"), "tls-cert-file",
		"File with the x509 certificate for HTTPS, followed by that of its CA, if any. By default the server creates one in --data-dir.")
	o.addServingSecretFlags(sets.FlagSet("serving"))
	o.Connections.addFlags(sets.FlagSet("serving"))
	o.Users.addFlags(sets.FlagSet("users"))
	o.addAuthFlags(sets)
	// All resources are in one etcd, because transactions span them, and all have a watch
	// cache.
	adopt(sets.FlagSet("etcd"), o.Etcd.AddFlags, "etcd-servers-overrides", "storage-backend",
		"watch-cache", "watch-cache-sizes", "default-watch-cache-size", "etcd-readycheck-timeout")
	describe(sets.FlagSet("etcd"), "etcd-servers",
		"List of etcd servers to connect to (scheme://ip:port), comma separated. By default the server embeds an etcd in --data-dir.")
	describe(sets.FlagSet("etcd"), "enable-garbage-collector",
		"Leave foreground and orphaning deletions to a garbage collector. In a cluster it is that of kube-controller-manager, whose flag "+
			"must be the same. On a standalone server it is one of the controllers, and the flag must be the same on all replicas. If false, or "+
			"without the controllers of a standalone server, such deletions delete only the object itself.")
	o.addQuotaFlag(sets.FlagSet("etcd"))
	o.Admission.AddFlags(sets.FlagSet("admission"))
	o.addClusterFlags(sets.FlagSet("cluster"))
	o.Gateway.addFlags(sets.FlagSet("cluster"))
	o.addControllerFlags(sets.FlagSet("controllers"))
	o.Run.AddUniversalFlags(sets.FlagSet("requests"))
	o.Audit.AddFlags(sets.FlagSet("audit"))
	o.Features.AddFlags(sets.FlagSet("features"))
	describe(sets.FlagSet("features"), "enable-priority-and-fairness",
		"Queue and dispatch requests by priority and with a fair share for each user, as the cluster's FlowSchemas and "+
			"PriorityLevelConfigurations say. "+
			"A standalone server uses those that a new cluster has. The sum of the two limits on requests in flight is how many requests run "+
			"at a time. If false, the two limits apply separately, without fairness.")
	o.Tracing.AddFlags(sets.FlagSet("tracing"))
	o.Metrics.AddFlags(sets.FlagSet("metrics"))
	logsapi.AddFlags(o.Logs, sets.FlagSet("logs"))
}

// Changed reports whether a flag of the topic portolan was set.
func (o *Options) Changed(flag string) bool { return o.flags != nil && o.flags.Changed(flag) }

// adopt adds the flags of an option group, except those without effect in this server.
func adopt(into *pflag.FlagSet, addFlags func(*pflag.FlagSet), except ...string) {
	all := pflag.NewFlagSet("", pflag.ContinueOnError)
	addFlags(all)
	all.VisitAll(func(flag *pflag.Flag) {
		if !slices.Contains(except, flag.Name) {
			into.AddFlag(flag)
		}
	})
}

// describe replaces the usage of a flag of an option group.
func describe(fs *pflag.FlagSet, name, usage string) {
	if flag := fs.Lookup(name); flag != nil {
		flag.Usage = usage
	}
}

// Embedded reports whether the server embeds its etcd.
func (o *Options) Embedded() bool { return len(o.Etcd.StorageConfig.Transport.ServerList) == 0 }

// Complete sets the options that follow from others.
func (o *Options) Complete() error {
	o.Admission.DefaultOffPlugins = o.unusablePlugins()
	if !o.InCluster() && !o.HasControllers() {
		// Nothing would remove the finalizers of a foreground or orphaning deletion.
		o.Etcd.EnableGarbageCollection = false
	}
	if o.Run.MaxRequestsInFlight+o.Run.MaxMutatingRequestsInFlight == 0 {
		// Without a limit there is nothing to share.
		o.Features.EnablePriorityAndFairness = false
	}
	return o.Run.Complete()
}

// Validate returns all errors in the options.
func (o *Options) Validate() error {
	var errs []error
	errs = append(errs, validateClusterIPRanges(o.ClusterIPRanges)...)
	if _, err := space.PortSpans(o.NodePortRanges, nil); err != nil {
		errs = append(errs, fmt.Errorf("--service-node-port-range: %w", err))
	}
	if _, err := o.ServiceProxyNetworks(); err != nil {
		errs = append(errs, err)
	}
	if o.DataDir == "" {
		errs = append(errs, errors.New("--data-dir must not be empty"))
	}
	errs = append(errs, o.pairErrors()...)
	errs = append(errs, o.clusterErrors()...)
	errs = append(errs, o.userErrors()...)
	errs = append(errs, o.servingSecretErrors()...)
	errs = append(errs, o.Connections.errors()...)
	errs = append(errs, o.coreErrors()...)
	errs = append(errs, o.gatewayErrors()...)
	errs = append(errs, o.Run.Validate()...)
	errs = append(errs, o.SecureServing.Validate()...)
	errs = append(errs, o.Authentication.Validate()...)
	errs = append(errs, o.Authorization.Validate()...)
	errs = append(errs, o.etcdErrors()...)
	errs = append(errs, o.quotaErrors()...)
	errs = append(errs, o.Admission.Validate()...)
	errs = append(errs, o.pluginErrors()...)
	errs = append(errs, o.Controllers.Validate()...)
	errs = append(errs, o.Audit.Validate()...)
	errs = append(errs, o.Features.Validate()...)
	errs = append(errs, o.Tracing.Validate()...)
	errs = append(errs, o.Metrics.Validate()...)
	return utilerrors.NewAggregate(errs)
}

// etcdErrors validates the etcd options. The framework requires an address, which an
// embedded etcd doesn't have, so it checks a copy with one.
func (o *Options) etcdErrors() []error {
	check := *o.Etcd
	if o.Embedded() {
		check.StorageConfig.Transport.ServerList = []string{"embedded"}
	}
	return check.Validate()
}

// unusablePlugins returns the admission plugins that lack the API that they use.
func (o *Options) unusablePlugins() sets.Set[string] {
	switch {
	case o.InCluster():
		return admission.RequireCoreAPI()
	case o.Core():
		return admission.RequireQuotas()
	default:
		return admission.RequireCluster().Union(admission.RequireCoreAPI())
	}
}

func (o *Options) pluginErrors() []error {
	var errs []error
	for _, name := range o.Admission.EnablePlugins {
		switch {
		case !o.unusablePlugins().Has(name):
		case admission.RequireCoreAPI().Has(name):
			errs = append(errs, fmt.Errorf("--enable-admission-plugins: %s is for objects that are served only with --serve-core", name))
		default:
			errs = append(errs, fmt.Errorf("--enable-admission-plugins: %s needs a cluster: set --kubeconfig or --in-cluster", name))
		}
	}
	return errs
}

// validateClusterIPRanges has upstream's rules and error texts
// (cmd/kube-apiserver/app/options/validation.go).
func validateClusterIPRanges(ranges []string) []error {
	const flag = "--" + ClusterIPRangeFlag
	if len(ranges) == 0 {
		return []error{fmt.Errorf("%s must contain at least one valid cidr", flag)}
	}
	if len(ranges) > 2 {
		return []error{fmt.Errorf("%s must not contain more than two entries", flag)}
	}
	var prefixes []netip.Prefix
	for _, text := range ranges {
		prefix, err := parseCIDR(text)
		if err != nil {
			return []error{fmt.Errorf("%s: %w", flag, err)}
		}
		prefixes = append(prefixes, prefix)
	}
	if len(prefixes) == 2 && prefixes[0].Addr().Is4() == prefixes[1].Addr().Is4() {
		return []error{fmt.Errorf("%s[0] and %s[1] must be of different IP family", flag, flag)}
	}
	// The first ServiceCIDR is validated here, because it is created only when the server
	// is already running.
	seed := &v1.ServiceCIDR{ObjectMeta: metav1.ObjectMeta{Name: v1.DefaultRangeName}, Spec: v1.ServiceCIDRSpec{CIDRs: ranges}}
	var errs []error
	for _, err := range validation.ValidateServiceCIDRCreate(seed) {
		errs = append(errs, fmt.Errorf("%s: %s", flag, err.ErrorBody()))
	}
	return errs
}

// ServiceProxyNetworks returns the networks in --service-proxy-allow-cidrs. It fails if
// one is not a CIDR.
func (o *Options) ServiceProxyNetworks() ([]netip.Prefix, error) {
	var networks []netip.Prefix
	for _, text := range o.ServiceProxyAllowCIDRs {
		network, err := parseCIDR(text)
		if err != nil {
			return nil, fmt.Errorf("--%s: %w", serviceProxyFlag, err)
		}
		if network.Addr().Is4In6() {
			return nil, fmt.Errorf("--%s: %s holds IPv4 addresses in the form of IPv6 ones: list them as IPv4", serviceProxyFlag, network)
		}
		networks = append(networks, network)
	}
	return networks, nil
}

func parseCIDR(text string) (netip.Prefix, error) {
	if _, err := netip.ParseAddr(text); err == nil {
		return netip.Prefix{}, fmt.Errorf("%s has no prefix length, such as the /12 of 10.96.0.0/12", text)
	}
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		return prefix, fmt.Errorf("%q is not a CIDR, such as 10.96.0.0/12 or fd00:10:96::/112", text)
	}
	if prefix != prefix.Masked() {
		return prefix, fmt.Errorf("%s has bits set beyond the prefix length: use %s", prefix, prefix.Masked())
	}
	return prefix, nil
}
