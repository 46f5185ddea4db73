package options

import (
	"net"
	"strings"
	"testing"

	cliflag "k8s.io/component-base/cli/flag"
)

func TestAdvertised(t *testing.T) {
	for name, test := range map[string]struct {
		bind, advertise, want string
	}{
		"loopback":               {"127.0.0.1", "", "invalid IP"},
		"loopback, of IPv6":      {"::1", "", "invalid IP"},
		"an address":             {"192.0.2.1", "", "192.0.2.1"},
		"another one":            {"0.0.0.0", "192.0.2.1", "192.0.2.1"},
		"one of IPv6":            {"::", "2001:db8::1", "2001:db8::1"},
		"loopback, behind one":   {"127.0.0.1", "192.0.2.1", "192.0.2.1"},
		"advertised on loopback": {"192.0.2.1", "127.0.0.1", "invalid IP"},
		"none in particular is":  {"192.0.2.1", "0.0.0.0", "192.0.2.1"},
	} {
		o := New()
		o.SecureServing.BindAddress, o.Run.AdvertiseAddress = net.ParseIP(test.bind), net.ParseIP(test.advertise)
		if got := o.Advertised().String(); got != test.want {
			t.Errorf("%s: got %s, want %s", name, got, test.want)
		}
	}
}

func TestCoreResources(t *testing.T) {
	shared, others := coreResources()
	for _, want := range []string{"endpoints and services as v1, ", "endpointslices as discovery.k8s.io/v1"} {
		if !strings.Contains(shared, want) {
			t.Errorf("%q is not in %q", want, shared)
		}
	}
	if want := "namespaces, nodes, pods, "; !strings.HasPrefix(others, want) {
		t.Errorf("%q does not begin with %q", others, want)
	}
}

func TestCore(t *testing.T) {
	for _, test := range []struct {
		name  string
		flags []string
		want  bool
		// forwards says whether everything else is forwarded to the cluster.
		forwards bool
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
		if got := o.ForwardsToCluster(); got != test.forwards {
			t.Errorf("%s: forwards: %t", test.name, got)
		}
		if err := o.Validate(); err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

// TestKeepsKubernetesService has a standalone server maintain the Service kubernetes
// unless it must not, and a gateway only if it is asked to and Pods can reach it.
func TestKeepsKubernetesService(t *testing.T) {
	for _, test := range []struct {
		flags string
		want  bool
		err   string
	}{
		{"", true, ""},
		{"--kubernetes-service=false", false, ""},
		{"--serve-core=false", false, ""},
		{"--in-cluster", false, ""},
		{"--in-cluster --serve-core", false, ""},
		{"--in-cluster --serve-core --kubernetes-service --bind-address=192.0.2.1", true, ""},
		{"--in-cluster --serve-core --kubernetes-service --advertise-address=192.0.2.1", true, ""},
		{"--in-cluster --serve-core --kubernetes-service", true, "Pods cannot reach a server on loopback"},
		{"--in-cluster --kubernetes-service", false, "--kubernetes-service with a cluster needs --serve-core"},
	} {
		o := New()
		var sets cliflag.NamedFlagSets
		o.AddFlags(&sets)
		for flag := range strings.FieldsSeq(test.flags) {
			name, value, found := strings.Cut(strings.TrimPrefix(flag, "--"), "=")
			if !found {
				value = "true"
			}
			for _, set := range sets.FlagSets {
				if set.Lookup(name) == nil {
					continue
				}
				if err := set.Set(name, value); err != nil {
					t.Fatal(err)
				}
			}
		}
		if got := o.KeepsKubernetesService(); got != test.want {
			t.Errorf("%q: %v", test.flags, got)
		}
		text := ""
		for _, err := range o.coreErrors() {
			text += err.Error()
		}
		if !strings.Contains(text, test.err) || (text == "") != (test.err == "") {
			t.Errorf("%q: error %q, want %q", test.flags, text, test.err)
		}
	}
}
