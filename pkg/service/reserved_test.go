package service

import (
	"fmt"
	"reflect"
	"testing"

	corev1 "k8s.io/api/core/v1"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

func TestAssignReservedPorts(t *testing.T) {
	tcp, udp := corev1.ProtocolTCP, corev1.ProtocolUDP
	port := func(name string, number, nodePort int32, protocol corev1.Protocol) corev1.ServicePort {
		return corev1.ServicePort{Name: name, Port: number, NodePort: nodePort, Protocol: protocol}
	}
	nodePort := func(ports ...corev1.ServicePort) *v1.Service {
		return &v1.Service{Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeNodePort, Ports: ports}}
	}
	local := func(ports ...corev1.ServicePort) *v1.Service {
		svc := nodePort(ports...)
		svc.Spec.Type, svc.Spec.ExternalTrafficPolicy = corev1.ServiceTypeLoadBalancer, corev1.ServiceExternalTrafficPolicyLocal
		return svc
	}
	ref := func(name string, number int32, protocol corev1.Protocol) v1.ServicePortReference {
		return v1.ServicePortReference{Name: name, Port: number, Protocol: protocol}
	}
	reserved := func(nodePort int32, refs ...v1.ServicePortReference) ReservedPort {
		return ReservedPort{NodePort: nodePort, ServicePorts: refs}
	}
	for name, test := range map[string]struct {
		svc      *v1.Service
		reserved []ReservedPort
		// want are the node ports, and the health check port last.
		want []int32
	}{
		"nothing reserved": {nodePort(port("", 80, 0, tcp)), nil, []int32{0, 0}},
		"a type without node ports": {
			&v1.Service{Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{port("", 80, 0, tcp)}}}, []ReservedPort{reserved(1)}, []int32{0, 0},
		},
		"for any, in order": {
			nodePort(port("a", 80, 0, tcp), port("b", 81, 0, tcp), port("c", 82, 0, tcp)),
			[]ReservedPort{reserved(1), reserved(2)},
			[]int32{1, 2, 0, 0},
		},
		"for any of a protocol": {
			nodePort(port("a", 80, 0, tcp), port("b", 81, 0, udp)),
			[]ReservedPort{{NodePort: 1, Protocols: []corev1.Protocol{udp}}},
			[]int32{0, 1, 0},
		},
		"for any, shared": {
			nodePort(port("a", 53, 0, tcp), port("b", 53, 0, udp)), []ReservedPort{reserved(1), reserved(2)}, []int32{1, 1, 0},
		},
		"the client names one": {
			nodePort(port("a", 80, 7, tcp), port("b", 81, 0, tcp)), []ReservedPort{reserved(7), reserved(8)}, []int32{7, 8, 0},
		},
		"by name": {
			nodePort(port("a", 80, 0, tcp), port("b", 81, 0, tcp)), []ReservedPort{reserved(1, ref("b", 80, tcp))}, []int32{0, 1, 0},
		},
		"by number": {
			nodePort(port("x", 80, 0, tcp), port("y", 81, 0, tcp)), []ReservedPort{reserved(1, ref("b", 81, tcp))}, []int32{0, 1, 0},
		},
		"names before numbers": {
			nodePort(port("b", 80, 0, tcp), port("a", 81, 0, tcp)),
			[]ReservedPort{reserved(1, ref("a", 80, tcp)), reserved(2, ref("b", 81, tcp))},
			[]int32{2, 1, 0},
		},
		"another protocol":           {nodePort(port("a", 80, 0, udp)), []ReservedPort{reserved(1, ref("a", 80, tcp))}, []int32{0, 0}},
		"no such port":               {nodePort(port("a", 80, 0, tcp)), []ReservedPort{reserved(1, ref("b", 81, tcp))}, []int32{0, 0}},
		"the only port got a number": {nodePort(port("", 8080, 0, tcp)), []ReservedPort{reserved(1, ref("", 80, tcp))}, []int32{1, 0}},
		"two ports of one node port": {
			nodePort(port("a", 80, 0, tcp), port("b", 443, 0, udp)),
			[]ReservedPort{reserved(1, ref("a", 80, tcp), ref("b", 443, udp))},
			[]int32{1, 1, 0},
		},
		"one port of two": {
			nodePort(port("a", 80, 0, tcp)), []ReservedPort{reserved(1, ref("a", 80, tcp)), reserved(2, ref("a", 80, tcp))}, []int32{1, 0},
		},
		"referenced before any": {
			nodePort(port("a", 80, 0, tcp), port("b", 81, 0, tcp)), []ReservedPort{reserved(1), reserved(2, ref("a", 80, tcp))}, []int32{2, 1, 0},
		},
		"health check": {
			local(port("a", 80, 0, tcp), port("b", 81, 0, tcp)), []ReservedPort{{NodePort: 1, HealthCheck: true}, reserved(2)}, []int32{2, 0, 1},
		},
		"what is left for any": {local(port("a", 80, 0, tcp)), []ReservedPort{reserved(1), reserved(2)}, []int32{1, 2}},
		"no health check":      {nodePort(port("a", 80, 0, tcp)), []ReservedPort{{NodePort: 1, HealthCheck: true}}, []int32{0, 0}},
	} {
		t.Run(name, func(t *testing.T) { expectAssigned(t, test.svc, test.reserved, test.want) })
	}
}

func expectAssigned(t *testing.T, svc *v1.Service, reserved []ReservedPort, want []int32) {
	t.Helper()
	assigned := AssignReservedPorts(svc, reserved)
	var got []int32
	for _, p := range svc.Spec.Ports {
		got = append(got, p.NodePort)
	}
	got = append(got, svc.Spec.HealthCheckNodePort)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for _, a := range assigned {
		has := svc.Spec.HealthCheckNodePort
		if a.Index != HealthCheckIndex {
			has = svc.Spec.Ports[a.Index].NodePort
		}
		if has != a.NodePort {
			t.Errorf("said to have assigned %s, but it is %d", fmt.Sprint(a), has)
		}
	}
	if again := AssignReservedPorts(svc, reserved); len(again) > 0 {
		t.Errorf("assigned again: %v", again)
	}
}
