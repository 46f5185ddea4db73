package artifacts

import (
	"flag"
	"net/url"
	"slices"
	"strings"
	"testing"

	"go.etcd.io/etcd/server/v3/embed"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/sets"
)

// member is what one of etcd's Pods runs.
type member struct {
	set   *appsv1.StatefulSet
	flags *flag.FlagSet
}

// memberOf parses the arguments of the member with the given name with etcd's
// own flags.
func memberOf(t *testing.T, manifests Manifests, name string) member {
	t.Helper()
	set := Decode(t, manifests.Get(t, "StatefulSet portolan/portolan-etcd")).(*appsv1.StatefulSet)
	flags := flag.NewFlagSet("etcd", flag.ContinueOnError)
	embed.NewConfig().AddFlags(flags)
	// This one etcd's command adds itself.
	flags.String("initial-cluster-state", "", "")
	var args []string
	for _, arg := range set.Spec.Template.Spec.Containers[0].Args {
		args = append(args, strings.ReplaceAll(arg, "$(POD_NAME)", name))
	}
	if err := flags.Parse(args); err != nil {
		t.Fatal(err)
	}
	if flags.NArg() > 0 {
		t.Fatalf("beside flags there is %q", flags.Args())
	}
	return member{set, flags}
}

func (m member) flag(t *testing.T, name string) string {
	t.Helper()
	found := m.flags.Lookup(name)
	if found == nil {
		t.Fatalf("etcd has no flag --%s", name)
	}
	return found.Value.String()
}

// TestMembers wants etcd's members to know each other, and Portolan to know
// them, by names that the certificates have.
func TestMembers(t *testing.T) {
	t.Parallel()
	for name, manifests := range whole(t) {
		t.Run(name, func(t *testing.T) {
			const domain = ".portolan-etcd.portolan.svc"
			var clients, peers, hosts []string
			for _, pod := range []string{"portolan-etcd-0", "portolan-etcd-1", "portolan-etcd-2"} {
				m := memberOf(t, manifests, pod)
				if *m.set.Spec.Replicas != 3 || m.set.Spec.ServiceName+"."+m.set.Namespace != "portolan-etcd.portolan" {
					t.Fatalf("%d replicas of %s", *m.set.Spec.Replicas, m.set.Spec.ServiceName)
				}
				clients = append(clients, m.flag(t, "advertise-client-urls"))
				peers = append(peers, pod+"="+m.flag(t, "initial-advertise-peer-urls"))
				hosts = append(hosts, pod+domain)
			}
			if got := memberOf(t, manifests, "portolan-etcd-0").flag(t, "initial-cluster"); got != strings.Join(peers, ",") {
				t.Errorf("--initial-cluster=%s, and the members are %q", got, peers)
			}
			if args := manifests.ServeArgs(t); !slices.Contains(args, "--etcd-servers="+strings.Join(clients, ",")) {
				t.Errorf("the members are %q, and Portolan runs %q", clients, args)
			}
			for i, address := range clients {
				if parsed, err := url.Parse(address); err != nil || parsed.Host != hosts[i]+":2379" || parsed.Scheme != "https" {
					t.Errorf("%s, %v", address, err)
				}
			}
			for _, secret := range []string{"portolan-etcd-server", "portolan-etcd-peer"} {
				if names, made := certificateNames(t, manifests, secret); made && !names.HasAll(hosts...) {
					t.Errorf("%s is for %v", secret, sets.List(names))
				}
			}
		})
	}
}

// TestCertManager wants the serving certificate to be for the name that the
// aggregator asks by, and the client's of etcd not to pass as a member's.
func TestCertManager(t *testing.T) {
	t.Parallel()
	manifests := Kustomize(t, "cluster/cert-manager")
	if names, _ := certificateNames(t, manifests, "portolan-serving"); !names.Has("portolan.portolan.svc") {
		t.Errorf("the serving certificate is for %v", sets.List(names))
	}
	if names, _ := certificateNames(t, manifests, "portolan-etcd-client"); names.Len() > 0 {
		t.Errorf("the client's certificate is for %v", sets.List(names))
	}
	apiService := manifests.Get(t, "APIService /v1.portolan.dev")
	if from := apiService.GetAnnotations()["cert-manager.io/inject-ca-from"]; from != "portolan/portolan-serving" {
		t.Errorf("the certificate authority is from %q", from)
	}
	for _, m := range manifests {
		for _, rule := range rules(t, m) {
			if slices.Contains(rule.Resources, "secrets") || slices.Contains(rule.Resources, "apiservices") {
				t.Errorf("%s: with cert-manager nobody needs %v", m.ID(), rule)
			}
		}
	}
}

// certificateNames are the DNS names of what cert-manager puts into a Secret.
func certificateNames(t *testing.T, manifests Manifests, secret string) (sets.Set[string], bool) {
	t.Helper()
	for _, m := range manifests {
		name, _, err := unstructured.NestedString(m.Object, "spec", "secretName")
		if err != nil {
			t.Fatal(err)
		}
		if m.GetKind() == "Certificate" && name == secret {
			names, _, err := unstructured.NestedStringSlice(m.Object, "spec", "dnsNames")
			if err != nil {
				t.Fatal(err)
			}
			return sets.New(names...), true
		}
	}
	return nil, false
}

// TestEtcdFlags wants the limits that the comments speak of.
func TestEtcdFlags(t *testing.T) {
	t.Parallel()
	m := memberOf(t, Kustomize(t, "cluster"), "portolan-etcd-0")
	for name, want := range map[string]string{
		"max-txn-ops": "131072", "max-request-bytes": "16777216", "quota-backend-bytes": "8589934592",
		"client-cert-auth": "true", "peer-client-cert-auth": "true", "auto-compaction-retention": "0",
		"auto-tls": "false", "peer-auto-tls": "false", "unsafe-no-fsync": "false",
	} {
		if got := m.flag(t, name); got != want {
			t.Errorf("--%s is %s", name, got)
		}
	}
	size := m.set.Spec.VolumeClaimTemplates[0].Spec.Resources.Requests.Storage().Value()
	if size < 2*8589934592 {
		t.Errorf("a volume of %d bytes is full before the quota is", size)
	}
	ports := map[string]int32{}
	for _, port := range m.set.Spec.Template.Spec.Containers[0].Ports {
		ports[port.Name] = port.ContainerPort
	}
	for flag, port := range map[string]string{"listen-client-urls": "client", "listen-peer-urls": "peer", "listen-metrics-urls": "metrics"} {
		listen, err := url.Parse(m.flag(t, flag))
		if err != nil {
			t.Fatal(err)
		}
		if want := map[string]string{"client": "2379", "peer": "2380", "metrics": "2381"}[port]; listen.Port() != want || ports[port] == 0 {
			t.Errorf("%s is %s, and the ports are %v", flag, listen, ports)
		}
	}
	for name, probe := range map[string]*corev1.Probe{
		"startup": m.set.Spec.Template.Spec.Containers[0].StartupProbe, "readiness": m.set.Spec.Template.Spec.Containers[0].ReadinessProbe,
	} {
		if probe.HTTPGet.Port.StrVal != "metrics" {
			t.Errorf("the %s probe asks %v, which wants a certificate", name, probe.HTTPGet.Port)
		}
	}
}
