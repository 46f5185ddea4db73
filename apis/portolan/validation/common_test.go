package validation_test

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

// Texts of apimachinery that several rules use.
const (
	label1123 = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
	subdomain = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
	qname     = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
	badValue  = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
	badPort   = "must be between 1 and 65535, inclusive"
	badIP     = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
	badCIDR   = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"
)

// cause is one entry of a 422's details.
type cause struct{ kind, field, detail string }

func iv(field, detail string) cause { return cause{"Invalid", field, detail} }
func rq(field string) cause         { return cause{"Required", field, ""} }
func fb(field, detail string) cause { return cause{"Forbidden", field, detail} }
func dp(field string) cause         { return cause{"Duplicate", field, ""} }
func ns(field, supported string) cause {
	return cause{"NotSupported", field, "supported values: " + supported}
}

var kinds = map[field.ErrorType]string{
	field.ErrorTypeInvalid: "Invalid", field.ErrorTypeRequired: "Required", field.ErrorTypeForbidden: "Forbidden",
	field.ErrorTypeDuplicate: "Duplicate", field.ErrorTypeNotSupported: "NotSupported", field.ErrorTypeTooMany: "TooMany",
	field.ErrorTypeInternal: "Internal",
}

func expect(t *testing.T, errs field.ErrorList, want ...cause) {
	t.Helper()
	var got []cause
	for _, err := range errs {
		got = append(got, cause{kinds[err.Type], err.Field, err.Detail})
	}
	if !slices.Equal(got, want) {
		t.Errorf("\n got %q\nwant %q", got, want)
	}
}

type tweak func(*v1.Service)

type rule struct {
	name   string
	tweaks []tweak
	want   []cause
}

func breaks(name string, want []cause, tweaks ...tweak) rule { return rule{name, tweaks, want} }

func fine(name string, tweaks ...tweak) rule { return rule{name: name, tweaks: tweaks} }

func causes(c ...cause) []cause { return c }

// newService returns a valid ClusterIP Service as it is when everything has been
// allocated; defaults are applied after the tweaks.
func newService(tweaks ...tweak) *v1.Service {
	service := &v1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "s", ResourceVersion: "1"},
		Spec: corev1.ServiceSpec{
			Type:           corev1.ServiceTypeClusterIP,
			ClusterIP:      "10.0.0.1",
			ClusterIPs:     []string{"10.0.0.1"},
			IPFamilies:     []corev1.IPFamily{corev1.IPv4Protocol},
			IPFamilyPolicy: ptr.To(corev1.IPFamilyPolicySingleStack),
			Selector:       map[string]string{"app": "s"},
			Ports:          []corev1.ServicePort{{Port: 80}},
		},
	}
	for _, t := range tweaks {
		t(service)
	}
	v1.SetDefaults_Service(service)
	return service
}

func spec(f func(*corev1.ServiceSpec)) tweak { return func(s *v1.Service) { f(&s.Spec) } }

func externalName(s *v1.Service) {
	s.Spec.Type, s.Spec.ExternalName = corev1.ServiceTypeExternalName, "example.com"
	s.Spec.ClusterIP, s.Spec.ClusterIPs, s.Spec.IPFamilies, s.Spec.IPFamilyPolicy = "", nil, nil, nil
}

func nodePort(s *v1.Service) { s.Spec.Type = corev1.ServiceTypeNodePort }

func loadBalancer(s *v1.Service) { s.Spec.Type = corev1.ServiceTypeLoadBalancer }

func local(s *v1.Service) {
	s.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
}

func healthCheck(port int32) tweak {
	return func(s *v1.Service) { s.Spec.HealthCheckNodePort = port }
}

func ips(ips ...string) tweak {
	return func(s *v1.Service) {
		s.Spec.ClusterIP, s.Spec.ClusterIPs = "", ips
		if len(ips) > 0 {
			s.Spec.ClusterIP = ips[0]
		}
	}
}

func families(families ...corev1.IPFamily) tweak {
	return func(s *v1.Service) { s.Spec.IPFamilies = families }
}

func policy(policy corev1.IPFamilyPolicy) tweak {
	return func(s *v1.Service) { s.Spec.IPFamilyPolicy = &policy }
}

func dualStack(s *v1.Service) {
	ips("10.0.0.1", "fd00::1")(s)
	families(corev1.IPv4Protocol, corev1.IPv6Protocol)(s)
	policy(corev1.IPFamilyPolicyRequireDualStack)(s)
}

func ports(ports ...corev1.ServicePort) tweak {
	return func(s *v1.Service) { s.Spec.Ports = slices.Clone(ports) }
}

func onePort(f func(*corev1.ServicePort)) tweak {
	return func(s *v1.Service) { f(&s.Spec.Ports[0]) }
}

func annotation(key, value string) tweak {
	return func(s *v1.Service) { metav1.SetMetaDataAnnotation(&s.ObjectMeta, key, value) }
}

func externalIPs(ips ...string) tweak {
	return func(s *v1.Service) { s.Spec.ExternalIPs = ips }
}

func ranges(ranges ...string) tweak {
	return func(s *v1.Service) { s.Spec.LoadBalancerSourceRanges = ranges }
}

func class(class string) tweak {
	return func(s *v1.Service) { s.Spec.LoadBalancerClass = &class }
}
