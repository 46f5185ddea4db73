package options

import (
	"strings"
	"testing"

	cliflag "k8s.io/component-base/cli/flag"
)

func TestCore(t *testing.T) {
	for _, test := range []struct {
		name    string
		flags   []string
		want    bool
		refused bool
	}{
		{"without a cluster", nil, true, false},
		{"without a cluster, asked for", []string{"--serve-core"}, true, false},
		{"switched off", []string{"--serve-core=false"}, false, false},
		{"with a cluster", []string{"--in-cluster"}, false, false},
		{"with a cluster, switched off", []string{"--in-cluster", "--serve-core=false"}, false, false},
		{"with a cluster, asked for", []string{"--in-cluster", "--serve-core"}, true, true},
	} {
		o := New()
		var sets cliflag.NamedFlagSets
		o.AddFlags(&sets)
		flags := sets.FlagSet("test")
		for _, set := range sets.FlagSets {
			flags.AddFlagSet(set)
		}
		if err := flags.Parse(test.flags); err != nil {
			t.Fatal(err)
		}
		if err := o.Complete(); err != nil {
			t.Fatal(err)
		}
		if got := o.Core(); got != test.want {
			t.Errorf("%s: got %t", test.name, got)
		}
		err := o.Validate()
		if refused := err != nil && strings.Contains(err.Error(), "--serve-core: "); refused != test.refused {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}
