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
		"Serve the core API groups as a kube-apiserver does: "+shared+". A standalone server does by default, and also serves "+others+". "+
			"With a cluster the server becomes a gateway: it forwards every other request to the cluster's API server.",
		func(text string) error {
			serve, err := strconv.ParseBool(text)
			o.ServeCore = &serve
			return err
		})
	fs.BoolVar(&o.KubernetesService, "kubernetes-service", o.KubernetesService,
		"With --serve-core on a standalone server, maintain the Service kubernetes of the namespace default. Its endpoints are the servers, "+
			"at --advertise-address or, by default, --bind-address. A server on loopback is not among them.")
	fs.DurationVar(&o.EventTTL, "event-ttl", o.EventTTL, "How long events are kept.")
}

// Core reports whether the core API groups are served beside portolan.dev.
func (o *Options) Core() bool {
	if o.ServeCore != nil {
		return *o.ServeCore
	}
	return !o.InCluster()
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

func (o *Options) coreErrors() []error {
	if o.EventTTL < time.Second {
		return []error{errors.New("--event-ttl must be at least 1s")}
	}
	return nil
}
