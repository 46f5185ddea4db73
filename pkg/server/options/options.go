// Package options are the flags of the server, by topic.
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
	// watchGracePeriod is how long a server that stops waits for watches to end,
	// which it has told to.
	watchGracePeriod = 10 * time.Second
	storageMediaType = "application/vnd.kubernetes.protobuf"

	// ClusterIPRangeFlag is the flag that seeds the ServiceCIDR of an empty store.
	ClusterIPRangeFlag = "service-cluster-ip-range"
	// NodePortRangeFlag is the flag that seeds its NodePortRange.
	NodePortRangeFlag = "service-node-port-range"
	serviceProxyFlag  = "service-proxy-allow-cidrs"
)

// Options are what the flags say.
type Options struct {
	// DataDir holds the embedded etcd, and the certificates that the server
	// makes for itself.
	DataDir string
	// ClusterIPRanges seed the first ServiceCIDR: one CIDR, or one of each IP
	// family, the default family first.
	ClusterIPRanges []string
	// NodePortRanges seed the first NodePortRange.
	NodePortRanges []string
	// ServiceProxyAllowCIDRs are networks whose addresses may be reached through
	// Services without a Pod that has them.
	ServiceProxyAllowCIDRs []string
	// ServeCore is --serve-core; nil where it is not set. See Core.
	ServeCore *bool
	// KubernetesService makes a server with the core API groups keep the Service
	// kubernetes of the namespace default.
	KubernetesService bool
	// EventTTL is how long Events are kept.
	EventTTL time.Duration
	// EmbeddedQuotaBytes limits what the embedded etcd may hold.
	EmbeddedQuotaBytes int64
	// ServiceAccount says that the cluster is the one whose Pod the server runs
	// in, and that it is asked with the Pod's service account.
	ServiceAccount bool
	// ServingSecret is NAMESPACE/NAME of the Secret that has the certificate for
	// HTTPS, and ServingService the Service that it is for.
	ServingSecret, ServingService string
	// WithControllers says that the controllers run in this process as well,
	// where there is a cluster.
	WithControllers bool
	// Users are for a server without a cluster.
	Users UserOptions
	// Connections limit what callers hold who are not known.
	Connections ConnectionOptions

	Run            *genericoptions.ServerRunOptions
	SecureServing  *genericoptions.SecureServingOptionsWithLoopback
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

	// flags are those of topic portolan, nil where none were parsed.
	flags *pflag.FlagSet
}

// New makes options with the defaults: everything on this machine, on loopback.
func New() *Options {
	o := &Options{
		DataDir:            "./" + defaultDataDir,
		ClusterIPRanges:    []string{"10.96.0.0/12"},
		NodePortRanges:     []string{"30000-32767"},
		WithControllers:    true,
		KubernetesService:  true,
		EventTTL:           time.Hour,
		EmbeddedQuotaBytes: quota.DefaultBytes,
		Connections:        newConnectionOptions(),
		Run:                genericoptions.NewServerRunOptions(),
		SecureServing:      genericoptions.NewSecureServingOptions().WithLoopback(),
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
	// Upstream's 0 lets a server that is to stop wait a minute for watches, which
	// nobody ends.
	o.Run.ShutdownWatchTerminationGracePeriod = watchGracePeriod
	o.SecureServing.BindPort = defaultPort
	o.SecureServing.BindAddress = net.IPv4(127, 0, 0, 1)
	o.SecureServing.Required = true
	o.SecureServing.ServerCert.CertDirectory = ""
	// Through the aggregation layer all clients come on a few connections, and
	// each watch is a stream (genericoptions.NewRecommendedOptions).
	o.SecureServing.HTTP2MaxStreamsPerConnection = 1000
	o.Etcd.DefaultStorageMediaType = storageMediaType
	// The server has its own connection to etcd, which may have no address.
	o.Etcd.SkipHealthEndpoints = true
	return o
}

// AddFlags adds the flags by topic, in the order of --help.
func (o *Options) AddFlags(sets *cliflag.NamedFlagSets) {
	fs := sets.FlagSet("portolan")
	o.flags = fs
	fs.StringVar(&o.DataDir, "data-dir", o.DataDir,
		"Directory of the embedded etcd and of the certificates that the server makes for itself. It is made if it isn't there.")
	fs.StringSliceVar(&o.ClusterIPRanges, ClusterIPRangeFlag, o.ClusterIPRanges,
		"CIDRs that cluster IPs are allocated from: one, or one of each IP family, the default family first. "+
			"They seed the ServiceCIDR named kubernetes of an empty store; afterwards the ServiceCIDR objects rule.")
	fs.StringSliceVar(&o.NodePortRanges, NodePortRangeFlag, o.NodePortRanges,
		"Ports, such as 443 or 30000-32767, that node ports are allocated from. "+
			"They seed the NodePortRange named kubernetes of an empty store; afterwards the NodePortRange objects rule.")
	fs.StringSliceVar(&o.ServiceProxyAllowCIDRs, serviceProxyFlag, o.ServiceProxyAllowCIDRs,
		"CIDRs of the endpoints that may be reached through services/{name}/proxy without being a Pod's. "+
			"Others are reached only if, as the cluster says, they are the addresses of Pods in the Service's namespace. "+
			"Loopback, link-local and this machine's own addresses need a CIDR with nothing else in it, such as 127.0.0.1/32. "+
			"Without a cluster, such a CIDR of loopback also lets Endpoints and EndpointSlices have its addresses, which are refused otherwise.")
	o.addCoreFlags(fs)

	adopt(sets.FlagSet("serving"), o.SecureServing.AddFlags, "cert-dir")
	describe(sets.FlagSet("serving"), "tls-cert-file",
		"File containing the x509 certificate for HTTPS, with its CA's after it if there is one. Without it the server makes one and keeps it in --data-dir.")
	o.addServingSecretFlags(sets.FlagSet("serving"))
	o.Connections.addFlags(sets.FlagSet("serving"))
	o.Users.addFlags(sets.FlagSet("users"))
	o.addAuthFlags(sets)
	// All resources are in one etcd, since a transaction spans them, and all
	// have a watch cache.
	adopt(sets.FlagSet("etcd"), o.Etcd.AddFlags, "etcd-servers-overrides", "storage-backend",
		"watch-cache", "watch-cache-sizes", "default-watch-cache-size", "etcd-readycheck-timeout")
	describe(sets.FlagSet("etcd"), "etcd-servers",
		"List of etcd servers to connect with (scheme://ip:port), comma separated. Without it the server runs an etcd of its own in --data-dir.")
	describe(sets.FlagSet("etcd"), "enable-garbage-collector",
		"Leave what foreground and orphaning deletions ask for to the garbage collector of the cluster's kube-controller-manager, whose flag must be the same. "+
			"If false, and where there is no cluster, such deletions delete the object and nothing else.")
	o.addQuotaFlag(sets.FlagSet("etcd"))
	o.Admission.AddFlags(sets.FlagSet("admission"))
	o.addClusterFlags(sets.FlagSet("cluster"))
	o.addControllerFlags(sets.FlagSet("controllers"))
	o.Run.AddUniversalFlags(sets.FlagSet("requests"))
	o.Audit.AddFlags(sets.FlagSet("audit"))
	o.Features.AddFlags(sets.FlagSet("features"))
	describe(sets.FlagSet("features"), "enable-priority-and-fairness",
		"Queue and dispatch requests by priority and with a fair share for each user, as the cluster's FlowSchemas and PriorityLevelConfigurations say or, "+
			"without a cluster, as the ones do that a cluster begins with. As many run at a time as the two limits on requests in flight add up to. "+
			"If false, those two limit them and nothing is fair.")
	o.Tracing.AddFlags(sets.FlagSet("tracing"))
	o.Metrics.AddFlags(sets.FlagSet("metrics"))
	logsapi.AddFlags(o.Logs, sets.FlagSet("logs"))
}

// Changed says whether somebody set a flag of the topic portolan.
func (o *Options) Changed(flag string) bool { return o.flags != nil && o.flags.Changed(flag) }

// adopt takes over the flags of an option group but for those that nothing
// here would heed.
func adopt(into *pflag.FlagSet, addFlags func(*pflag.FlagSet), except ...string) {
	all := pflag.NewFlagSet("", pflag.ContinueOnError)
	addFlags(all)
	all.VisitAll(func(flag *pflag.Flag) {
		if !slices.Contains(except, flag.Name) {
			into.AddFlag(flag)
		}
	})
}

// describe says what a flag of an option group means for this server.
func describe(fs *pflag.FlagSet, name, usage string) {
	if flag := fs.Lookup(name); flag != nil {
		flag.Usage = usage
	}
}

// Embedded says whether the server runs its own etcd.
func (o *Options) Embedded() bool { return len(o.Etcd.StorageConfig.Transport.ServerList) == 0 }

// Complete fills in what follows from other options.
func (o *Options) Complete() error {
	o.Admission.DefaultOffPlugins = o.unusablePlugins()
	if !o.InCluster() {
		// Nobody would remove the finalizers of a foreground or orphaning deletion.
		o.Etcd.EnableGarbageCollection = false
	}
	if o.Run.MaxRequestsInFlight+o.Run.MaxMutatingRequestsInFlight == 0 {
		// There is no limit to be fair about.
		o.Features.EnablePriorityAndFairness = false
	}
	return o.Run.Complete()
}

// Validate looks for everything that is wrong with the options.
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

// etcdErrors leaves out the framework's demand for addresses, which an
// embedded etcd doesn't have.
func (o *Options) etcdErrors() []error {
	check := *o.Etcd
	if o.Embedded() {
		check.StorageConfig.Transport.ServerList = []string{"embedded"}
	}
	return check.Validate()
}

// unusablePlugins are the admission plugins that have nobody to ask.
func (o *Options) unusablePlugins() sets.Set[string] {
	switch {
	case o.InCluster():
		return admission.NeedCore()
	case o.Core():
		return admission.NeedMore()
	default:
		return admission.NeedCluster().Union(admission.NeedCore())
	}
}

func (o *Options) pluginErrors() []error {
	var errs []error
	for _, name := range o.Admission.EnablePlugins {
		switch {
		case !o.unusablePlugins().Has(name):
		case admission.NeedCore().Has(name):
			errs = append(errs, fmt.Errorf("--enable-admission-plugins: %s is about what is served with --serve-core alone", name))
		default:
			errs = append(errs, fmt.Errorf("--enable-admission-plugins: %s asks a cluster's API server: name one with --kubeconfig or --in-cluster",
				name))
		}
	}
	return errs
}

// validateClusterIPRanges has upstream's rules and words
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
	// What the first ServiceCIDR must be like is said here rather than when it
	// is created, when the server runs already.
	seed := &v1.ServiceCIDR{ObjectMeta: metav1.ObjectMeta{Name: v1.DefaultRangeName}, Spec: v1.ServiceCIDRSpec{CIDRs: ranges}}
	var errs []error
	for _, err := range validation.ValidateServiceCIDRCreate(seed) {
		errs = append(errs, fmt.Errorf("%s: %s", flag, err.ErrorBody()))
	}
	return errs
}

// ServiceProxyNetworks are the networks that --service-proxy-allow-cidrs lists.
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
		return prefix, fmt.Errorf("%s has bits set beyond the prefix length: %s is meant", prefix, prefix.Masked())
	}
	return prefix, nil
}
