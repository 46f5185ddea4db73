package validation

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

func nodePort(name string, protocols ...corev1.Protocol) *v1.NodePort {
	return &v1.NodePort{
		ObjectMeta: metav1.ObjectMeta{Name: name, ResourceVersion: "1"},
		Spec: v1.NodePortSpec{
			Protocols: protocols, ParentRef: &v1.ParentReference{Resource: "services", Namespace: "default", Name: "web"},
		},
	}
}

func TestNodePortCreate(t *testing.T) {
	const outOfRange = "must be between 1 and 65535, inclusive"
	foreign := nodePort("80")
	foreign.Spec.ParentRef.UID = "u"
	without := nodePort("80")
	without.Spec.ParentRef = nil
	reserved := func(change func(*v1.NodePortSpec)) *v1.NodePort {
		port := nodePort("80")
		change(&port.Spec)
		return port
	}
	for name, test := range map[string]struct {
		port *v1.NodePort
		want []string
	}{
		"lowest":        {port: nodePort("1")},
		"highest":       {port: nodePort("65535", "TCP", "UDP", "SCTP")},
		"zero":          {nodePort("0"), []string{`metadata.name: Invalid value: "0": ` + outOfRange}},
		"too high":      {nodePort("65536"), []string{`metadata.name: Invalid value: "65536": ` + outOfRange}},
		"negative":      {nodePort("-1"), []string{`metadata.name: Invalid value: "-1": ` + outOfRange}},
		"no number":     {nodePort("http"), []string{`metadata.name: Invalid value: "http": ` + outOfRange}},
		"not canonical": {nodePort("080"), []string{`metadata.name: Invalid value: "080": must be in canonical form ("80")`}},
		"signed":        {nodePort("+80"), []string{`metadata.name: Invalid value: "+80": must be in canonical form ("80")`}},
		"protocols": {nodePort("80", "TCP", "tcp", "TCP"),
			[]string{`spec.protocols[1]: Unsupported value: "tcp": supported values: "SCTP", "TCP", "UDP"`,
				`spec.protocols[2]: Duplicate value: "TCP"`}},
		"for ports of a Service": {port: reserved(func(spec *v1.NodePortSpec) {
			spec.ServicePorts = []v1.ServicePortReference{{Name: "dns", Port: 53, Protocol: "TCP"}, {Port: 53, Protocol: "UDP"}}
			spec.ExpirationTimestamp = &metav1.Time{Time: time.Unix(1e9+1, 0)}
		})},
		"for a health check": {port: reserved(func(spec *v1.NodePortSpec) { spec.HealthCheck = new(true) })},
		"for bad ports": {reserved(func(spec *v1.NodePortSpec) {
			spec.ServicePorts = []v1.ServicePortReference{
				{Protocol: "TCP"}, {Name: "A", Port: 70000, Protocol: "TCP"}, {Name: "a", Protocol: "ICMP"},
			}
		}), []string{
			`spec.servicePorts[0]: Required value: name or port must be set`,
			`spec.servicePorts[1].name: Invalid value: "A": ` + utilvalidation.IsDNS1123Label("A")[0],
			`spec.servicePorts[1].port: Invalid value: 70000: ` + outOfRange,
			`spec.servicePorts[1].protocol: Duplicate value: "TCP"`,
			`spec.servicePorts[2].protocol: Unsupported value: "ICMP": supported values: "SCTP", "TCP", "UDP"`,
		}},
		"for both": {reserved(func(spec *v1.NodePortSpec) {
			spec.HealthCheck, spec.ServicePorts = new(true), []v1.ServicePortReference{{Port: 80, Protocol: "TCP"}}
		}), []string{`spec.servicePorts: Forbidden: may not be set when spec.healthCheck is true`}},
		"for ports of no Service": {reserved(func(spec *v1.NodePortSpec) {
			spec.ParentRef = &v1.ParentReference{Resource: "reservations", Name: "dns"}
			spec.ServicePorts = []v1.ServicePortReference{{Port: 80, Protocol: "TCP"}}
		}), []string{`spec.servicePorts: Forbidden: may only be set if spec.parentRef names a Service`}},
		"expired": {reserved(func(spec *v1.NodePortSpec) { spec.ExpirationTimestamp = &metav1.Time{Time: time.Unix(1e9, 0)} }),
			[]string{`spec.expirationTimestamp: Invalid value: "2001-09-09T01:46:40Z": must be in the future`}},
		"no parentRef": {without, []string{`spec.parentRef: Required value`}},
		"uid":          {foreign, []string{`spec.parentRef.uid: Forbidden: is set by the server for the Service that holds the claim`}},
	} {
		t.Run(name, func(t *testing.T) { checkErrors(t, ValidateNodePortCreate(test.port, time.Unix(1e9, 0)), test.want) })
	}
}

func TestNodePortUpdate(t *testing.T) {
	held := func(port *v1.NodePort) *v1.NodePort {
		port.Spec.ParentRef.UID = "u"
		return port
	}
	moved := nodePort("80")
	moved.Spec.ParentRef.Namespace = "other"
	for name, test := range map[string]struct {
		port, old *v1.NodePort
		want      []string
	}{
		"reservation's protocols": {port: nodePort("80", "UDP"), old: nodePort("80", "TCP")},
		"held, as it was":         {port: held(nodePort("80", "TCP")), old: held(nodePort("80", "TCP"))},
		"held, protocols": {held(nodePort("80", "UDP")), held(nodePort("80", "TCP")),
			[]string{`spec.protocols: Forbidden: are set by the server for the Service that holds the claim`}},
		"holder": {moved, nodePort("80"),
			[]string{`spec.parentRef: Invalid value: {"Group":"","Resource":"services","Namespace":"other","Name":"web"}: field is immutable`}},
	} {
		t.Run(name, func(t *testing.T) { checkErrors(t, ValidateNodePortUpdate(test.port, test.old), test.want) })
	}
}
