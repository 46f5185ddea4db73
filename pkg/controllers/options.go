package controllers

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/pflag"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/component-base/config"
	configoptions "k8s.io/component-base/config/options"
)

// MaxLease is the longest duration of a lease. A longer one was not written by Portolan
// and counts as MaxLease.
const MaxLease = 10 * time.Minute

// MirrorFlag is the name of the flag that mirrors a cluster's Services.
const MirrorFlag = "mirror-cluster-services"

// WriteBackFlag is the name of the flag that copies Services to the cluster.
const WriteBackFlag = "write-back-services"

// Options holds the flags of the controllers. Where kube-controller-manager has the
// same flag, name, default and bounds are the same.
type Options struct {
	LeaderElection config.LeaderElectionConfiguration
	// Workers is the number of Services that each controller syncs concurrently.
	Workers int
	// BatchPeriod is the time for which Pod changes are batched into one write.
	BatchPeriod time.Duration
	// MaxEndpointsPerSlice is the most endpoints that a slice made from Pods holds.
	MaxEndpointsPerSlice int32
	// MaxMirrored is the most addresses of one Endpoints subset that are mirrored.
	MaxMirrored int32
	// MirrorClusterServices copies the cluster's own Services into Portolan.
	MirrorClusterServices bool
	// WriteBackServices copies the Services that kube-apiserver connects to into the cluster.
	WriteBackServices bool
}

// NewOptions returns options with defaults.
func NewOptions() *Options {
	return &Options{
		LeaderElection: config.LeaderElectionConfiguration{
			LeaderElect:       true,
			LeaseDuration:     metav1.Duration{Duration: 15 * time.Second},
			RenewDeadline:     metav1.Duration{Duration: 10 * time.Second},
			RetryPeriod:       metav1.Duration{Duration: 2 * time.Second},
			ResourceLock:      resourcelock.LeasesResourceLock,
			ResourceName:      "portolan-controllers",
			ResourceNamespace: "portolan",
		},
		Workers:              5,
		MaxEndpointsPerSlice: 100,
		MaxMirrored:          1000,
	}
}

// AddFlags adds the flags to fs.
func (o *Options) AddFlags(fs *pflag.FlagSet) {
	fs.IntVar(&o.Workers, "concurrent-endpoint-syncs", o.Workers,
		"The number of Services that each controller syncs concurrently.")
	fs.DurationVar(&o.BatchPeriod, "endpoint-updates-batch-period", o.BatchPeriod,
		"How long Pod changes are batched before Endpoints and EndpointSlices are written. A longer period means fewer but later writes.")
	fs.Int32Var(&o.MaxEndpointsPerSlice, "max-endpoints-per-slice", o.MaxEndpointsPerSlice,
		"The maximum number of endpoints in an EndpointSlice made from Pods.")
	fs.Int32Var(&o.MaxMirrored, "mirroring-max-endpoints-per-subset", o.MaxMirrored,
		"The maximum number of addresses that are mirrored to EndpointSlices from each subset of handwritten Endpoints.")
	fs.BoolVar(&o.MirrorClusterServices, MirrorFlag, o.MirrorClusterServices,
		"Copy the Services, Endpoints and EndpointSlices of the cluster's API server into Portolan, where they are read-only, and claim their "+
			"addresses and ports. The user of the cluster's kubeconfig needs the rights of artifacts/cluster/mirror.")
	fs.BoolVar(&o.WriteBackServices, WriteBackFlag, o.WriteBackServices,
		"Copy the Services of admission and conversion webhooks and of aggregated APIs to the cluster, where kube-apiserver finds them. The "+
			"user of the cluster's kubeconfig needs the rights of artifacts/cluster/write-back.")
	configoptions.BindLeaderElectionFlags(&o.LeaderElection, fs)
}

// Validate returns all errors in the options.
func (o *Options) Validate() []error {
	var errs []error
	between := func(flag string, value, least, most int) {
		if value < least || value > most {
			errs = append(errs, fmt.Errorf("--%s must be between %d and %d, not %d", flag, least, most, value))
		}
	}
	between("concurrent-endpoint-syncs", o.Workers, 1, 1000)
	between("max-endpoints-per-slice", int(o.MaxEndpointsPerSlice), 1, 1000)
	between("mirroring-max-endpoints-per-subset", int(o.MaxMirrored), 1, 1000)
	if o.BatchPeriod < 0 {
		errs = append(errs, errors.New("--endpoint-updates-batch-period must not be negative"))
	}
	if !o.LeaderElection.LeaderElect {
		return errs
	}
	election := o.LeaderElection
	// A Lease stores whole seconds. Rounded down, it could expire before its holder
	// stops.
	if election.LeaseDuration.Duration%time.Second != 0 {
		errs = append(errs, errors.New("--leader-elect-lease-duration must be whole seconds"))
	}
	if election.LeaseDuration.Duration > MaxLease {
		errs = append(errs, fmt.Errorf("--leader-elect-lease-duration must be %v at most, not %v", MaxLease, election.LeaseDuration.Duration))
	}
	if election.LeaseDuration.Duration <= election.RenewDeadline.Duration {
		errs = append(errs, errors.New("--leader-elect-lease-duration must be longer than --leader-elect-renew-deadline"))
	}
	if election.RenewDeadline.Duration <= time.Duration(leaderelection.JitterFactor*float64(election.RetryPeriod.Duration)) {
		errs = append(errs, fmt.Errorf("--leader-elect-renew-deadline must be longer than %v times --leader-elect-retry-period",
			leaderelection.JitterFactor))
	}
	if election.RetryPeriod.Duration < time.Millisecond {
		errs = append(errs, errors.New("--leader-elect-retry-period must be longer than zero"))
	}
	if election.ResourceLock != resourcelock.LeasesResourceLock {
		errs = append(errs, fmt.Errorf("--leader-elect-resource-lock must be %s", resourcelock.LeasesResourceLock))
	}
	if election.ResourceName == "" || election.ResourceNamespace == "" {
		errs = append(errs, errors.New("--leader-elect-resource-name and --leader-elect-resource-namespace must not be empty"))
	}
	return errs
}
