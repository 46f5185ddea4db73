package servicecidr

import (
	"math"
	"testing"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

// TestLargeUsage shows numbers that exceed the fields.
func TestLargeUsage(t *testing.T) {
	t.Parallel()
	cidr := &v1.ServiceCIDR{
		Spec: v1.ServiceCIDRSpec{CIDRs: []string{"10.96.0.0/12", "fd00:10::/48"}},
		Status: v1.ServiceCIDRStatus{CIDRs: []v1.CIDRUsage{
			{CIDR: "10.96.0.0/12", Capacity: 1048574, Allocated: 2, Free: 1048572},
			{CIDR: "fd00:10::/48", Capacity: math.MaxInt64, Allocated: 2, Free: math.MaxInt64},
		}},
	}
	for _, column := range []struct {
		figure func(v1.CIDRUsage) string
		want   string
	}{
		{capacity, "1048574,1208925819614629174706175"},
		{allocated, "2,2"},
		{free, "1048572,1208925819614629174706173"},
	} {
		if got := usageCell(cidr, column.figure); got != column.want {
			t.Errorf("got %s, want %s", got, column.want)
		}
	}
}
