package options

import "github.com/spf13/pflag"

func (o *Options) addControllerFlags(fs *pflag.FlagSet) {
	fs.BoolVar(&o.WithControllers, "controllers", o.WithControllers,
		"Run the controllers that make Endpoints and EndpointSlices out of Pods, the cluster's or the server's own, in one of all replicas at a time. "+
			"With neither there are none. portolan controllers runs them in a process of their own.")
	o.Controllers.AddFlags(fs)
}

// HasControllers says whether the controllers run in this process as well.
func (o *Options) HasControllers() bool { return o.WithControllers && (o.InCluster() || o.Core()) }
