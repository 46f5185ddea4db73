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

// MaxLease is the longest that a lease can be. A longer one in the lock counts as
// this: no process of Portolan wrote it.
const MaxLease = 10 * time.Minute

// Options are what the flags say. Their names, defaults and bounds are
// kube-controller-manager's where it has the same.
type Options struct {
	LeaderElection config.LeaderElectionConfiguration
	// Workers is how many Services each controller works on at a time.
	Workers int
	// BatchPeriod is how long changes of Pods are let collect before they are
	// written.
	BatchPeriod time.Duration
	// MaxEndpointsPerSlice is how many endpoints a slice has at most.
	MaxEndpointsPerSlice int32
	// MaxMirrored is how many addresses of a subset of Endpoints are mirrored.
	MaxMirrored int32
}

// NewOptions makes options with the defaults.
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

// AddFlags adds the flags.
func (o *Options) AddFlags(fs *pflag.FlagSet) {
	fs.IntVar(&o.Workers, "concurrent-endpoint-syncs", o.Workers,
		"How many Services each controller works on at a time.")
	fs.DurationVar(&o.BatchPeriod, "endpoint-updates-batch-period", o.BatchPeriod,
		"How long changes of Pods are let collect before Endpoints and EndpointSlices are written. Longer means fewer writes, and later ones.")
	fs.Int32Var(&o.MaxEndpointsPerSlice, "max-endpoints-per-slice", o.MaxEndpointsPerSlice,
		"How many endpoints an EndpointSlice made from Pods has at most.")
	fs.Int32Var(&o.MaxMirrored, "mirroring-max-endpoints-per-subset", o.MaxMirrored,
		"How many addresses of each subset of Endpoints written by hand are mirrored to EndpointSlices at most.")
	configoptions.BindLeaderElectionFlags(&o.LeaderElection, fs)
}

// Validate looks for everything that is wrong with the options.
func (o *Options) Validate() []error {
	var errs []error
	between := func(flag string, value, min, max int) {
		if value < min || value > max {
			errs = append(errs, fmt.Errorf("--%s must be between %d and %d, not %d", flag, min, max, value))
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
	// A Lease counts in seconds: without the rest it could end before who has it
	// has given up.
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
