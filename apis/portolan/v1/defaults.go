package v1

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
)

// The defaults follow those of core/v1 and discovery/v1. They apply to every object that
// is decoded, also from the store. Fields whose default depends on the cluster (the IP
// families and their policy) are set by admission instead.

// SetDefaults_Service sets the fields of a Service whose default does not depend on the
// cluster.
func SetDefaults_Service(service *Service) {
	spec := &service.Spec
	if spec.Type == "" {
		spec.Type = corev1.ServiceTypeClusterIP
	}
	setSessionAffinityDefaults(spec)
	for i := range spec.Ports {
		setPortDefaults(&spec.Ports[i])
	}
	setTrafficPolicyDefaults(spec)
	if spec.Type == corev1.ServiceTypeLoadBalancer {
		if spec.AllocateLoadBalancerNodePorts == nil {
			spec.AllocateLoadBalancerNodePorts = ptr.To(true)
		}
		setIngressDefaults(service.Status.LoadBalancer.Ingress)
	}
}

func setSessionAffinityDefaults(spec *corev1.ServiceSpec) {
	if spec.SessionAffinity == "" {
		spec.SessionAffinity = corev1.ServiceAffinityNone
	}
	switch spec.SessionAffinity {
	case corev1.ServiceAffinityNone:
		spec.SessionAffinityConfig = nil
	case corev1.ServiceAffinityClientIP:
		config := spec.SessionAffinityConfig
		if config == nil || config.ClientIP == nil || config.ClientIP.TimeoutSeconds == nil {
			spec.SessionAffinityConfig = &corev1.SessionAffinityConfig{
				ClientIP: &corev1.ClientIPConfig{TimeoutSeconds: ptr.To(corev1.DefaultClientIPServiceAffinitySeconds)},
			}
		}
	}
}

func setPortDefaults(port *corev1.ServicePort) {
	if port.Protocol == "" {
		port.Protocol = corev1.ProtocolTCP
	}
	if port.TargetPort == intstr.FromInt32(0) || port.TargetPort == intstr.FromString("") {
		port.TargetPort = intstr.FromInt32(port.Port)
	}
}

func setTrafficPolicyDefaults(spec *corev1.ServiceSpec) {
	reachableFromOutside := spec.Type == corev1.ServiceTypeNodePort || spec.Type == corev1.ServiceTypeLoadBalancer ||
		spec.Type == corev1.ServiceTypeClusterIP && len(spec.ExternalIPs) > 0
	if reachableFromOutside && spec.ExternalTrafficPolicy == "" {
		spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyCluster
	}
	switch spec.Type {
	case corev1.ServiceTypeClusterIP, corev1.ServiceTypeNodePort, corev1.ServiceTypeLoadBalancer:
		if spec.InternalTrafficPolicy == nil {
			spec.InternalTrafficPolicy = ptr.To(corev1.ServiceInternalTrafficPolicyCluster)
		}
	}
}

func setIngressDefaults(ingress []corev1.LoadBalancerIngress) {
	for i := range ingress {
		if ingress[i].IP != "" && ingress[i].IPMode == nil {
			ingress[i].IPMode = ptr.To(corev1.LoadBalancerIPModeVIP)
		}
	}
}

// SetDefaults_Endpoints sets the protocol of ports that have none to TCP.
func SetDefaults_Endpoints(endpoints *Endpoints) {
	for i := range endpoints.Subsets {
		ports := endpoints.Subsets[i].Ports
		for j := range ports {
			if ports[j].Protocol == "" {
				ports[j].Protocol = corev1.ProtocolTCP
			}
		}
	}
}

// SetDefaults_EndpointSlice sets missing names of ports to the empty string, and missing
// protocols to TCP, as discovery/v1 does.
func SetDefaults_EndpointSlice(slice *EndpointSlice) {
	for i := range slice.Ports {
		port := &slice.Ports[i]
		if port.Name == nil {
			port.Name = ptr.To("")
		}
		if port.Protocol == nil {
			port.Protocol = ptr.To(corev1.ProtocolTCP)
		}
	}
}

// SetDefaults_NodePortRange enables automatic picks from a range.
func SetDefaults_NodePortRange(r *NodePortRange) {
	if r.Spec.AutoAssign == nil {
		r.Spec.AutoAssign = ptr.To(true)
	}
}

// SetDefaults_NodePort sets the protocol of the ports that a node port is reserved for.
func SetDefaults_NodePort(port *NodePort) {
	for i := range port.Spec.ServicePorts {
		if port.Spec.ServicePorts[i].Protocol == "" {
			port.Spec.ServicePorts[i].Protocol = corev1.ProtocolTCP
		}
	}
}
