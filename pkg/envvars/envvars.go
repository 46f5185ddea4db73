// Package envvars computes and formats the environment variables that a kubelet gives
// a container for the Services of its namespace (upstream's pkg/kubelet/envvars, and
// getServiceEnvVarMap in pkg/kubelet). It is pure: no client, no I/O.
package envvars

import (
	"cmp"
	"net"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

// MasterService is the Service of the namespace default whose variables the
// containers of all namespaces get.
const MasterService = "kubernetes"

// Variable is an environment variable.
type Variable struct{ Name, Value string }

// Of returns the variables of a container in the namespace, given all Services. It
// ignores Services of other namespaces, except for the master service, which a
// Service of the same name in the namespace replaces. It also ignores Services
// without a cluster IP: headless ones, and those of type ExternalName. For a
// dual-stack Service it uses the first address.
//
// The variables are sorted by the names of the Services, and each name occurs once.
// Two Services can define the same variable: for a-service, A_SERVICE_PORT is the URL
// of its first port, and for a it is the number of that port. The first Service
// wins, whereas with a kubelet either can.
func Of(namespace string, services []v1.Service) []Variable {
	var variables []Variable
	defined := map[string]bool{}
	for _, service := range visible(namespace, services) {
		for _, variable := range ofService(service) {
			if !defined[variable.Name] {
				defined[variable.Name] = true
				variables = append(variables, variable)
			}
		}
	}
	return variables
}

// visible returns the Services whose variables a container in the namespace gets,
// sorted by name.
func visible(namespace string, services []v1.Service) []*v1.Service {
	byName := map[string]*v1.Service{}
	for i := range services {
		service := &services[i]
		if service.Spec.ClusterIP == "" || service.Spec.ClusterIP == corev1.ClusterIPNone {
			continue
		}
		switch {
		case service.Namespace == namespace:
			byName[service.Name] = service
		case service.Namespace == metav1.NamespaceDefault && service.Name == MasterService && byName[MasterService] == nil:
			byName[MasterService] = service
		}
	}
	all := make([]*v1.Service, 0, len(byName))
	for _, service := range byName {
		all = append(all, service)
	}
	slices.SortFunc(all, func(a, b *v1.Service) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// ofService returns Kubernetes' own variables, followed by those of Docker's links.
func ofService(service *v1.Service) []Variable {
	prefix, ip := nameOf(service.Name), service.Spec.ClusterIP
	kubernetes := []Variable{{prefix + "_SERVICE_HOST", ip}}
	var links []Variable
	for i, port := range service.Spec.Ports {
		number := strconv.Itoa(int(port.Port))
		protocol := cmp.Or(string(port.Protocol), string(corev1.ProtocolTCP))
		url := strings.ToLower(protocol) + "://" + net.JoinHostPort(ip, number)
		if i == 0 {
			kubernetes = append(kubernetes, Variable{prefix + "_SERVICE_PORT", number})
			links = append(links, Variable{prefix + "_PORT", url})
		}
		if port.Name != "" {
			kubernetes = append(kubernetes, Variable{prefix + "_SERVICE_PORT_" + nameOf(port.Name), number})
		}
		link := prefix + "_PORT_" + number + "_" + strings.ToUpper(protocol)
		links = append(links,
			Variable{link, url},
			Variable{link + "_PROTO", strings.ToLower(protocol)},
			Variable{link + "_PORT", number},
			Variable{link + "_ADDR", ip})
	}
	return append(kubernetes, links...)
}

// nameOf converts the name of a Service or a port for use in a variable's name. It
// keeps a leading digit, as a kubelet does.
func nameOf(name string) string {
	return strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}
