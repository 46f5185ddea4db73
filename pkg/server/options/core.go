package options

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"github.com/spf13/pflag"
	utilnet "k8s.io/apimachinery/pkg/util/net"
)

func (o *Options) addCoreFlags(fs *pflag.FlagSet) {
	shared, others := coreResources()
	boolOrUnset(fs, &o.ServeCore, "serve-core",
		"Serve the core API groups as a kube-apiserver does: "+shared+". A standalone server does by default, and also serves "+others+". "+
			"With a cluster the server becomes a gateway: it forwards every other request to the cluster's API server.")
	boolOrUnset(fs, &o.KubernetesService, kubernetesServiceFlag,
		"With --serve-core, maintain the Service kubernetes of the namespace default, through which Pods find the API server. "+
			"Its endpoints are the servers, at --advertise-address or, by default, --bind-address. A server on loopback is not among them. "+
			"A standalone server maintains it by default. With a cluster, set the flag only if Pods trust the server's certificate: it must "+
			"be signed by the cluster's authority, for kubernetes.default.svc and the first address of the range.")
	fs.DurationVar(&o.EventTTL, "event-ttl", o.EventTTL, "How long events are kept.")
}

// boolOrUnset adds a Boolean flag whose target stays nil if it is not set.
func boolOrUnset(fs *pflag.FlagSet, target **bool, name, usage string) {
	fs.BoolFunc(name, usage, func(text string) error {
		value, err := strconv.ParseBool(text)
		*target = &value
		return err
	})
}

// Core reports whether the core API groups are served beside portolan.dev.
func (o *Options) Core() bool {
	if o.ServeCore != nil {
		return *o.ServeCore
	}
	return !o.InCluster()
}

// KeepsKubernetesService reports whether the server maintains the Service kubernetes.
// Where it does not, in a cluster, the Service is left to the cluster.
func (o *Options) KeepsKubernetesService() bool {
	if o.Core() && o.KubernetesService != nil {
		return *o.KubernetesService
	}
	return o.Core() && !o.InCluster()
}

// Advertised returns the address at which others reach the server. The address is
// invalid if it isn't known, or if the server listens only on loopback.
func (o *Options) Advertised() netip.Addr {
	address := o.Run.AdvertiseAddress
	if len(address) == 0 || address.IsUnspecified() {
		address = o.SecureServing.BindAddress
	}
	if address.IsUnspecified() {
		resolved, err := utilnet.ResolveBindAddress(address)
		if err != nil {
			return netip.Addr{}
		}
		address = resolved
	}
	advertised, ok := netip.AddrFromSlice(address)
	if !ok || address.IsLoopback() {
		return netip.Addr{}
	}
	return advertised.Unmap()
}

// FirstAddress returns the first address of the default range in the flags: the address of
// the Service kubernetes in a new store.
func (o *Options) FirstAddress() netip.Addr {
	if len(o.ClusterIPRanges) == 0 {
		return netip.Addr{}
	}
	prefix, err := parseCIDR(o.ClusterIPRanges[0])
	if err != nil {
		return netip.Addr{}
	}
	return prefix.Masked().Addr().Next()
}

func (o *Options) coreErrors() []error {
	if o.EventTTL < time.Second {
		return []error{errors.New("--event-ttl must be at least 1s")}
	}
	if o.InCluster() && o.KubernetesService != nil && *o.KubernetesService {
		return o.clusterServiceErrors()
	}
	return nil
}

// clusterServiceErrors returns what makes --kubernetes-service impossible with a cluster.
// A Service without endpoints would cut Pods off.
func (o *Options) clusterServiceErrors() []error {
	if !o.Core() {
		return []error{fmt.Errorf("--%s with a cluster needs --serve-core", kubernetesServiceFlag)}
	}
	if !o.Advertised().IsValid() {
		return []error{fmt.Errorf("--%s: Pods cannot reach a server on loopback: set --bind-address or --advertise-address",
			kubernetesServiceFlag)}
	}
	return nil
}
