package claims

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/portolan-dev/portolan/pkg/txn"
)

// BenchmarkPlan plans the creation of a Service with an address and a node port.
func BenchmarkPlan(b *testing.B) {
	l := newLedger(b, nil)
	addCIDR(l.Index, "c", 5, "10.0.0.0/16")
	addPorts(l.Index, "p", 7, "30000-32767")
	owner := newService(func(spec *corev1.ServiceSpec) { spec.Type = corev1.ServiceTypeNodePort })
	after := holdings{address("10.0.0.9"): {}, port(30001): serving("TCP")}
	b.ReportAllocs()
	for b.Loop() {
		plan := &txn.Plan{}
		if _, err := l.plan(b.Context(), plan, change{owner: owner, after: after}); err != nil {
			b.Fatal(err)
		}
		if len(plan.Puts) != 2 {
			b.Fatalf("plan %+v", plan)
		}
	}
}
