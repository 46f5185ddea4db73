package admission

import (
	"net/netip"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/admission"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/admission/clusterip"
	"github.com/portolan-dev/portolan/pkg/allocation"
	"github.com/portolan-dev/portolan/pkg/allocation/space"
	"github.com/portolan-dev/portolan/pkg/claims"
	"github.com/portolan-dev/portolan/pkg/requeststate"
)

// BenchmarkAdmit picks the address of a new Service.
func BenchmarkAdmit(b *testing.B) {
	const cidr = "10.96.0.0/12"
	index := allocation.New(time.Now)
	index.SetRange(claims.AddressClass(corev1.IPv4Protocol), allocation.Range{
		Name: "kubernetes", Revision: 1, Usable: true, Primary: true,
		Blocks: []allocation.Block{{Text: cidr, Span: space.PrefixSpan(netip.MustParsePrefix(cidr))}},
	})
	plugin := clusterip.New()
	plugin.SetLedger(&claims.Ledger{Index: index}, func() bool { return true })
	open := &v1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeClusterIP, Ports: []corev1.ServicePort{{Port: 80}}},
	}
	b.ReportAllocs()
	for b.Loop() {
		svc := open.DeepCopy()
		ctx, picks := requeststate.NewPicks(b.Context(), index)
		attributes := admission.NewAttributesRecord(svc, nil, v1.SchemeGroupVersion.WithKind("Service"), "default", "web",
			v1.SchemeGroupVersion.WithResource("services"), "", admission.Create, &metav1.CreateOptions{}, false, nil)
		if err := plugin.Admit(ctx, attributes, nil); err != nil {
			b.Fatal(err)
		}
		if svc.Spec.ClusterIP == "" {
			b.Fatal("no address was picked")
		}
		picks.End()
	}
}
