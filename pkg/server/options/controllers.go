package options

import "github.com/spf13/pflag"

func (o *Options) addControllerFlags(fs *pflag.FlagSet) {
	fs.BoolVar(&o.WithControllers, "controllers", o.WithControllers,
		"Run the controllers that create Endpoints and EndpointSlices from Pods of the cluster or of the server itself and, without a "+
			"cluster, the garbage collector, in one replica at a time. Without a cluster and with --serve-core=false there are no Pods, so they "+
			"don't run. portolan controllers runs them in a separate process, without the garbage collector.")
	o.Controllers.AddFlags(fs)
}

// HasControllers reports whether the controllers run in this process.
func (o *Options) HasControllers() bool { return o.WithControllers && (o.InCluster() || o.Core()) }
