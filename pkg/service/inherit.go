package service

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

// Inherit carries over from the stored Service what the client left out, so
// that whoever creates a Service from a file can send the same file again, and
// wipes what the new type can't have and the client left as it was. A value
// that the client did change is kept for validation to refuse. On create it
// only brings clusterIPs in line with clusterIP.
//
// It follows upstream's service registry, with two differences. A port that was
// renamed keeps its node port, which upstream finds by name only. And node
// ports on a type that can't hold them are wiped whatever the old type was, so
// that an ExternalName Service on which upstream let them through can still be
// updated.
//
// Where status is not the client's to write it must be the stored one already:
// the load balancer's part is cleared with the type.
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

// pluralizeClusterIP serves clients that know only the older field. The other
// way round is refused: a client that knows clusterIPs must write both.
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
	// A client that knows only the older field changed it and sent the newer
	// one back as it had read it, or not at all.
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

// inheritNodePorts matches ports by name before it matches any by number: a
// port that kept its name has the better claim on its node port than one that
// was given its number.
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
	// The client may have moved a node port to another port. Ports that shared
	// one before go on sharing it, as long as they can be told apart.
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

// mayUseNodePort says whether the i-th port can share a node port with all that
// have it.
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
	// Which port holds which number may differ: only a number that is new shows
	// that the client wants node ports.
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
}
