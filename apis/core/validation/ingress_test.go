package validation

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"
)

// newIngress returns an Ingress that has a rule, with a host and a path, and a default
// backend.
func newIngress(changes ...func(*networkingv1.Ingress)) *networkingv1.Ingress {
	backend := networkingv1.IngressBackend{
		Service: &networkingv1.IngressServiceBackend{Name: "web", Port: networkingv1.ServiceBackendPort{Number: 80}},
	}
	ingress := &networkingv1.Ingress{
		ObjectMeta: metav1.ObjectMeta{Name: "a", Namespace: "b", ResourceVersion: "1"},
		Spec: networkingv1.IngressSpec{
			DefaultBackend: backend.DeepCopy(),
			Rules: []networkingv1.IngressRule{{
				Host: "a.example.com",
				IngressRuleValue: networkingv1.IngressRuleValue{HTTP: &networkingv1.HTTPIngressRuleValue{Paths: []networkingv1.HTTPIngressPath{
					{Path: "/", PathType: ptr.To(networkingv1.PathTypePrefix), Backend: backend},
				}}},
			}},
		},
	}
	for _, change := range changes {
		change(ingress)
	}
	return ingress
}

func pathed(kind networkingv1.PathType, path string) func(*networkingv1.Ingress) {
	return func(ingress *networkingv1.Ingress) {
		first := &ingress.Spec.Rules[0].HTTP.Paths[0]
		first.Path, first.PathType = path, &kind
	}
}

func hosted(host string) func(*networkingv1.Ingress) {
	return func(ingress *networkingv1.Ingress) { ingress.Spec.Rules[0].Host = host }
}

func backed(change func(*networkingv1.IngressBackend)) func(*networkingv1.Ingress) {
	return func(ingress *networkingv1.Ingress) { change(ingress.Spec.DefaultBackend) }
}

func portOf(name string, number int32) func(*networkingv1.Ingress) {
	return backed(func(b *networkingv1.IngressBackend) {
		b.Service.Port = networkingv1.ServiceBackendPort{Name: name, Number: number}
	})
}

func specified(change func(*networkingv1.IngressSpec)) func(*networkingv1.Ingress) {
	return func(ingress *networkingv1.Ingress) { change(&ingress.Spec) }
}

// expectErrors compares errors by prefix, because the texts of apimachinery are long.
func expectErrors(t *testing.T, name string, errs field.ErrorList, want ...string) {
	t.Helper()
	var got []string
	for _, err := range errs {
		got = append(got, err.Error())
	}
	if !slices.EqualFunc(got, want, strings.HasPrefix) {
		t.Errorf("%s:\ngot  %q\nwant %q", name, got, want)
	}
}

const first = "spec.rules[0].http.paths[0]"

// TestIngressPaths validates paths of rules.
func TestIngressPaths(t *testing.T) {
	for _, test := range []struct {
		kind networkingv1.PathType
		path string
		want []string
	}{
		{networkingv1.PathTypeExact, "/", nil},
		{networkingv1.PathTypePrefix, "/a/b", nil},
		{networkingv1.PathTypePrefix, "", []string{first + `.path: Invalid value: "": must be an absolute path`}},
		{networkingv1.PathTypeExact, "a", []string{first + `.path: Invalid value: "a": must be an absolute path`}},
		{networkingv1.PathTypeExact, "/a//b/./c/../d/%2f/%2F/.", []string{
			first + `.path: Invalid value: "/a//b/./c/../d/%2f/%2F/.": must not contain '//'`,
			first + `.path: Invalid value: "/a//b/./c/../d/%2f/%2F/.": must not contain '/./'`,
			first + `.path: Invalid value: "/a//b/./c/../d/%2f/%2F/.": must not contain '/../'`,
			first + `.path: Invalid value: "/a//b/./c/../d/%2f/%2F/.": must not contain '%2f'`,
			first + `.path: Invalid value: "/a//b/./c/../d/%2f/%2F/.": must not contain '%2F'`,
			first + `.path: Invalid value: "/a//b/./c/../d/%2f/%2F/.": cannot end with '/.'`,
		}},
		{networkingv1.PathTypePrefix, "/..", []string{first + `.path: Invalid value: "/..": cannot end with '/..'`}},
		{networkingv1.PathTypeImplementationSpecific, "", nil},
		{networkingv1.PathTypeImplementationSpecific, "//a/..", nil},
		{networkingv1.PathTypeImplementationSpecific, "a", []string{first + `.path: Invalid value: "a": must be an absolute path`}},
		{"Regex", "a", []string{first + `.pathType: Unsupported value: "Regex": supported values: "Exact", "ImplementationSpecific", "Prefix"`}},
	} {
		expectErrors(t, string(test.kind)+" "+test.path, ValidateIngressCreate(newIngress(pathed(test.kind, test.path))), test.want...)
	}
}

// TestIngressCreate validates the other fields of a new Ingress.
func TestIngressCreate(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*networkingv1.Ingress)
		want   []string
	}{
		"as it is": {func(*networkingv1.Ingress) {}, nil},
		"no rules": {specified(func(s *networkingv1.IngressSpec) { s.Rules = nil }), nil},
		"nothing": {specified(func(s *networkingv1.IngressSpec) { s.Rules, s.DefaultBackend = nil, nil }),
			[]string{"spec: Invalid value: null: either `defaultBackend` or `rules` must be specified"}},
		"no HTTP": {specified(func(s *networkingv1.IngressSpec) { s.Rules[0].HTTP = nil }), nil},
		"no paths": {
			specified(func(s *networkingv1.IngressSpec) { s.Rules[0].HTTP.Paths = nil }), []string{"spec.rules[0].http.paths: Required value"},
		},
		"no type": {specified(func(s *networkingv1.IngressSpec) { s.Rules[0].HTTP.Paths[0].PathType = nil }),
			[]string{first + ".pathType: Required value: pathType must be specified"}},
		"any host":   {hosted(""), nil},
		"a wildcard": {hosted("*.example.com"), nil},
		"one further down": {
			hosted("a.*.com"), []string{`spec.rules[0].host: Invalid value: "a.*.com": a wildcard DNS-1123 subdomain must start with '*.'`},
		},
		"an address": {hosted("192.0.2.1"), []string{
			`spec.rules[0].host: Invalid value: "192.0.2.1": must be a DNS name, not an IP address`,
		}},
		"a port":       {hosted("a:80"), []string{`spec.rules[0].host: Invalid value: "a:80": a lowercase RFC 1123 subdomain`}},
		"a named port": {portOf("http", 0), nil},
		"two ports":    {portOf("http", 80), []string{`spec.defaultBackend: Invalid value: "": cannot set both port name & port number`}},
		"no port":      {portOf("", 0), []string{"spec.defaultBackend: Required value: port name or number is required"}},
		"no such port": {
			portOf("", 70000), []string{"spec.defaultBackend.service.port.number: Invalid value: 70000: must be between 1 and 65535, inclusive"},
		},
		"no such name": {
			portOf("80", 0), []string{`spec.defaultBackend.service.port.name: Invalid value: "80": must contain at least one letter`},
		},
		"no service": {backed(func(b *networkingv1.IngressBackend) { b.Service = nil }),
			[]string{`spec.defaultBackend: Invalid value: "": resource or service backend is required`}},
		"no name": {
			backed(func(b *networkingv1.IngressBackend) { b.Service.Name = "" }), []string{"spec.defaultBackend.service.name: Required value"},
		},
		"a relaxed name": {backed(func(b *networkingv1.IngressBackend) { b.Service.Name = "1a" }), nil},
		"not a name": {backed(func(b *networkingv1.IngressBackend) { b.Service.Name = "a.b" }),
			[]string{`spec.defaultBackend.service.name: Invalid value: "a.b": must not contain dots`}},
		"a resource, too": {backed(func(b *networkingv1.IngressBackend) { b.Resource = &corev1.TypedLocalObjectReference{} }),
			[]string{`spec.defaultBackend: Invalid value: "": cannot set both resource and service backends`}},
		"a resource": {backed(func(b *networkingv1.IngressBackend) {
			b.Service, b.Resource = nil, &corev1.TypedLocalObjectReference{APIGroup: ptr.To("A"), Kind: "a/b"}
		}), []string{
			`spec.defaultBackend.resource.apiGroup: Invalid value: "A"`,
			`spec.defaultBackend.resource.kind: Invalid value: "a/b": may not contain '/'`, "spec.defaultBackend.resource.name: Required value",
		}},
		"TLS": {specified(func(s *networkingv1.IngressSpec) {
			s.TLS = []networkingv1.IngressTLS{{Hosts: []string{"a", "*.a", "A"}, SecretName: "a.b"}, {SecretName: "A"}}
		}), []string{`spec.tls[0].hosts[2]: Invalid value: "A"`, `spec.tls[1].secretName: Invalid value: "A"`}},
		"no class name": {
			specified(func(s *networkingv1.IngressSpec) { s.IngressClassName = ptr.To("") }), []string{`spec.ingressClassName: Invalid value: ""`},
		},
		"two classes": {func(ingress *networkingv1.Ingress) {
			ingress.Annotations, ingress.Spec.IngressClassName = map[string]string{AnnotationIngressClass: "a"}, ptr.To("b")
		}, []string{"annotations.kubernetes.io/ingress.class: Invalid value: \"a\": must match `ingressClassName` when both are specified"}},
		"one class twice": {func(ingress *networkingv1.Ingress) {
			ingress.Annotations, ingress.Spec.IngressClassName = map[string]string{AnnotationIngressClass: "a"}, ptr.To("a")
		}, nil},
	} {
		expectErrors(t, name, ValidateIngressCreate(newIngress(test.change)), test.want...)
	}
}

// TestIngressUpdate validates updates of an Ingress.
func TestIngressUpdate(t *testing.T) {
	annotated := newIngress(func(ingress *networkingv1.Ingress) {
		ingress.Annotations, ingress.Spec.IngressClassName = map[string]string{AnnotationIngressClass: "a"}, ptr.To("b")
	})
	expectErrors(t, "two classes", ValidateIngressUpdate(annotated, newIngress()))
	expectErrors(t, "a bad host", ValidateIngressUpdate(newIngress(hosted("A")), newIngress()), `spec.rules[0].host: Invalid value: "A"`)
	moved := newIngress()
	moved.Namespace = "c"
	expectErrors(t, "elsewhere", ValidateIngressUpdate(moved, newIngress()), `metadata.namespace: Invalid value: "c": field is immutable`)

	at := func(points ...networkingv1.IngressLoadBalancerIngress) *networkingv1.Ingress {
		return newIngress(func(ingress *networkingv1.Ingress) { ingress.Status.LoadBalancer.Ingress = points })
	}
	odd := networkingv1.IngressLoadBalancerIngress{IP: "192.0.2.01"}
	const path = "status.loadBalancer.ingress[0]"
	for name, test := range map[string]struct {
		after, before *networkingv1.Ingress
		want          []string
	}{
		"an address": {
			at(networkingv1.IngressLoadBalancerIngress{IP: "192.0.2.1"}, networkingv1.IngressLoadBalancerIngress{IP: "2001:db8::1"}), at(), nil,
		},
		"an odd one":         {at(odd), at(), []string{path + `.ip: Invalid value: "192.0.2.01": must not have leading 0s`}},
		"an odd one, stored": {at(odd), at(networkingv1.IngressLoadBalancerIngress{IP: "192.0.2.1"}, odd), nil},
		"none":               {at(networkingv1.IngressLoadBalancerIngress{}), at(), nil},
		"not an address": {
			at(networkingv1.IngressLoadBalancerIngress{IP: "a"}), at(), []string{path + `.ip: Invalid value: "a": must be a valid IP address`},
		},
		"a name": {at(networkingv1.IngressLoadBalancerIngress{Hostname: "a.example.com"}), at(), nil},
		"an address's a name": {at(networkingv1.IngressLoadBalancerIngress{Hostname: "192.0.2.1"}), at(),
			[]string{path + `.hostname: Invalid value: "192.0.2.1": must be a DNS name, not an IP address`}},
		"not a name": {
			at(networkingv1.IngressLoadBalancerIngress{Hostname: "A"}), at(), []string{path + `.hostname: Invalid value: "A"`},
		},
	} {
		expectErrors(t, name, ValidateIngressStatusUpdate(test.after, test.before), test.want...)
	}
}

// TestIngressClass validates a class and its updates.
func TestIngressClass(t *testing.T) {
	class := func(controller string, parameters *networkingv1.IngressClassParametersReference) *networkingv1.IngressClass {
		return &networkingv1.IngressClass{ObjectMeta: metav1.ObjectMeta{Name: "a", ResourceVersion: "1"},
			Spec: networkingv1.IngressClassSpec{Controller: controller, Parameters: parameters}}
	}
	refer := func(scope, namespace *string) *networkingv1.IngressClass {
		return class("example.com/a", &networkingv1.IngressClassParametersReference{Kind: "Config", Name: "a", Scope: scope,
			Namespace: namespace})
	}
	for name, test := range map[string]struct {
		class *networkingv1.IngressClass
		want  []string
	}{
		"as it is":          {class("example.com/a", nil), nil},
		"no controller":     {class("", nil), []string{"spec.controller: Required value"}},
		"no domain":         {class("a", nil), []string{`spec.controller: Invalid value: "a": must be a domain-prefixed path`}},
		"too long":          {class("a/"+strings.Repeat("b", 249), nil), []string{"spec.controller: Too long: may not be more than 250 bytes"}},
		"as long as may be": {class("a/"+strings.Repeat("b", 248), nil), nil},
		"of nothing": {class("example.com/a", &networkingv1.IngressClassParametersReference{}), []string{
			"spec.parameters.kind: Required value", "spec.parameters.name: Required value", "spec.parameters.scope: Required value",
		}},
		"the cluster's": {refer(ptr.To("Cluster"), nil), nil},
		"both": {
			refer(ptr.To("Cluster"), ptr.To("b")), []string{"spec.parameters.namespace: Forbidden: `parameters.scope` is set to 'Cluster'"},
		},
		"a namespace's": {refer(ptr.To("Namespace"), ptr.To("b")), nil},
		"nobody's": {
			refer(ptr.To("Namespace"), nil), []string{"spec.parameters.namespace: Required value: `parameters.scope` is set to 'Namespace'"},
		},
		"of no possible name": {refer(ptr.To("Namespace"), ptr.To("B")), []string{`spec.parameters.namespace: Invalid value: "B"`}},
		"something that isn't it": {
			refer(ptr.To("World"), nil), []string{`spec.parameters.scope: Unsupported value: "World": supported values: "Cluster", "Namespace"`},
		},
	} {
		expectErrors(t, name, ValidateIngressClass(test.class), test.want...)
	}
	expectErrors(t, "another controller", ValidateIngressClassUpdate(class("example.com/b", nil), class("example.com/a", nil)),
		`spec.controller: Invalid value: "example.com/b": field is immutable`)
	expectErrors(t, "parameters", ValidateIngressClassUpdate(refer(ptr.To("Cluster"), nil), class("example.com/a", nil)))
}
