package registrytest

import (
	"fmt"
	"strings"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/utils/ptr"

	"github.com/portolan-dev/portolan/pkg/registry/ingress"
)

// TestIngressTable checks all cells except the name and the age.
func TestIngressTable(t *testing.T) {
	rules := func(hosts ...string) (rules []networkingv1.IngressRule) {
		for _, host := range hosts {
			rules = append(rules, networkingv1.IngressRule{Host: host})
		}
		return rules
	}
	for want, obj := range map[string]networkingv1.Ingress{
		"<none>|*||80":                         {},
		"<none>|*||80, 443":                    {Spec: networkingv1.IngressSpec{Rules: rules("", ""), TLS: []networkingv1.IngressTLS{{}}}},
		"web|a,b||80":                          {Spec: networkingv1.IngressSpec{Rules: rules("a", "", "b"), IngressClassName: ptr.To("web")}},
		"<none>|a,b,c||80":                     {Spec: networkingv1.IngressSpec{Rules: rules("a", "", "b", "c")}},
		"<none>|a,b,c + 2 more...||80":         {Spec: networkingv1.IngressSpec{Rules: rules("a", "b", "c", "", "d")}},
		"<none>|*|192.0.2.1,a.example.com||80": {},
	} {
		if strings.Contains(want, "192.0.2.1") {
			want = strings.Replace(want, "||80", "|80", 1)
			obj.Status.LoadBalancer.Ingress = []networkingv1.IngressLoadBalancerIngress{
				{Hostname: "a.example.com"}, {IP: "192.0.2.1", Hostname: "b.example.com"}, {IP: "192.0.2.1"}, {},
			}
		}
		cells := cellsOf(t, ingress.TableConvertor, &obj)
		if got := fmt.Sprintf("%s|%s|%s|%s", cells[1:5]...); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
