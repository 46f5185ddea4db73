package loadbalancer

import (
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
	netutils "k8s.io/utils/net"
	"k8s.io/utils/ptr"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/service/loadbalancer"
)

// need indexes Services by the keys of the queue.
func need(obj any) ([]string, error) {
	service, ok := obj.(*corev1.Service)
	switch {
	case ok && message(service) != "":
		return []string{waiting, unserved}, nil
	case ok && (isUnserved(service) || len(missing(service)) > 0):
		return []string{unserved}, nil
	}
	return nil, nil
}

// isNeedy reports whether another look at a Service may be due.
func isNeedy(service *corev1.Service) bool {
	keys, _ := need(service)
	return len(keys) > 0
}

// reservedFor indexes claims by the Services that they are reserved for.
func reservedFor(obj any) ([]string, error) {
	claim, ok := obj.(*v1.LoadBalancerIP)
	if !ok || claim.Spec.ParentRef == nil || !claim.Spec.ParentRef.IsService() {
		return nil, nil
	}
	return []string{cache.NewObjectName(claim.Spec.ParentRef.Namespace, claim.Spec.ParentRef.Name).String()}, nil
}

// hasReservation reports whether an address is reserved for a Service.
func (c *Controller) hasReservation(service *corev1.Service) bool {
	names, err := c.claims.IndexKeys(byService, cache.MetaObjectToName(service).String())
	return err == nil && len(names) > 0
}

// waits reports whether a Service has no address and waits for one of a pool.
func waits(service *corev1.Service) bool {
	return isLoadBalancer(service) && meta.IsStatusConditionFalse(service.Status.Conditions, v1.ServiceConditionLoadBalancerAddress)
}

// waitsForOther reports whether a Service has an address of one IP family and waits for one of
// the other.
func waitsForOther(service *corev1.Service) bool {
	condition := conditionOf(service)
	return isLoadBalancer(service) && condition != nil && condition.Reason == v1.ReasonPartlyAllocated
}

// missing returns the IP families of which a Service that pools serve has no address.
func missing(service *corev1.Service) []corev1.IPFamily {
	if !isLoadBalancer(service) || !meta.IsStatusConditionTrue(service.Status.Conditions, v1.ServiceConditionLoadBalancerAddress) {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(service.Spec.IPFamilies), func(family corev1.IPFamily) bool {
		return slices.ContainsFunc(service.Status.LoadBalancer.Ingress, func(ingress corev1.LoadBalancerIngress) bool {
			return netutils.IsIPv6String(ingress.IP) == (family == corev1.IPv6Protocol)
		})
	})
}

// isUnserved reports whether no pool has served a Service. It can have addresses of
// another controller.
func isUnserved(service *corev1.Service) bool {
	return isLoadBalancer(service) && conditionOf(service) == nil
}

// usesUnclaimed reports whether a Service has an address that another controller has given it.
func usesUnclaimed(service *corev1.Service) bool {
	return service.Spec.Type == corev1.ServiceTypeLoadBalancer && len(service.Status.LoadBalancer.Ingress) > 0 &&
		!meta.IsStatusConditionTrue(service.Status.Conditions, v1.ServiceConditionLoadBalancerAddress)
}

func isLoadBalancer(service *corev1.Service) bool {
	return service.Spec.Type == corev1.ServiceTypeLoadBalancer && service.DeletionTimestamp == nil && !v1.IsMirrored(service)
}

func conditionOf(service *corev1.Service) *metav1.Condition {
	return meta.FindStatusCondition(service.Status.Conditions, v1.ServiceConditionLoadBalancerAddress)
}

// message says why a Service waits. It is empty for a Service that does not.
func message(service *corev1.Service) string {
	if !waits(service) && !waitsForOther(service) {
		return ""
	}
	return conditionOf(service).Message
}

// oldestFirst sorts Services in the order in which they are served.
func oldestFirst(a, b *corev1.Service) int {
	return cmp.Or(
		a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}

// demand is what a Service waits for. If one Service gets nothing, nor do others of the
// same demand.
type demand struct {
	// message names the pools that have nothing.
	message  string
	families string
	// namespace is set if a ClaimQuota of it may allow no more.
	namespace string
}

// demandOf reports false for a Service whose demand is its own: it names an address or
// shares one, or no pool has been asked yet.
func demandOf(service *corev1.Service) (demand, bool) {
	request, errs := loadbalancer.Parse(&v1.Service{ObjectMeta: service.ObjectMeta, Spec: service.Spec})
	if len(errs) > 0 || len(request.Addresses) > 0 || request.SharingKey != "" || message(service) == "" {
		return demand{}, false
	}
	families := ""
	for _, family := range service.Spec.IPFamilies {
		families += string(family)
	}
	wants := demand{message: message(service), families: families + string(ptr.Deref(service.Spec.IPFamilyPolicy, ""))}
	if waitsForOther(service) || conditionOf(service).Reason == v1.ReasonQuotaExceeded {
		wants.namespace = service.Namespace
	}
	return wants, true
}
