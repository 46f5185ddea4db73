package ingress

import (
	"cmp"
	"fmt"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/utils/ptr"

	"github.com/portolan-dev/portolan/pkg/registry/generic"
)

// maxHosts is the most hosts that are shown.
const maxHosts = 3

// TableConvertor has the columns of upstream's Ingress table
// (pkg/printers/internalversion).
var TableConvertor = generic.NewTable(networkingv1.Resource("ingresses"), []metav1.TableColumnDefinition{
	generic.NameColumn(),
	{Name: "Class", Type: "string", Description: "The name of the IngressClass resource that should be used for additional configuration"},
	{Name: "Hosts", Type: "string", Description: "Hosts that incoming requests are matched against before the ingress rule"},
	{Name: "Address", Type: "string", Description: "Address is a list containing ingress points for the load-balancer"},
	{Name: "Ports", Type: "string", Description: "Ports of TLS configurations that open"},
	generic.AgeColumn(),
}, func(ingress *networkingv1.Ingress) []any {
	ports := "80"
	if len(ingress.Spec.TLS) > 0 {
		ports = "80, 443"
	}
	return []any{
		ingress.Name, ptr.Deref(ingress.Spec.IngressClassName, generic.None), hosts(ingress.Spec.Rules), addresses(&ingress.Status.LoadBalancer),
		ports, generic.Age(ingress.CreationTimestamp),
	}
})

// hosts lists hosts as upstream's formatHosts does. Its "more" counts all rules beyond
// the first three, those without a host too.
func hosts(rules []networkingv1.IngressRule) string {
	var shown []string
	more := false
	for _, rule := range rules {
		more = more || len(shown) == maxHosts
		if !more && rule.Host != "" {
			shown = append(shown, rule.Host)
		}
	}
	text := cmp.Or(strings.Join(shown, ","), "*")
	if more {
		text += fmt.Sprintf(" + %d more...", len(rules)-maxHosts)
	}
	return text
}

func addresses(status *networkingv1.IngressLoadBalancerStatus) string {
	found := sets.New[string]()
	for _, ingress := range status.Ingress {
		if address := cmp.Or(ingress.IP, ingress.Hostname); address != "" {
			found.Insert(address)
		}
	}
	return strings.Join(sets.List(found), ",")
}
