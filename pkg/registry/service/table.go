package service

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/sets"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/registry/generic"
)

var specDocs = corev1.ServiceSpec{}.SwaggerDoc()

// TableConvertor has the columns of upstream's Service table
// (pkg/printers/internalversion).
var TableConvertor = generic.NewTable(v1.Resource("services"), []metav1.TableColumnDefinition{
	generic.NameColumn(),
	{Name: "Type", Type: "string", Description: specDocs["type"]},
	{Name: "Cluster-IP", Type: "string", Description: specDocs["clusterIP"]},
	{Name: "External-IP", Type: "string", Description: specDocs["externalIPs"]},
	{Name: "Port(s)", Type: "string", Description: specDocs["ports"]},
	generic.AgeColumn(),
	{Name: "Selector", Type: "string", Priority: 1, Description: specDocs["selector"]},
}, func(service *v1.Service) []any {
	return []any{
		service.Name,
		string(service.Spec.Type),
		clusterIPCell(service),
		externalIPCell(service),
		portsCell(service.Spec.Ports),
		generic.Age(service.CreationTimestamp),
		labels.FormatLabels(service.Spec.Selector),
	}
})

func clusterIPCell(service *v1.Service) string {
	if len(service.Spec.ClusterIPs) == 0 {
		return generic.None
	}
	return service.Spec.ClusterIPs[0]
}

func externalIPCell(service *v1.Service) string {
	switch service.Spec.Type {
	case corev1.ServiceTypeClusterIP, corev1.ServiceTypeNodePort:
		return joinOr(generic.None, service.Spec.ExternalIPs)
	case corev1.ServiceTypeLoadBalancer:
		return joinOr("<pending>", append(ingressPoints(service.Status.LoadBalancer.Ingress), service.Spec.ExternalIPs...))
	case corev1.ServiceTypeExternalName:
		return service.Spec.ExternalName
	default:
		return generic.Unknown
	}
}

func ingressPoints(ingress []corev1.LoadBalancerIngress) []string {
	points := sets.New[string]()
	for _, point := range ingress {
		switch {
		case point.IP != "":
			points.Insert(point.IP)
		case point.Hostname != "":
			points.Insert(point.Hostname)
		}
	}
	return sets.List(points)
}

func portsCell(ports []corev1.ServicePort) string {
	var cells []string
	for _, port := range ports {
		if port.NodePort > 0 {
			cells = append(cells, fmt.Sprintf("%d:%d/%s", port.Port, port.NodePort, port.Protocol))
		} else {
			cells = append(cells, fmt.Sprintf("%d/%s", port.Port, port.Protocol))
		}
	}
	return joinOr(generic.None, cells)
}

func joinOr(nothing string, values []string) string {
	if len(values) == 0 {
		return nothing
	}
	return strings.Join(values, ",")
}
