package envvars

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

// service returns the Service with the key "namespace/name".
func service(key, ip string, ports ...corev1.ServicePort) v1.Service {
	namespace, name, _ := strings.Cut(key, "/")
	return v1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec:       corev1.ServiceSpec{ClusterIP: ip, Ports: ports},
	}
}

func port(number int32) corev1.ServicePort { return named("", number, corev1.ProtocolTCP) }

func named(name string, number int32, protocol corev1.Protocol) corev1.ServicePort {
	return corev1.ServicePort{Name: name, Port: number, Protocol: protocol}
}

// TestVariables checks the variables of a single Service. The first is the example in
// https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables.
func TestVariables(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		service v1.Service
		want    string
	}{
		"the documentation's": {service("a/redis-primary", "10.0.0.11", port(6379)), `
REDIS_PRIMARY_SERVICE_HOST=10.0.0.11
REDIS_PRIMARY_SERVICE_PORT=6379
REDIS_PRIMARY_PORT=tcp://10.0.0.11:6379
REDIS_PRIMARY_PORT_6379_TCP=tcp://10.0.0.11:6379
REDIS_PRIMARY_PORT_6379_TCP_PROTO=tcp
REDIS_PRIMARY_PORT_6379_TCP_PORT=6379
REDIS_PRIMARY_PORT_6379_TCP_ADDR=10.0.0.11`},
		"names of ports": {service("a/dns", "10.0.0.2", named("dns-udp", 53, corev1.ProtocolUDP), named("dns-tcp", 53, corev1.ProtocolTCP)), `
DNS_SERVICE_HOST=10.0.0.2
DNS_SERVICE_PORT=53
DNS_SERVICE_PORT_DNS_UDP=53
DNS_SERVICE_PORT_DNS_TCP=53
DNS_PORT=udp://10.0.0.2:53
DNS_PORT_53_UDP=udp://10.0.0.2:53
DNS_PORT_53_UDP_PROTO=udp
DNS_PORT_53_UDP_PORT=53
DNS_PORT_53_UDP_ADDR=10.0.0.2
DNS_PORT_53_TCP=tcp://10.0.0.2:53
DNS_PORT_53_TCP_PROTO=tcp
DNS_PORT_53_TCP_PORT=53
DNS_PORT_53_TCP_ADDR=10.0.0.2`},
		"a name that is a number, and no protocol": {service("a/q-u-x", "10.0.0.3", named("8083", 80, "")), `
Q_U_X_SERVICE_HOST=10.0.0.3
Q_U_X_SERVICE_PORT=80
Q_U_X_SERVICE_PORT_8083=80
Q_U_X_PORT=tcp://10.0.0.3:80
Q_U_X_PORT_80_TCP=tcp://10.0.0.3:80
Q_U_X_PORT_80_TCP_PROTO=tcp
Q_U_X_PORT_80_TCP_PORT=80
Q_U_X_PORT_80_TCP_ADDR=10.0.0.3`},
		"IPv6": {service("a/six", "2001:db8::1", named("", 777, corev1.ProtocolSCTP)), `
SIX_SERVICE_HOST=2001:db8::1
SIX_SERVICE_PORT=777
SIX_PORT=sctp://[2001:db8::1]:777
SIX_PORT_777_SCTP=sctp://[2001:db8::1]:777
SIX_PORT_777_SCTP_PROTO=sctp
SIX_PORT_777_SCTP_PORT=777
SIX_PORT_777_SCTP_ADDR=2001:db8::1`},
		"a first digit": {service("a/1a", "10.0.0.4"), `
1A_SERVICE_HOST=10.0.0.4`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, variable := range Of("a", []v1.Service{test.service}) {
				got = append(got, variable.Name+"="+variable.Value)
			}
			if want := strings.Split(test.want, "\n")[1:]; !slices.Equal(got, want) {
				t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		})
	}
}

// TestServices checks which Services have variables, and their order.
func TestServices(t *testing.T) {
	t.Parallel()
	master := service("default/kubernetes", "10.96.0.1", port(443))
	dual := service("a/dual", "2001:db8::1", port(80))
	dual.Spec.ClusterIPs = []string{"2001:db8::1", "10.0.0.9"}
	for name, test := range map[string]struct {
		namespace string
		services  []v1.Service
		want      string
	}{
		"none": {"a", nil, ""},
		"by name": {
			"a", []v1.Service{service("a/web", "10.0.0.2"), service("a/db", "10.0.0.1"), master}, "DB 10.0.0.1 KUBERNETES 10.96.0.1 WEB 10.0.0.2",
		},
		"of the namespace": {
			"a", []v1.Service{service("a/web", "10.0.0.2"), service("b/web", "10.0.0.3"), service("default/db", "10.0.0.4")}, "WEB 10.0.0.2",
		},
		"headless, ExternalName":        {"a", []v1.Service{service("a/headless", "None"), service("a/external", "")}, ""},
		"dual stack: the first address": {"a", []v1.Service{dual}, "DUAL 2001:db8::1"},
		"a master of one's own, before": {"a", []v1.Service{service("a/kubernetes", "10.0.0.5"), master}, "KUBERNETES 10.0.0.5"},
		"a master of one's own, behind": {"a", []v1.Service{master, service("a/kubernetes", "10.0.0.5")}, "KUBERNETES 10.0.0.5"},
		"one's own, which is headless":  {"a", []v1.Service{master, service("a/kubernetes", "None")}, "KUBERNETES 10.96.0.1"},
		"default has it as any other": {
			"default", []v1.Service{master, service("default/web", "10.0.0.2")}, "KUBERNETES 10.96.0.1 WEB 10.0.0.2",
		},
		"a master without an address":        {"a", []v1.Service{service("default/kubernetes", "None")}, ""},
		"a third namespace's is not for all": {"a", []v1.Service{service("b/kubernetes", "10.0.0.6")}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, variable := range Of(test.namespace, test.services) {
				if host, found := strings.CutSuffix(variable.Name, "_SERVICE_HOST"); found {
					got = append(got, host, variable.Value)
				}
			}
			if strings.Join(got, " ") != test.want {
				t.Errorf("got %v, want %s", got, test.want)
			}
		})
	}
}

// TestSameVariable has two Services that define one variable, in either order.
func TestSameVariable(t *testing.T) {
	t.Parallel()
	services := []v1.Service{service("a/a-service", "10.0.0.2", port(81)), service("a/a", "10.0.0.1", port(80))}
	for range 2 {
		slices.Reverse(services)
		values := map[string]string{}
		for _, variable := range Of("a", services) {
			if _, twice := values[variable.Name]; twice {
				t.Errorf("%s is there twice", variable.Name)
			}
			values[variable.Name] = variable.Value
		}
		if values["A_SERVICE_PORT"] != "80" || values["A_SERVICE_PORT_81_TCP"] != "tcp://10.0.0.2:81" || len(values) != 7+6 {
			t.Errorf("got %v", values)
		}
	}
}
