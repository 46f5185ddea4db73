package service

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

// Inherit copies fields that the client left out from the stored Service, so that a client
// can send the file again from which it created the Service. It clears fields that the new
// type can't have, if the client left them as they were. It keeps a field that the client
// changed, for validation to reject. On create it only sets clusterIPs from clusterIP.
//
// Applying it again changes nothing: both allocator plugins and the registry's strategy
// apply it to the same update.
//
// It follows upstream's service registry, with two differences. A port that was renamed
// keeps its node port, which upstream finds by name only. And node ports of a type that
// can't have them are cleared whatever the old type was, so that an ExternalName Service
// that got them past upstream can still be updated.
//
// If the client can't write the status, after must already have the stored status: the
// load balancer's status is cleared when the type changes.
func Inherit(after After, before Before) {
	if before.Service == nil {
		pluralizeClusterIP(after.Service)
		return
	}
	inheritClusterIPs(after, before)
	inheritIPFamilyPolicy(after, before)
	inheritNodePorts(after, before)
	inheritHealthCheckNodePort(after, before)
	wipeClusterIPs(after, before)
	wipeNodePorts(after, before)
	wipeLoadBalancerFields(after, before)
}

// pluralizeClusterIP is for clients that know only the older field. A client that knows
// clusterIPs must write both.
func pluralizeClusterIP(service *v1.Service) {
	if service.Spec.ClusterIP != "" && len(service.Spec.ClusterIPs) == 0 {
		service.Spec.ClusterIPs = []string{service.Spec.ClusterIP}
	}
}

func inheritClusterIPs(after After, before Before) {
	spec, old := &after.Spec, &before.Spec
	if !isExternalName(before.Service) && !isExternalName(after.Service) && spec.ClusterIP == "" {
		spec.ClusterIP = old.ClusterIP
		if len(spec.ClusterIPs) == 0 {
			spec.ClusterIPs = slices.Clone(old.ClusterIPs)
		}
	}
	if spec.ClusterIP == old.ClusterIP {
		if len(spec.ClusterIPs) == 0 {
			spec.ClusterIPs = slices.Clone(old.ClusterIPs)
		}
		return
	}
	// A client that knows only the older field changed it, and sent the newer one as it had
	// read it, or not at all.
	if len(spec.ClusterIPs) == 0 || slices.Equal(spec.ClusterIPs, old.ClusterIPs) {
		spec.ClusterIPs = nil
		pluralizeClusterIP(after.Service)
	}
}

func inheritIPFamilyPolicy(after After, before Before) {
	if after.Spec.IPFamilyPolicy == nil && before.Spec.IPFamilyPolicy != nil && !isExternalName(after.Service) {
		after.Spec.IPFamilyPolicy = ptr.To(*before.Spec.IPFamilyPolicy)
	}
}

// inheritNodePorts matches all ports by name before it matches any by number: a port that
// kept its name comes before a port that got its number.
func inheritNodePorts(after After, before Before) {
	if !NeedsNodePort(before.Service) || !NeedsNodePort(after.Service) {
		return
	}
	byName := map[string]int32{}
	byNumber := map[portAndProtocol]int32{}
	for i := range before.Spec.Ports {
		port := &before.Spec.Ports[i]
		byName[port.Name] = port.NodePort
		byNumber[numberOf(port)] = port.NodePort
	}
	ports := after.Spec.Ports
	// The client may have moved a node port to another port. Ports that shared a node port
	// still share it, as long as they have different protocols.
	given := nodePortUsers(ports)
	inherited := map[portAndProtocol]bool{}
	inherit := func(i int, nodePort int32) {
		key := portAndProtocol{nodePort, ports[i].Protocol}
		if ports[i].NodePort == 0 && !inherited[key] && mayUseNodePort(ports, i, given[nodePort]) {
			ports[i].NodePort = nodePort
			inherited[key] = nodePort != 0
		}
	}
	for i := range ports {
		inherit(i, byName[ports[i].Name])
	}
	for i := range ports {
		inherit(i, byNumber[numberOf(&ports[i])])
	}
}

// mayUseNodePort reports whether the i-th port can share a node port with all its users.
func mayUseNodePort(ports []corev1.ServicePort, i int, users []int) bool {
	return !slices.ContainsFunc(users, func(j int) bool { return !mayShareNodePort(&ports[i], &ports[j]) })
}

func inheritHealthCheckNodePort(after After, before Before) {
	if after.Spec.HealthCheckNodePort == 0 && NeedsHealthCheckNodePort(before.Service) && NeedsHealthCheckNodePort(after.Service) {
		after.Spec.HealthCheckNodePort = before.Spec.HealthCheckNodePort
	}
}

func wipeClusterIPs(after After, before Before) {
	if isExternalName(before.Service) || !isExternalName(after.Service) {
		return
	}
	spec, old := &after.Spec, &before.Spec
	if spec.ClusterIP == old.ClusterIP && slices.Equal(spec.ClusterIPs, old.ClusterIPs) {
		spec.ClusterIP, spec.ClusterIPs = "", nil
	}
	if slices.Equal(spec.IPFamilies, old.IPFamilies) {
		spec.IPFamilies = nil
	}
	if ptr.Equal(spec.IPFamilyPolicy, old.IPFamilyPolicy) {
		spec.IPFamilyPolicy = nil
	}
}

func wipeNodePorts(after After, before Before) {
	if MayHaveNodePort(after.Service) {
		return
	}
	// Node ports may have moved between ports: only a new number shows that the client
	// wants node ports.
	known := nodePortUsers(before.Spec.Ports)
	for nodePort := range nodePortUsers(after.Spec.Ports) {
		if len(known[nodePort]) == 0 {
			return
		}
	}
	for i := range after.Spec.Ports {
		after.Spec.Ports[i].NodePort = 0
	}
}

func wipeLoadBalancerFields(after After, before Before) {
	spec, old := &after.Spec, &before.Spec
	if NeedsHealthCheckNodePort(before.Service) && !NeedsHealthCheckNodePort(after.Service) &&
		spec.HealthCheckNodePort == old.HealthCheckNodePort {
		spec.HealthCheckNodePort = 0
	}
	if reachableFromOutside(before.Service) && !reachableFromOutside(after.Service) &&
		spec.ExternalTrafficPolicy == old.ExternalTrafficPolicy {
		spec.ExternalTrafficPolicy = ""
	}
	if isLoadBalancer(after.Service) {
		return
	}
	if isLoadBalancer(before.Service) {
		if ptr.Equal(spec.AllocateLoadBalancerNodePorts, old.AllocateLoadBalancerNodePorts) {
			spec.AllocateLoadBalancerNodePorts = nil
		}
		if ptr.Equal(spec.LoadBalancerClass, old.LoadBalancerClass) {
			spec.LoadBalancerClass = nil
		}
	}
	after.Status.LoadBalancer = corev1.LoadBalancerStatus{}
	LeaveLoadBalancer(&after.Status)
}
