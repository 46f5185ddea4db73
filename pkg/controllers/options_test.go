package controllers

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestOptions(t *testing.T) {
	if errs := NewOptions().Validate(); len(errs) > 0 {
		t.Errorf("the defaults are wrong: %v", errs)
	}
	tests := map[string]func(*Options){
		"--concurrent-endpoint-syncs":                  func(o *Options) { o.Workers = 0 },
		"--max-endpoints-per-slice":                    func(o *Options) { o.MaxEndpointsPerSlice = 1001 },
		"--mirroring-max-endpoints-per-subset":         func(o *Options) { o.MaxMirrored = 0 },
		"--endpoint-updates-batch-period":              func(o *Options) { o.BatchPeriod = -1 },
		"--leader-elect-lease-duration must be longer": func(o *Options) { o.LeaderElection.LeaseDuration.Duration = time.Second },
		"--leader-elect-lease-duration must be whole": func(o *Options) {
			o.LeaderElection.LeaseDuration.Duration = 10*time.Second + 500*time.Millisecond
		},
		"--leader-elect-lease-duration must be 10m0s at most": func(o *Options) { o.LeaderElection.LeaseDuration.Duration = time.Hour },
		"--leader-elect-renew-deadline":                       func(o *Options) { o.LeaderElection.RenewDeadline.Duration = 2 * time.Second },
		"--leader-elect-retry-period":                         func(o *Options) { o.LeaderElection.RetryPeriod.Duration = 0 },
		"--leader-elect-resource-lock":                        func(o *Options) { o.LeaderElection.ResourceLock = "configmaps" },
		"--leader-elect-resource-name":                        func(o *Options) { o.LeaderElection.ResourceName = "" },
	}
	for message, spoil := range tests {
		t.Run(message, func(t *testing.T) {
			o := NewOptions()
			spoil(o)
			errs := o.Validate()
			if len(errs) != 1 || !strings.Contains(errs[0].Error(), message) {
				t.Errorf("got %v", errors.Join(errs...))
			}
			o.LeaderElection.LeaderElect = false
			if strings.HasPrefix(message, "--leader") && len(o.Validate()) > 0 {
				t.Error("it matters without leader election")
			}
		})
	}
}
