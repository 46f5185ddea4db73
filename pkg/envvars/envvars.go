// Package envvars says which environment variables lead a container to the
// Services of its namespace, as a kubelet works it out when it starts one
// (upstream's pkg/kubelet/envvars, and getServiceEnvVarMap in pkg/kubelet), and
// writes them down. It is pure: no client, no I/O.
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

// MasterService is the Service of the namespace default that containers of all
// namespaces are led to.
const MasterService = "kubernetes"

// Variable is an environment variable.
type Variable struct{ Name, Value string }

// Of is what a container in the namespace is given, if these are the Services
// that there are. Those of other namespaces don't count, but for the master
// service, which one of that name in the namespace replaces; nor do those
// without a cluster IP: headless ones, and those of type ExternalName. Of a dual
// stack Service it is the first address.
//
// Variables are in the order of the Services' names, and each is there once.
// Services may want the same: a-service's A_SERVICE_PORT is the URL of its first
// port and a's the number of its own. The first one has it then, where a kubelet
// leaves it to chance.
func Of(namespace string, services []v1.Service) []Variable {
	var variables []Variable
	taken := map[string]bool{}
	for _, service := range visible(namespace, services) {
		for _, variable := range ofService(service) {
			if !taken[variable.Name] {
				taken[variable.Name] = true
				variables = append(variables, variable)
			}
		}
	}
	return variables
}

// visible are the Services that a container in the namespace is told of, by name.
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

// ofService is Kubernetes' own variables first, and then those that Docker's
// links had.
func ofService(service *v1.Service) []Variable {
	prefix, ip := nameOf(service.Name), service.Spec.ClusterIP
	own := []Variable{{prefix + "_SERVICE_HOST", ip}}
	var links []Variable
	for i, port := range service.Spec.Ports {
		number := strconv.Itoa(int(port.Port))
		protocol := cmp.Or(string(port.Protocol), string(corev1.ProtocolTCP))
		url := strings.ToLower(protocol) + "://" + net.JoinHostPort(ip, number)
		if i == 0 {
			own = append(own, Variable{prefix + "_SERVICE_PORT", number})
			links = append(links, Variable{prefix + "_PORT", url})
		}
		if port.Name != "" {
			own = append(own, Variable{prefix + "_SERVICE_PORT_" + nameOf(port.Name), number})
		}
		link := prefix + "_PORT_" + number + "_" + strings.ToUpper(protocol)
		links = append(links,
			Variable{link, url},
			Variable{link + "_PROTO", strings.ToLower(protocol)},
			Variable{link + "_PORT", number},
			Variable{link + "_ADDR", ip})
	}
	return append(own, links...)
}

// nameOf is the name of a Service or a port as part of a variable's. One that
// begins with a digit goes on to do so.
func nameOf(name string) string {
	return strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}
