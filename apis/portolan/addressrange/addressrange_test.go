package addressrange_test

import (
	"slices"
	"testing"

	"k8s.io/utils/ptr"

	"github.com/portolan-dev/portolan/apis/portolan/addressrange"
	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

func TestParse(t *testing.T) {
	for entry, want := range map[string]string{
		"192.0.2.0/24":              "192.0.2.0-192.0.2.255",
		"192.0.2.8/30":              "192.0.2.8-192.0.2.11",
		"192.0.2.7/32":              "192.0.2.7-192.0.2.7",
		"2001:db8::/64":             "2001:db8::-2001:db8::ffff:ffff:ffff:ffff",
		"2001:db8::/63":             "2001:db8::-2001:db8:0:1:ffff:ffff:ffff:ffff",
		"192.0.2.10-192.0.2.99":     "192.0.2.10-192.0.2.99",
		"2001:db8::1-2001:db8::ff":  "2001:db8::1-2001:db8::ff",
		"192.0.2.7":                 "192.0.2.7-192.0.2.7",
		"":                          "",
		"-":                         "",
		"192.0.2.9-":                "",
		"192.0.2.9-192.0.2.1":       "",
		"192.0.2.9-2001:db8::1":     "",
		"192.0.2.1-192.0.2.2-":      "",
		"192.0.2.1/24":              "",
		"192.0.2.0/33":              "",
		"192.0.2.0/24-192.0.3.0/24": "",
		"192.0.02.1":                "",
		"2001:DB8::1":               "",
		"2001:db8:0::/64":           "",
		"::ffff:192.0.2.1":          "",
		"::ffff:192.0.2.0/120":      "",
		"fe80::1%eth0":              "",
		"any":                       "",
	} {
		got, err := addressrange.Parse(entry)
		switch {
		case want == "" && err == nil:
			t.Errorf("%q: got %v", entry, got)
		case want != "" && err != nil:
			t.Errorf("%q: %v", entry, err)
		case want != "" && got.First.String()+"-"+got.Last.String() != want:
			t.Errorf("%q: got %v", entry, got)
		}
	}
}

func TestOfPool(t *testing.T) {
	for name, test := range map[string]struct {
		spec v1.LoadBalancerPoolSpec
		want []string
	}{
		"CIDR": {v1.LoadBalancerPoolSpec{CIDRs: []string{"192.0.2.0/24"}}, []string{"192.0.2.0-192.0.2.255"}},
		"mixed": {v1.LoadBalancerPoolSpec{CIDRs: []string{"2001:db8::/127", "192.0.2.0/31"}, Ranges: []string{"192.0.2.9-192.0.2.9"}},
			[]string{"192.0.2.0-192.0.2.1", "192.0.2.9-192.0.2.9", "2001:db8::-2001:db8::1"}},
		"exclusions": {v1.LoadBalancerPoolSpec{CIDRs: []string{"192.0.2.0/28"}, Exclude: []string{"192.0.2.15", "192.0.2.0-192.0.2.3",
			"192.0.2.8/31"}},
			[]string{"192.0.2.4-192.0.2.7", "192.0.2.10-192.0.2.14"}},
		"exclusion across two entries": {v1.LoadBalancerPoolSpec{CIDRs: []string{"192.0.2.0/30", "192.0.2.4/30"},
			Exclude: []string{"192.0.2.2-192.0.2.5"}},
			[]string{"192.0.2.0-192.0.2.1", "192.0.2.6-192.0.2.7"}},
		"everything excluded": {v1.LoadBalancerPoolSpec{CIDRs: []string{"192.0.2.0/30"}, Exclude: []string{"192.0.0.0/16"}}, nil},
		"last address of all": {v1.LoadBalancerPoolSpec{Ranges: []string{"255.255.255.254-255.255.255.255"},
			Exclude: []string{"255.255.255.255"}},
			[]string{"255.255.255.254-255.255.255.254"}},
		"buggy": {v1.LoadBalancerPoolSpec{CIDRs: []string{"192.0.2.0/23", "2001:db8::/120"}, AvoidBuggyIPs: ptr.To(true)},
			[]string{"192.0.2.1-192.0.2.254", "192.0.3.1-192.0.3.254", "2001:db8::-2001:db8::ff"}},
		"buggy, in part": {v1.LoadBalancerPoolSpec{Ranges: []string{"192.0.2.100-192.0.3.0"}, AvoidBuggyIPs: ptr.To(true),
			Exclude: []string{"192.0.2.101-192.0.2.253"}},
			[]string{"192.0.2.100-192.0.2.100", "192.0.2.254-192.0.2.254"}},
		"buggy at the end": {v1.LoadBalancerPoolSpec{CIDRs: []string{"255.255.255.0/24"}, AvoidBuggyIPs: ptr.To(true)},
			[]string{"255.255.255.1-255.255.255.254"}},
		"nothing but buggy": {v1.LoadBalancerPoolSpec{CIDRs: []string{"192.0.2.0/32"}, AvoidBuggyIPs: ptr.To(true)}, nil},
		"malformed":         {v1.LoadBalancerPoolSpec{CIDRs: []string{"any", "192.0.2.0/32"}}, []string{"192.0.2.0-192.0.2.0"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, r := range addressrange.OfPool(&test.spec) {
				got = append(got, r.First.String()+"-"+r.Last.String())
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}
