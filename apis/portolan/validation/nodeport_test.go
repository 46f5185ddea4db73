package validation

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

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
		"no parentRef": {without, []string{`spec.parentRef: Required value`}},
		"uid":          {foreign, []string{`spec.parentRef.uid: Forbidden: is set by the server for the Service that holds the claim`}},
	} {
		t.Run(name, func(t *testing.T) { checkErrors(t, ValidateNodePortCreate(test.port), test.want) })
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
