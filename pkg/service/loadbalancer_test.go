package service_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/service"
)

// served returns a load balancer with addresses of a pool.
func served(addresses ...string) *v1.Service {
	svc := newService(ofType(corev1.ServiceTypeLoadBalancer))
	var parsed []netip.Addr
	for _, text := range addresses {
		parsed = append(parsed, netip.MustParseAddr(text))
	}
	service.SetLoadBalancerAddresses(&svc.Status, parsed, "", metav1.NewTime(time.Unix(1e9, 0)))
	return svc
}

func TestLoadBalancerAddresses(t *testing.T) {
	foreign := newService(ofType(corev1.ServiceTypeLoadBalancer))
	foreign.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "192.0.2.1"}, {Hostname: "example.com"}}
	waiting := served("192.0.2.1")
	service.WaitForLoadBalancer(&waiting.Status, v1.ReasonPoolFull, "full", metav1.Now())
	retyped := served("192.0.2.1")
	retyped.Spec.Type = corev1.ServiceTypeNodePort
	for name, test := range map[string]struct {
		svc  *v1.Service
		want []string
	}{
		"of a pool":            {served("192.0.2.1", "2001:db8::1"), []string{"192.0.2.1", "2001:db8::1"}},
		"of another":           {foreign, nil},
		"waiting":              {waiting, nil},
		"of another type now":  {retyped, nil},
		"without any":          {newService(ofType(corev1.ServiceTypeLoadBalancer)), nil},
		"of no load balancer":  {newService(), nil},
		"mapped, and so twice": {served("192.0.2.1", "::ffff:192.0.2.1"), []string{"192.0.2.1"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, addr := range service.LoadBalancerAddresses(test.svc) {
				got = append(got, addr.String())
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
	if got := service.IngressAddresses(&foreign.Status); len(got) != 1 {
		t.Errorf("addresses of another: %v", got)
	}
}

// The status of a stored Service is shared with other requests.
func TestStatusIsReplaced(t *testing.T) {
	stored := served("192.0.2.1")
	before := stored.Status.DeepCopy()
	status := stored.Status
	service.WaitForLoadBalancer(&status, v1.ReasonPoolFull, "full", metav1.Now())
	status = stored.Status
	service.LeaveLoadBalancer(&status)
	status = stored.Status
	service.SetLoadBalancerAddresses(&status, []netip.Addr{netip.MustParseAddr("192.0.2.2")}, "", metav1.Now())
	if !equality.Semantic.DeepEqual(*before, stored.Status) {
		t.Errorf("the stored status became %+v", stored.Status)
	}
	condition := meta.FindStatusCondition(status.Conditions, v1.ServiceConditionLoadBalancerAddress)
	if condition.LastTransitionTime.Unix() != 1e9 {
		t.Errorf("another address changed the time of the condition: %+v", condition)
	}
}

func TestKeepLoadBalancer(t *testing.T) {
	ingress := []corev1.LoadBalancerIngress{{IP: "192.0.2.99"}}
	forged := metav1.Condition{Type: v1.ServiceConditionLoadBalancerAddress, Status: metav1.ConditionTrue, Reason: "Forged"}
	other := metav1.Condition{Type: "Other", Status: metav1.ConditionTrue, Reason: "Other"}
	waiting := served("192.0.2.1")
	service.WaitForLoadBalancer(&waiting.Status, v1.ReasonPoolFull, "full", metav1.Now())
	for name, test := range map[string]struct {
		before    *v1.Service
		ingress   string
		condition string
	}{
		"of a pool":  {served("192.0.2.1"), "192.0.2.1", v1.ReasonAllocated},
		"waiting":    {waiting, "192.0.2.99", v1.ReasonPoolFull},
		"of another": {newService(ofType(corev1.ServiceTypeLoadBalancer)), "192.0.2.99", ""},
	} {
		t.Run(name, func(t *testing.T) {
			after := test.before.DeepCopy()
			after.Status.LoadBalancer.Ingress, after.Status.Conditions = ingress, []metav1.Condition{forged, other}
			service.KeepLoadBalancer(service.After{Service: after}, service.Before{Service: test.before})
			reason := ""
			if condition := meta.FindStatusCondition(after.Status.Conditions, v1.ServiceConditionLoadBalancerAddress); condition != nil {
				reason = condition.Reason
			}
			if after.Status.LoadBalancer.Ingress[0].IP != test.ingress || reason != test.condition ||
				!meta.IsStatusConditionTrue(after.Status.Conditions, "Other") {
				t.Errorf("the status is %+v", after.Status)
			}
		})
	}
}

func TestLoadBalancerPorts(t *testing.T) {
	svc := newService(ports(port("u", 53, udp, 0), port("t", 53, tcp, 0), port("o", 9, tcp, 0)))
	if got := fmt.Sprint(service.LoadBalancerPorts(svc)); got != "[{TCP 9} {TCP 53} {UDP 53}]" {
		t.Errorf("got %s", got)
	}
}
