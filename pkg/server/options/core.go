package options

import (
	"errors"
	"strconv"
	"time"

	"github.com/spf13/pflag"
)

func (o *Options) addCoreFlags(fs *pflag.FlagSet) {
	fs.BoolFunc("serve-core",
		"Serve the same objects as a kube-apiserver does: Services and Endpoints as v1, EndpointSlices as discovery.k8s.io/v1, "+
			"ServiceCIDRs and IPAddresses as networking.k8s.io/v1, and beside them namespaces, nodes, pods, events and leases. Without a cluster that is the default; with one it is the cluster's to do.",
		func(text string) error {
			serve, err := strconv.ParseBool(text)
			o.ServeCore = &serve
			return err
		})
	fs.DurationVar(&o.EventTTL, "event-ttl", o.EventTTL, "How long events are kept.")
}

// Core says whether there is a second door: the paths at which a kube-apiserver
// serves what is served in portolan.dev.
func (o *Options) Core() bool {
	if o.ServeCore != nil {
		return *o.ServeCore
	}
	return !o.InCluster()
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
