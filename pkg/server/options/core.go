package options

import (
	"errors"
	"net/netip"
	"strconv"
	"time"

	"github.com/spf13/pflag"
	utilnet "k8s.io/apimachinery/pkg/util/net"
)

func (o *Options) addCoreFlags(fs *pflag.FlagSet) {
	shared, others := coreKinds()
	fs.BoolFunc("serve-core",
		"Serve the same objects as a kube-apiserver does: "+shared+", and beside them "+others+". "+
			"Without a cluster that is the default; with one it is the cluster's to do.",
		func(text string) error {
			serve, err := strconv.ParseBool(text)
			o.ServeCore = &serve
			return err
		})
	fs.BoolVar(&o.KubernetesService, "kubernetes-service", o.KubernetesService,
		"With --serve-core, keep the Service kubernetes of the namespace default, which leads to the servers: to their --advertise-address or, "+
			"without it, to --bind-address. On loopback it leads nowhere.")
	fs.DurationVar(&o.EventTTL, "event-ttl", o.EventTTL, "How long events are kept.")
}

// Core reports whether the core API groups are served beside portolan.dev.
func (o *Options) Core() bool {
	if o.ServeCore != nil {
		return *o.ServeCore
	}
	return !o.InCluster()
}

// Advertised is the address at which others reach the server. It is not valid
// where they can't, since the server listens on loopback alone, or where it isn't
// known.
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

func (o *Options) coreErrors() []error {
	if o.InCluster() && o.Core() {
		return []error{errors.New("--serve-core: with --kubeconfig or --in-cluster these paths are the cluster's own")}
	}
	if o.EventTTL < time.Second {
		return []error{errors.New("--event-ttl must be a second at least")}
	}
	return nil
}
