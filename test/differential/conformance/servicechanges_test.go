package conformance

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// changesOfType: "should be able to change the type from ExternalName to
// ClusterIP" and similar tests.
func changesOfType(f *fixture) {
	to := func(kind corev1.ServiceType) func(*corev1.Service) {
		return func(svc *corev1.Service) {
			svc.Spec.Type, svc.Spec.ExternalName, svc.Spec.Ports = kind, "", newService("").Spec.Ports
		}
	}
	external := func(svc *corev1.Service) {
		svc.Spec.Type, svc.Spec.ExternalName = corev1.ServiceTypeExternalName, "foo.example.com"
	}
	for name, test := range map[string]struct {
		from, to          func(*corev1.Service)
		address, nodePort bool
	}{
		"name-to-clusterip":         {external, to(corev1.ServiceTypeClusterIP), true, false},
		"name-to-nodeport":          {external, to(corev1.ServiceTypeNodePort), true, true},
		"name-to-loadbalancer":      {external, to(corev1.ServiceTypeLoadBalancer), true, true},
		"clusterip-to-name":         {to(corev1.ServiceTypeClusterIP), external, false, false},
		"nodeport-to-name":          {to(corev1.ServiceTypeNodePort), external, false, false},
		"loadbalancer-to-name":      {to(corev1.ServiceTypeLoadBalancer), external, false, false},
		"clusterip-to-nodeport":     {to(corev1.ServiceTypeClusterIP), to(corev1.ServiceTypeNodePort), true, true},
		"nodeport-to-clusterip":     {to(corev1.ServiceTypeNodePort), to(corev1.ServiceTypeClusterIP), true, false},
		"nodeport-to-loadbalancer":  {to(corev1.ServiceTypeNodePort), to(corev1.ServiceTypeLoadBalancer), true, true},
		"loadbalancer-to-clusterip": {to(corev1.ServiceTypeLoadBalancer), to(corev1.ServiceTypeClusterIP), true, false},
	} {
		before := f.createService(newService(name, test.from))
		after := f.updateService(name, test.to)
		if got := after.Spec.ClusterIP != ""; got != test.address {
			f.Errorf("%s: it has the address %q", name, after.Spec.ClusterIP)
		}
		if test.address && before.Spec.ClusterIP != "" && before.Spec.ClusterIP != after.Spec.ClusterIP {
			f.Errorf("%s: the address went from %s to %s", name, before.Spec.ClusterIP, after.Spec.ClusterIP)
		}
		if got := len(after.Spec.Ports) > 0 && after.Spec.Ports[0].NodePort != 0; got != test.nodePort {
			f.Errorf("%s: its ports are %+v", name, after.Spec.Ports)
		}
		if (after.Spec.ExternalName != "") == test.address {
			f.Errorf("%s: its name is %q", name, after.Spec.ExternalName)
		}
	}
}

// changesOfPorts: "should be updated after adding or deleting ports" (the API's
// part).
func changesOfPorts(f *fixture) {
	made := f.createService(newService("web", ofType(corev1.ServiceTypeNodePort)))
	more := f.updateService("web", func(svc *corev1.Service) {
		svc.Spec.Ports = append(svc.Spec.Ports, corev1.ServicePort{Name: "https", Port: 443})
	})
	if len(more.Spec.Ports) != 2 || more.Spec.Ports[0].NodePort != made.Spec.Ports[0].NodePort || more.Spec.Ports[1].NodePort == 0 {
		f.Errorf("after one was added: %+v", more.Spec.Ports)
	}
	less := f.updateService("web", func(svc *corev1.Service) { svc.Spec.Ports = svc.Spec.Ports[1:] })
	if len(less.Spec.Ports) != 1 || less.Spec.Ports[0].NodePort != more.Spec.Ports[1].NodePort {
		f.Errorf("after one was taken: %+v", less.Spec.Ports)
	}
	none := f.updateService("web", func(svc *corev1.Service) { svc.Spec.Type, svc.Spec.Ports[0].NodePort = corev1.ServiceTypeClusterIP, 0 })
	if none.Spec.Ports[0].NodePort != 0 || none.Spec.ClusterIP != made.Spec.ClusterIP {
		f.Errorf("as a ClusterIP Service: %+v", none.Spec)
	}
}

// nodePortTwice: "should prevent NodePort collisions".
func nodePortTwice(f *fixture) {
	first := f.createService(newService("first", ofType(corev1.ServiceTypeNodePort)))
	second := newService("second", ofType(corev1.ServiceTypeNodePort))
	second.Spec.Ports[0].NodePort = first.Spec.Ports[0].NodePort
	_, err := f.services().Create(f.Context(), second, metav1.CreateOptions{})
	if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "provided port is already allocated") {
		f.Errorf("the same port: %v", err)
	}
	f.ok("delete", f.services().Delete(f.Context(), "first", metav1.DeleteOptions{}))
	f.createService(second)
}

// nodePortOutOfRange: "should check NodePort out-of-range".
func nodePortOutOfRange(f *fixture) {
	const outside = 29999
	svc := newService("web", ofType(corev1.ServiceTypeNodePort))
	svc.Spec.Ports[0].NodePort = outside
	_, err := f.services().Create(f.Context(), svc, metav1.CreateOptions{})
	if !apierrors.IsInvalid(err) ||
		!strings.Contains(err.Error(), "provided port is not in the valid range. The range of valid ports is 30000-32767") {
		f.Errorf("out of range: %v", err)
	}
	svc.Spec.Ports[0].NodePort = 0
	made := f.createService(svc)
	made.Spec.Ports[0].NodePort = outside
	_, err = f.services().Update(f.Context(), made, metav1.UpdateOptions{})
	if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "provided port is not in the valid range") {
		f.Errorf("changed to out of range: %v", err)
	}
}

// nodePortIsReleased: "should release NodePorts on delete".
func nodePortIsReleased(f *fixture) {
	made := f.createService(newService("web", ofType(corev1.ServiceTypeNodePort)))
	f.ok("delete", f.services().Delete(f.Context(), "web", metav1.DeleteOptions{}))
	again := newService("web", ofType(corev1.ServiceTypeNodePort))
	again.Spec.Ports[0].NodePort = made.Spec.Ports[0].NodePort
	f.createService(again)
}

// onePortTwoProtocols: "should be able to update service type to NodePort
// listening on same port number but different protocols".
func onePortTwoProtocols(f *fixture) {
	f.createService(newService("web"))
	changed := f.updateService("web", func(svc *corev1.Service) {
		svc.Spec.Type = corev1.ServiceTypeNodePort
		svc.Spec.Ports = []corev1.ServicePort{
			{Name: "tcp", Port: 80, Protocol: corev1.ProtocolTCP}, {Name: "udp", Port: 80, Protocol: corev1.ProtocolUDP},
		}
	})
	if len(changed.Spec.Ports) != 2 || changed.Spec.Ports[0].NodePort == 0 || changed.Spec.Ports[1].NodePort == 0 {
		f.Errorf("its ports are %+v", changed.Spec.Ports)
	}
	same := newService("same", ofType(corev1.ServiceTypeNodePort))
	same.Spec.Ports = nil
	free := f.createService(newService("free", ofType(corev1.ServiceTypeNodePort))).Spec.Ports[0].NodePort
	f.ok("delete", f.services().Delete(f.Context(), "free", metav1.DeleteOptions{}))
	for _, protocol := range []corev1.Protocol{corev1.ProtocolTCP, corev1.ProtocolUDP} {
		same.Spec.Ports = append(same.Spec.Ports,
			corev1.ServicePort{Name: strings.ToLower(string(protocol)), Port: 53, Protocol: protocol, NodePort: free})
	}
	if made := f.createService(same); made.Spec.Ports[0].NodePort != free || made.Spec.Ports[1].NodePort != free {
		f.Errorf("with one node port for both: %+v", made.Spec.Ports)
	}
}

// healthCheckPort: "should implement NodePort and HealthCheckNodePort correctly
// when ExternalTrafficPolicy changes" (the API's part).
func healthCheckPort(f *fixture) {
	local := func(svc *corev1.Service) { svc.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal }
	made := f.createService(newService("web", ofType(corev1.ServiceTypeLoadBalancer), local))
	port := made.Spec.HealthCheckNodePort
	if port == 0 || made.Spec.Ports[0].NodePort == 0 {
		f.Fatalf("made %+v", made.Spec)
	}
	cluster := f.updateService("web",
		func(svc *corev1.Service) { svc.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyCluster })
	if cluster.Spec.HealthCheckNodePort != 0 || cluster.Spec.Ports[0].NodePort != made.Spec.Ports[0].NodePort {
		f.Errorf("with the policy Cluster it is %+v", cluster.Spec)
	}
	again := f.updateService("web", func(svc *corev1.Service) { local(svc); svc.Spec.HealthCheckNodePort = port })
	if again.Spec.HealthCheckNodePort != port {
		f.Errorf("with the policy Local and its old port it is %+v", again.Spec)
	}
	none := f.createService(newService("none", ofType(corev1.ServiceTypeLoadBalancer), func(svc *corev1.Service) {
		svc.Spec.AllocateLoadBalancerNodePorts = ptr.To(false)
	}))
	if none.Spec.Ports[0].NodePort != 0 {
		f.Errorf("without node ports it has %+v", none.Spec.Ports)
	}
}

// sessionAffinity: "should be able to switch session affinity for service" (the
// API's part).
func sessionAffinity(f *fixture) {
	made := f.createService(newService("web"))
	if made.Spec.SessionAffinity != corev1.ServiceAffinityNone || made.Spec.SessionAffinityConfig != nil {
		f.Errorf("made %+v", made.Spec)
	}
	with := f.updateService("web", func(svc *corev1.Service) { svc.Spec.SessionAffinity = corev1.ServiceAffinityClientIP })
	if with.Spec.SessionAffinityConfig == nil || *with.Spec.SessionAffinityConfig.ClientIP.TimeoutSeconds != 10800 {
		f.Errorf("with affinity it is %+v", with.Spec)
	}
	without := f.updateService("web", func(svc *corev1.Service) { svc.Spec.SessionAffinity = corev1.ServiceAffinityNone })
	if without.Spec.SessionAffinityConfig != nil {
		f.Errorf("without affinity it is %+v", without.Spec)
	}
}
