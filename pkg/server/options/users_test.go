package options

import (
	"strings"
	"testing"

	cliflag "k8s.io/component-base/cli/flag"
)

// TestUsersOnlyWithoutCluster expects the user options to be rejected with a cluster.
func TestUsersOnlyWithoutCluster(t *testing.T) {
	for _, name := range []string{"token-auth-file", "authentication-config", "authorization-config", "service-account-key-file"} {
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
			want := "--" + name + ": with --kubeconfig or --in-cluster the cluster determines users and their rights"
			err := o.Validate()
			if rejected := err != nil && strings.Contains(err.Error(), want); rejected != cluster || !cluster && err != nil {
				t.Errorf("--%s, cluster %t: %v", name, cluster, err)
			}
		}
	}
}

// TestServiceAccountIssuer expects the URL of an issuer to be one that tokens can be verified
// with.
func TestServiceAccountIssuer(t *testing.T) {
	for url, valid := range map[string]bool{"https://issuer.example": true, "http://issuer.example": false, "": false} {
		o := New()
		o.Users.ServiceAccountIssuer = url
		err := o.Validate()
		if valid != (err == nil) || err != nil && !strings.HasPrefix(err.Error(), "--service-account-issuer: ") {
			t.Errorf("%q: %v", url, err)
		}
	}
}
