package servicecidr

import (
	"math"
	"testing"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

type fixedUsage map[string]v1.CIDRUsage

func (u fixedUsage) CIDRUsage(cidr string) (capacity, allocated, free int64) {
	return u[cidr].Capacity, u[cidr].Allocated, u[cidr].Free
}

// TestLargeUsage shows numbers that exceed the integers of the API.
func TestLargeUsage(t *testing.T) {
	t.Parallel()
	cidr := &v1.ServiceCIDR{Spec: v1.ServiceCIDRSpec{CIDRs: []string{"10.96.0.0/12", "fd00:10::/48", "fd00:20::/65"}}}
	fillOne(fixedUsage{
		"10.96.0.0/12": {Capacity: 1048574, Allocated: 2, Free: 1048572},
		"fd00:10::/48": {Capacity: math.MaxInt64, Allocated: 2, Free: math.MaxInt64},
		"fd00:20::/65": {Capacity: math.MaxInt64, Allocated: 1, Free: math.MaxInt64 - 1},
	}, cidr)
	for _, column := range []struct {
		figure func(v1.CIDRUsage) string
		want   string
	}{
		{capacity, "1048574,1208925819614629174706175,9223372036854775807"},
		{allocated, "2,2,1"},
		{free, "1048572,1208925819614629174706173,9223372036854775806"},
	} {
		if got := usageCell(cidr, column.figure); got != column.want {
			t.Errorf("got %s, want %s", got, column.want)
		}
	}
	want := v1.CIDRUsage{CIDR: "fd00:10::/48", Capacity: math.MaxInt64, Allocated: 2, Free: math.MaxInt64,
		ExactCapacity: "1208925819614629174706175", ExactFree: "1208925819614629174706173"}
	if got := cidr.Status.CIDRs[1]; got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := cidr.Status.CIDRs[2]; got.ExactCapacity != "" || got.ExactFree != "" {
		t.Errorf("numbers that fit have exact ones too: %+v", got)
	}
}
