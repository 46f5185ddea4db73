package claims

import (
	"errors"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/portolan-dev/portolan/pkg/allocation"
)

// The texts are upstream's.
func TestFieldErrors(t *testing.T) {
	svc := newService(func(s *corev1.ServiceSpec) {
		s.Type = corev1.ServiceTypeLoadBalancer
		s.ClusterIPs = []string{"10.96.0.5", "fd00::5"}
		s.HealthCheckNodePort = 30090
		s.Ports = []corev1.ServicePort{servicePort(80, 30080, "TCP"), servicePort(81, 40000, "TCP")}
	})
	index := newIndex()
	addCIDR(index, "kubernetes", 1, "10.96.0.0/24", "fd00:10:96::/112")
	addPorts(index, "kubernetes", 1, "30000-30099")
	ledger := &Ledger{Index: index}
	for _, taken := range []allocation.Value{address("10.96.0.5"), port(30080), port(30090)} {
		index.Observe(taken, heldBy("other", 5))
	}
	const list = `["10.96.0.5","fd00::5"]`
	for _, test := range []struct {
		value allocation.Value
		want  string
	}{
		{address("10.96.0.5"), `spec.clusterIPs: Invalid value: ` + list + `: failed to allocate IP 10.96.0.5: provided IP is already allocated`},
		{address("10.97.0.5"), `spec.clusterIPs: Invalid value: ` + list +
			`: failed to allocate IP 10.97.0.5: the provided network does not match the current range`},
		{address("10.96.0.0"), `spec.clusterIPs: Invalid value: ` + list +
			`: failed to allocate IP 10.96.0.0: the provided network does not match the current range`},
		{address("10.96.0.255"), `spec.clusterIPs: Invalid value: ` + list +
			`: failed to allocate IP 10.96.0.255: the provided network does not match the current range`},
		{address("fd00:10:96::"), `spec.clusterIPs: Invalid value: ` + list +
			`: failed to allocate IP fd00:10:96::: the provided network does not match the current range`},
		{port(30080), `spec.ports[0].nodePort: Invalid value: 30080: provided port is already allocated`},
		{port(40000), `spec.ports[1].nodePort: Invalid value: 40000: provided port is not in the valid range. The range of valid ports is 30000-30099`},
		{port(30090), `spec.healthCheckNodePort: Invalid value: 30090: provided port is already allocated`},
	} {
		err := ledger.Check(t.Context(), Requester{svc: svc}, test.value)
		if err == nil || err.Error() != test.want {
			t.Errorf("%s:\ngot  %v\nwant %s", test.value, err, test.want)
		}
	}
	for _, fine := range []allocation.Value{address("fd00:10:96::ffff"), address("10.96.0.254"), port(30000), port(30099)} {
		if err := ledger.Check(t.Context(), Requester{svc: svc}, fine); err != nil {
			t.Errorf("%s: %v", fine, err)
		}
	}
	// A value that the Service holds is allowed, wherever it lies.
	index.Observe(port(40000), heldBy("web-uid", 6))
	if err := ledger.Check(t.Context(), Requester{svc: svc}, port(40000)); err != nil {
		t.Error(err)
	}
	index.Observe(port(40001), allocation.Claim{Revision: 6})
	if err := ledger.Check(t.Context(), anyone, port(40001)); err == nil {
		t.Error("a reservation is free for a Service without UID")
	}

	if err := ledger.CheckRange(Requester{svc: svc}, port(30080)); err != nil {
		t.Error(err)
	}
	addPorts(index, "more", 2, "443", "8000-8099")
	const want = "spec.ports[1].nodePort: Invalid value: 40000: provided port is not in the valid range. The range of valid ports is 30000-30099,443,8000-8099"
	if err := ledger.CheckRange(Requester{svc: svc}, port(40000)); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestFullTexts(t *testing.T) {
	index := newIndex()
	addCIDR(index, "kubernetes", 1, "10.0.0.0/30")
	addPorts(index, "kubernetes", 1, "30000")
	for _, text := range []string{"10.0.0.1", "10.0.0.2"} {
		index.Observe(address(text), heldBy("a", 2))
	}
	index.Observe(port(30000), heldBy("a", 2))
	_, err := index.Pick(allocation.IPv4, allocation.Requester{})
	svc := newService(nil)
	if got, want := FieldError(svc, allocation.Value{Class: allocation.IPv4},
		err).Detail, "failed to allocate a serviceIP: range is full: kubernetes (10.0.0.0/30) holds 2 of 2"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	_, err = index.Pick(allocation.Port, allocation.Requester{})
	if got, want := PortText(err), "failed to allocate a nodePort: range is full: kubernetes (30000) holds 1 of 1"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := PortText(errors.New("another error")); got != "another error" {
		t.Errorf("got %q", got)
	}
}

func TestSubstitute(t *testing.T) {
	svc := newService(func(s *corev1.ServiceSpec) {
		s.ClusterIP, s.ClusterIPs = "10.0.0.5", []string{"10.0.0.5", "fd00:0::5"}
		s.HealthCheckNodePort = 30090
		s.Ports = []corev1.ServicePort{servicePort(53, 30053, "UDP"), servicePort(53, 30053, "TCP"), servicePort(80, 30080, "TCP")}
	})
	addresses{}.substitute(svc, address("10.0.0.5"), address("10.0.0.6"))
	addresses{}.substitute(svc, address("fd00::5"), address("fd00::6"))
	ports{}.substitute(svc, port(30053), port(30054))
	ports{}.substitute(svc, port(30090), port(30091))
	spec := svc.Spec
	if spec.ClusterIP != "10.0.0.6" || !slices.Equal(spec.ClusterIPs, []string{"10.0.0.6", "fd00::6"}) {
		t.Errorf("got %s %v", spec.ClusterIP, spec.ClusterIPs)
	}
	if spec.Ports[0].NodePort != 30054 || spec.Ports[1].NodePort != 30054 || spec.Ports[2].NodePort != 30080 ||
		spec.HealthCheckNodePort != 30091 {
		t.Errorf("got %v %d", spec.Ports, spec.HealthCheckNodePort)
	}
}
