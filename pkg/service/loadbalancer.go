package service

import (
	"cmp"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

// The condition v1.ServiceConditionLoadBalancerAddress says who writes the load balancer's
// status of a Service. While it is True, the server does: every address there is one that
// the Service claims. While it is False, the Service waits for an address. Without it, the
// status is left to other controllers.

// LoadBalancerAddresses returns the load-balancer addresses that the Service claims.
func LoadBalancerAddresses(service *v1.Service) []netip.Addr {
	if !isLoadBalancer(service) || !meta.IsStatusConditionTrue(service.Status.Conditions, v1.ServiceConditionLoadBalancerAddress) {
		return nil
	}
	// The status of a copy is that of the cluster's Service.
	if v1.IsMirrored(service) {
		return nil
	}
	return IngressAddresses(&service.Status)
}

// UnclaimedAddresses returns the load-balancer addresses that the Service uses and does not
// claim, because another controller has given them to it.
func UnclaimedAddresses(service *v1.Service) []netip.Addr {
	claimed := LoadBalancerAddresses(service)
	return slices.DeleteFunc(IngressAddresses(&service.Status), func(addr netip.Addr) bool { return slices.Contains(claimed, addr) })
}

// IngressAddresses returns the addresses in the load balancer's status, whoever wrote them.
func IngressAddresses(status *corev1.ServiceStatus) []netip.Addr {
	var addresses []netip.Addr
	for _, ingress := range status.LoadBalancer.Ingress {
		addr, err := netip.ParseAddr(ingress.IP)
		if addr = addr.Unmap(); err == nil && !slices.Contains(addresses, addr) {
			addresses = append(addresses, addr)
		}
	}
	return addresses
}

// LoadBalancerHolder returns the Service as a holder of its load-balancer addresses.
func LoadBalancerHolder(service *v1.Service) v1.LoadBalancerIPHolder {
	return v1.LoadBalancerIPHolder{
		Namespace: service.Namespace, Name: service.Name, UID: service.UID, Ports: LoadBalancerPorts(service),
	}
}

// LoadBalancerPorts returns the ports that the Service serves on its load-balancer
// addresses, in ascending order.
func LoadBalancerPorts(service *v1.Service) []v1.LoadBalancerIPPort {
	ports := make([]v1.LoadBalancerIPPort, 0, len(service.Spec.Ports))
	for i := range service.Spec.Ports {
		ports = append(ports, v1.LoadBalancerIPPort{Protocol: service.Spec.Ports[i].Protocol, Port: service.Spec.Ports[i].Port})
	}
	slices.SortFunc(ports, func(a, b v1.LoadBalancerIPPort) int {
		return cmp.Or(cmp.Compare(a.Port, b.Port), cmp.Compare(a.Protocol, b.Protocol))
	})
	return slices.Compact(ports)
}

// SetLoadBalancerAddresses makes addresses those of the load balancer. If the Service waits
// for one of another IP family, lack says why. The function replaces slices instead of
// modifying them, and keeps the time of a condition that is True already.
func SetLoadBalancerAddresses(status *corev1.ServiceStatus, addresses []netip.Addr, lack string, now metav1.Time) {
	status.LoadBalancer.Ingress = nil
	for _, addr := range addresses {
		status.LoadBalancer.Ingress = append(status.LoadBalancer.Ingress,
			corev1.LoadBalancerIngress{IP: addr.String(), IPMode: ptr.To(corev1.LoadBalancerIPModeVIP)})
	}
	condition := metav1.Condition{
		Status: metav1.ConditionTrue, Reason: v1.ReasonAllocated, LastTransitionTime: now,
		Message: "The Service has addresses of a LoadBalancerPool",
	}
	if lack != "" {
		condition.Reason = v1.ReasonPartlyAllocated
		condition.Message = "The Service has an address of one IP family and waits for one of the other: " + lack
	}
	setLoadBalancerCondition(status, condition)
}

// WaitForLoadBalancer makes the Service wait for an address. It removes addresses that the
// Service claims. Those that another controller has given it stay: they may carry traffic.
func WaitForLoadBalancer(status *corev1.ServiceStatus, reason, message string, now metav1.Time) {
	if meta.IsStatusConditionTrue(status.Conditions, v1.ServiceConditionLoadBalancerAddress) {
		status.LoadBalancer.Ingress = nil
	}
	setLoadBalancerCondition(status, metav1.Condition{
		Status: metav1.ConditionFalse, Reason: reason, Message: message, LastTransitionTime: now,
	})
}

func setLoadBalancerCondition(status *corev1.ServiceStatus, condition metav1.Condition) {
	condition.Type = v1.ServiceConditionLoadBalancerAddress
	status.Conditions = slices.Clone(status.Conditions)
	meta.SetStatusCondition(&status.Conditions, condition)
}

// LeaveLoadBalancer leaves the load balancer's status to other controllers.
func LeaveLoadBalancer(status *corev1.ServiceStatus) {
	if meta.FindStatusCondition(status.Conditions, v1.ServiceConditionLoadBalancerAddress) == nil {
		return
	}
	status.Conditions = slices.Clone(status.Conditions)
	meta.RemoveStatusCondition(&status.Conditions, v1.ServiceConditionLoadBalancerAddress)
	if len(status.Conditions) == 0 {
		status.Conditions = nil
	}
}

// KeepLoadBalancer undoes what an update of the status changed of a load balancer that a
// pool serves, and of the condition, which only the server sets.
func KeepLoadBalancer(after After, before Before) {
	condition := meta.FindStatusCondition(before.Status.Conditions, v1.ServiceConditionLoadBalancerAddress)
	if condition == nil {
		LeaveLoadBalancer(&after.Status)
		return
	}
	setLoadBalancerCondition(&after.Status, *condition)
	if condition.Status == metav1.ConditionTrue {
		after.Status.LoadBalancer = before.Status.LoadBalancer
	}
}
