package options

import (
	"strings"
	"testing"

	cliflag "k8s.io/component-base/cli/flag"
)

// TestUsersOnlyWithoutCluster has what is the cluster's to say refused with one.
func TestUsersOnlyWithoutCluster(t *testing.T) {
	for _, name := range []string{"token-auth-file", "authentication-config", "authorization-config"} {
		for _, cluster := range []bool{false, true} {
			o := New()
			sets := cliflag.NamedFlagSets{}
			o.AddFlags(&sets)
			if err := sets.FlagSet("users").Set(name, "file"); err != nil {
				t.Fatal(err)
			}
			o.ServiceAccount = cluster
			if err := o.Complete(); err != nil {
				t.Fatal(err)
			}
			want := "--" + name + ": with --kubeconfig or --in-cluster users and their rights are the cluster's to say"
			err := o.Validate()
			if refused := err != nil && strings.Contains(err.Error(), want); refused != cluster || !cluster && err != nil {
				t.Errorf("--%s, cluster %t: %v", name, cluster, err)
			}
		}
	}
}
