package options

import (
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	cliflag "k8s.io/component-base/cli/flag"
	"k8s.io/utils/ptr"

	"github.com/portolan-dev/portolan/pkg/admission"
)

func TestDefaults(t *testing.T) {
	o := New()
	if err := o.Complete(); err != nil {
		t.Fatal(err)
	}
	if err := o.Validate(); err != nil {
		t.Errorf("the defaults are not valid: %v", err)
	}
	if !o.Embedded() || o.InCluster() {
		t.Error("the defaults need more than this machine")
	}
	if address := o.SecureServing.BindAddress.String(); address != "127.0.0.1" || o.SecureServing.BindPort != 6443 {
		t.Errorf("listens on %s:%d", address, o.SecureServing.BindPort)
	}
	if !slices.Equal(o.ClusterIPRanges, []string{"10.96.0.0/12"}) || !slices.Equal(o.NodePortRanges, []string{"30000-32767"}) {
		t.Errorf("ranges %v, %v", o.ClusterIPRanges, o.NodePortRanges)
	}
	if o.Etcd.StorageConfig.Prefix != "/registry" || o.Etcd.DefaultStorageMediaType != "application/vnd.kubernetes.protobuf" {
		t.Errorf("etcd: %q, %q", o.Etcd.StorageConfig.Prefix, o.Etcd.DefaultStorageMediaType)
	}
	if off := o.Admission.DefaultOffPlugins; !off.Equal(admission.RequireQuotas()) {
		t.Errorf("off without a cluster: %v", off)
	}
}

func TestPluginsOfCluster(t *testing.T) {
	o := New()
	o.CoreAPI.CoreAPIKubeconfigPath = "somewhere"
	if err := o.Complete(); err != nil {
		t.Fatal(err)
	}
	if off := o.Admission.DefaultOffPlugins; !off.Equal(admission.RequireCoreAPI()) {
		t.Errorf("off with a cluster: %v", off)
	}
}

// validateTest changes valid options. want is part of the error, empty if they stay valid.
type validateTest struct {
	change func(*Options)
	want   string
}

func runValidateTests(t *testing.T, tests map[string]validateTest) {
	t.Helper()
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			o := New()
			test.change(o)
			if err := o.Complete(); err != nil {
				t.Fatal(err)
			}
			err := o.Validate()
			switch {
			case test.want == "" && err != nil:
				t.Error(err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestValidateRanges(t *testing.T) {
	runValidateTests(t, map[string]validateTest{
		"both families": {func(o *Options) { o.ClusterIPRanges = []string{"10.0.0.0/24", "fd00::/112"} }, ""},
		"no CIDR":       {func(o *Options) { o.ClusterIPRanges = nil }, "--service-cluster-ip-range must contain at least one valid cidr"},
		"three CIDRs": {func(o *Options) { o.ClusterIPRanges = []string{"10.0.0.0/24", "fd00::/112", "10.1.0.0/24"} },
			"--service-cluster-ip-range must not contain more than two entries"},
		"two of a family": {func(o *Options) { o.ClusterIPRanges = []string{"10.0.0.0/24", "10.1.0.0/24"} },
			"--service-cluster-ip-range[0] and --service-cluster-ip-range[1] must be of different IP family"},
		"no prefix length": {func(o *Options) { o.ClusterIPRanges = []string{"10.0.0.0"} },
			"--service-cluster-ip-range: 10.0.0.0 has no prefix length, such as the /12 of 10.96.0.0/12"},
		"special addresses": {func(o *Options) { o.ClusterIPRanges = []string{"0.0.0.0/0"} },
			`--service-cluster-ip-range: Invalid value: "0.0.0.0/0": must not overlap the loopback range (127.0.0.0/8)`},
		"not canonical": {func(o *Options) { o.ClusterIPRanges = []string{"FD00::/112"} },
			`--service-cluster-ip-range: Invalid value: "FD00::/112": must be in canonical form ("fd00::/112")`},
		"host bits": {func(o *Options) { o.ClusterIPRanges = []string{"10.0.0.5/24"} },
			"--service-cluster-ip-range: 10.0.0.5/24 has bits set beyond the prefix length: use 10.0.0.0/24"},
		"a single port": {func(o *Options) { o.NodePortRanges = []string{"443", "30000-30099"} }, ""},
		"no ports": {
			func(o *Options) { o.NodePortRanges = nil }, "--service-node-port-range: at least one port or range of ports is required",
		},
		"ports upside down": {func(o *Options) { o.NodePortRanges = []string{"9-8"} },
			`--service-node-port-range: ports "9-8": the first port must not be above the last`},
		"ports that overlap": {
			func(o *Options) { o.NodePortRanges = []string{"80-90", "85"} }, `--service-node-port-range: ports "85": overlap "80-90"`,
		},
	})
}

func TestValidateServiceProxy(t *testing.T) {
	runValidateTests(t, map[string]validateTest{
		"endpoints": {func(o *Options) {
			o.ServiceProxyAllowCIDRs = []string{"10.0.0.0/8", "127.0.0.1/32", "fd00::/8", "0.0.0.0/0"}
		}, ""},
		"endpoints, no prefix length": {func(o *Options) { o.ServiceProxyAllowCIDRs = []string{"10.0.0.0/8", "10.0.0.1"} },
			"--service-proxy-allow-cidrs: 10.0.0.1 has no prefix length"},
		"endpoints, host bits": {func(o *Options) { o.ServiceProxyAllowCIDRs = []string{"10.0.0.1/8"} },
			"--service-proxy-allow-cidrs: 10.0.0.1/8 has bits set beyond the prefix length: use 10.0.0.0/8"},
		"endpoints by name": {func(o *Options) { o.ServiceProxyAllowCIDRs = []string{"localhost/32"} },
			`--service-proxy-allow-cidrs: "localhost/32" is not a CIDR, such as 10.96.0.0/12`},
		"endpoints, IPv4 as IPv6": {func(o *Options) { o.ServiceProxyAllowCIDRs = []string{"::ffff:10.0.0.0/104"} },
			"--service-proxy-allow-cidrs: ::ffff:10.0.0.0/104 holds IPv4 addresses in the form of IPv6 ones: list them as IPv4"},
	})
}

func TestValidateStoreAndPort(t *testing.T) {
	runValidateTests(t, map[string]validateTest{
		"no directory":     {func(o *Options) { o.DataDir = "" }, "--data-dir must not be empty"},
		"an external etcd": {func(o *Options) { o.Etcd.StorageConfig.Transport.ServerList = []string{"http://127.0.0.1:2379"} }, ""},
		"a quota":          {func(o *Options) { o.EmbeddedQuotaBytes = 16 << 20 }, ""},
		"no quota": {func(o *Options) { o.EmbeddedQuotaBytes = 0 },
			"--embedded-etcd-quota-bytes: 0 is not a number of bytes from 16777216 (16.0 MiB) to 68719476736 (64.0 GiB)"},
		"a negative quota": {func(o *Options) { o.EmbeddedQuotaBytes = -1 }, "--embedded-etcd-quota-bytes: -1 is not"},
		"too large a quota": {
			func(o *Options) { o.EmbeddedQuotaBytes = 64<<30 + 1 }, "--embedded-etcd-quota-bytes: 68719476737 is not",
		},
		"a quota of an external etcd": {func(o *Options) {
			o.EmbeddedQuotaBytes, o.Etcd.StorageConfig.Transport.ServerList = 16<<20, []string{"http://127.0.0.1:2379"}
		}, "--embedded-etcd-quota-bytes limits the embedded etcd, but --etcd-servers names an external one"},
		"another storage": {func(o *Options) { o.Etcd.StorageConfig.Type = "etcd2" }, "--storage-backend"},
		"a bad port":      {func(o *Options) { o.SecureServing.BindPort = 70000 }, "--secure-port 70000 must be between 1 and 65535"},
		"no port":         {func(o *Options) { o.SecureServing.BindPort = 0 }, "--secure-port 0 must be between 1 and 65535"},
	})
}

func TestValidatePlugins(t *testing.T) {
	runValidateTests(t, map[string]validateTest{
		"a plugin of the core paths": {func(o *Options) { o.ServeCore, o.Admission.EnablePlugins = new(bool), []string{"DefaultIngressClass"} },
			"--enable-admission-plugins: DefaultIngressClass is for objects that are served only with --serve-core"},
		"a cluster's plugin": {func(o *Options) { o.Admission.EnablePlugins = []string{"ResourceQuota"} },
			"--enable-admission-plugins: ResourceQuota needs a cluster: set --kubeconfig or --in-cluster"},
		"namespaces of its own": {func(o *Options) { o.Admission.EnablePlugins = []string{"NamespaceLifecycle"} }, ""},
		"no namespaces": {func(o *Options) {
			o.Admission.EnablePlugins, o.ServeCore = []string{"NamespaceLifecycle"}, ptr.To(false)
		}, "--enable-admission-plugins: NamespaceLifecycle needs a cluster"},
		"a cluster's plugin in a cluster": {func(o *Options) {
			o.Admission.EnablePlugins, o.CoreAPI.CoreAPIKubeconfigPath = []string{"NamespaceLifecycle"}, "somewhere"
		}, ""},
		"a Pod's cluster": {func(o *Options) {
			o.Admission.EnablePlugins, o.ServiceAccount = []string{"NamespaceLifecycle"}, true
		}, ""},
		"two clusters": {func(o *Options) {
			o.ServiceAccount, o.CoreAPI.CoreAPIKubeconfigPath = true, "somewhere"
		}, "--kubeconfig and --in-cluster: only one of them can be set"},
		"a plugin nobody knows": {
			func(o *Options) { o.Admission.EnablePlugins = []string{"Nobody"} }, `enable-admission-plugins plugin "Nobody" is unknown`,
		},
	})
}

func TestValidateNamesEverything(t *testing.T) {
	o := New()
	o.DataDir, o.ClusterIPRanges, o.NodePortRanges = "", nil, nil
	err := o.Validate()
	for _, flag := range []string{"--data-dir", "--service-cluster-ip-range", "--service-node-port-range"} {
		if err == nil || !strings.Contains(err.Error(), flag) {
			t.Errorf("%s is not in %v", flag, err)
		}
	}
}

func TestFlags(t *testing.T) {
	o := New()
	var sets cliflag.NamedFlagSets
	o.AddFlags(&sets)
	sections := []string{"portolan", "serving", "users", "authentication", "authorization", "etcd", "admission", "cluster", "controllers",
		"requests", "audit", "features", "tracing", "metrics", "logs"}
	if !slices.Equal(sets.Order, sections) {
		t.Errorf("sections %v, want %v", sets.Order, sections)
	}
	sectionOf := map[string]string{}
	for section, flags := range sets.FlagSets {
		count := 0
		flags.VisitAll(func(flag *pflag.Flag) {
			count++
			if other, twice := sectionOf[flag.Name]; twice {
				t.Errorf("--%s is in %s and in %s", flag.Name, other, section)
			}
			sectionOf[flag.Name] = section
			if flag.Usage == "" {
				t.Errorf("--%s has no usage text", flag.Name)
			}
		})
		if count == 0 {
			t.Errorf("section %s is empty", section)
		}
	}
	for flag, section := range map[string]string{
		"data-dir": "portolan", "service-cluster-ip-range": "portolan", "service-node-port-range": "portolan", "secure-port": "serving",
		"client-ca-file": "authentication", "authentication-kubeconfig": "authentication", "requestheader-client-ca-file": "authentication",
		"authorization-kubeconfig": "authorization", "authorization-always-allow-paths": "authorization",
		"enable-priority-and-fairness": "features",
		"etcd-servers":                 "etcd", "enable-admission-plugins": "admission", "kubeconfig": "cluster",
		"in-cluster": "cluster",
	} {
		if sectionOf[flag] != section {
			t.Errorf("--%s is in section %q, want %q", flag, sectionOf[flag], section)
		}
	}
}

func TestFlagsSetOptions(t *testing.T) {
	o := New()
	var sets cliflag.NamedFlagSets
	o.AddFlags(&sets)
	all := pflag.NewFlagSet("all", pflag.ContinueOnError)
	for _, flags := range sets.FlagSets {
		all.AddFlagSet(flags)
	}
	if err := all.Parse([]string{"--data-dir=/d", "--service-cluster-ip-range=10.0.0.0/24,fd00::/112", "--service-node-port-range=443",
		"--service-node-port-range=8000-8099", "--client-ca-file=/ca", "--etcd-servers=http://a:2379", "--kubeconfig=/k"}); err != nil {
		t.Fatal(err)
	}
	if o.DataDir != "/d" || o.Authentication.ClientCert.ClientCA != "/ca" || o.Embedded() || !o.InCluster() ||
		!slices.Equal(o.ClusterIPRanges, []string{"10.0.0.0/24", "fd00::/112"}) || !slices.Equal(o.NodePortRanges, []string{"443", "8000-8099"}) {
		t.Errorf("got %+v", o)
	}
}
