package claims

import (
	"context"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/allocation"
	"github.com/portolan-dev/portolan/pkg/txn"
)

// storeClaim stores a claim at a revision, for the index and for etcd.
func storeClaim(t *testing.T, l *Ledger, value allocation.Value, obj runtime.Object, revision int64, inIndex bool) {
	t.Helper()
	put, err := l.stored[value.Class].claims.Encode(t.Context(), value.String(), obj)
	if err != nil {
		t.Fatal(err)
	}
	l.client.(fixedKeys).keys[put.Key] = &mvccpb.KeyValue{Key: []byte(put.Key), Value: put.Value, ModRevision: revision, CreateRevision: 2}
	if inIndex {
		claim, _ := contentsOf(obj)
		l.Index.Observe(value, claim.at(revision))
	}
}

// written returns the claim that a plan puts under a key, or nil.
func written[T runtime.Object](t *testing.T, l *Ledger, plan *txn.Plan, value allocation.Value, into T) (T, bool) {
	t.Helper()
	for _, put := range plan.Puts {
		if put.Key != l.claimKey(value) {
			continue
		}
		kv := &mvccpb.KeyValue{Key: []byte(put.Key), Value: put.Value}
		if err := l.stored[value.Class].claims.Decode(context.Background(), kv, into); err != nil {
			t.Fatal(err)
		}
		return into, true
	}
	return into, false
}

func reservedPort(name string, change func(*v1.NodePort)) *v1.NodePort {
	port := &v1.NodePort{
		ObjectMeta: metav1.ObjectMeta{Name: "30080", UID: "claim-uid", Labels: map[string]string{"kept": "yes"}},
		Spec:       v1.NodePortSpec{ParentRef: &v1.ParentReference{Resource: "services", Namespace: "default", Name: name}},
	}
	if change != nil {
		change(port)
	}
	return port
}

func TestTakeReserved(t *testing.T) {
	past := &metav1.Time{Time: time.Now().Add(-time.Minute)}
	for name, test := range map[string]struct {
		stored *v1.NodePort
		// guard is the revision that the plan relies on.
		guard int64
		// keeps is true if the reservation becomes the claim.
		keeps bool
	}{
		"for it": {reservedPort("web", nil), 5, true},
		"for it, being deleted": {
			reservedPort("web", func(p *v1.NodePort) { p.DeletionTimestamp, p.Finalizers = past, []string{"f"} }), 0, false,
		},
		"for another":              {reservedPort("other", nil), 0, false},
		"for another, expired":     {reservedPort("other", func(p *v1.NodePort) { p.Spec.ExpirationTimestamp = past }), 5, false},
		"deleted meanwhile":        {nil, 0, false},
		"taken by another Service": {reservedPort("web", func(p *v1.NodePort) { p.Spec.ParentRef.UID = "former" }), 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLedger(t, map[string]*mvccpb.KeyValue{})
			addPorts(l.Index, "r", 1, "30000-30099")
			value := port(30080)
			if test.stored != nil {
				storeClaim(t, l, value, test.stored, 5, true)
			} else {
				claim, _ := contentsOf(reservedPort("web", nil))
				l.Index.Observe(value, claim.at(5))
			}
			plan := &txn.Plan{}
			if _, err := l.plan(t.Context(), plan, change{owner: newService(nil), after: holdings{value: serving("TCP")}}); err != nil {
				t.Fatal(err)
			}
			for _, guard := range plan.Guards {
				if guard.Key == l.claimKey(value) && guard.Revision != test.guard {
					t.Errorf("guard %+v", guard)
				}
			}
			claim, put := written(t, l, plan, value, &v1.NodePort{})
			if !put || claim.Spec.ParentRef.UID != "web-uid" || len(claim.Spec.Protocols) != 1 {
				t.Fatalf("written: %v %+v", put, claim)
			}
			if kept := claim.UID == "claim-uid" && claim.Labels["kept"] == "yes"; kept != test.keeps {
				t.Errorf("keeps the reservation: %t", kept)
			}
		})
	}
}

// A deleted Service that retains what it holds leaves reservations with its ports. A claim
// of another object stays as it is.
func TestRetain(t *testing.T) {
	svc := newService(func(s *corev1.ServiceSpec) {
		s.Type, s.ClusterIPs = corev1.ServiceTypeNodePort, []string{"10.0.0.5"}
		s.Ports = []corev1.ServicePort{
			{Name: "http", Port: 80, Protocol: "TCP", NodePort: 30080}, {Name: "b", Port: 81, Protocol: "TCP", NodePort: 30081},
		}
	})
	l := newLedger(t, map[string]*mvccpb.KeyValue{})
	storeClaim(t, l, address("10.0.0.5"), v1.NewHeldAddress("10.0.0.5", svc), 5, false)
	storeClaim(t, l, port(30080), v1.NewHeldPort("30080", []corev1.Protocol{"TCP"}, svc), 5, true)
	foreign := reservedPort("other", nil)
	foreign.Name = "30081"
	storeClaim(t, l, port(30081), foreign, 6, true)
	expires := &metav1.Time{Time: time.Unix(1e10, 0)}
	plan := &txn.Plan{}
	a, err := l.plan(t.Context(), plan, change{
		owner: svc, before: holdingsOf(svc), retain: &retention{expires: expires},
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(plan.Deletes) != 0 || len(plan.Puts) != 3 || len(plan.Guards) != 5 {
		t.Errorf("guards %v, deletes %v, %d puts", plan.Guards, plan.Deletes, len(plan.Puts))
	}
	listing := string(plan.Puts[2].Value)
	if listing != "ipaddresses/10.0.0.5\nnodeports/30080\n" && listing != "nodeports/30080\nipaddresses/10.0.0.5\n" {
		t.Errorf("listing %q", listing)
	}
	ip, _ := written(t, l, plan, address("10.0.0.5"), &v1.IPAddress{})
	if ip.Spec.ParentRef.UID != "" || ip.Labels[v1.LabelManagedBy] != "" || ip.Labels[v1.LabelIPFamily] != "IPv4" ||
		!ip.Spec.ExpirationTimestamp.Equal(expires) {
		t.Errorf("address: %+v", ip)
	}
	p, _ := written(t, l, plan, port(30080), &v1.NodePort{})
	if len(p.Spec.ServicePorts) != 1 || p.Spec.ServicePorts[0] != (v1.ServicePortReference{Name: "http", Port: 80, Protocol: "TCP"}) {
		t.Errorf("port: %+v", p)
	}
	l.committed(a, 9)
	reserved := l.Index.Reserved(allocation.Port, nameOfService(svc))
	if len(reserved) != 1 || reserved[0].Value != port(30080) || reserved[0].Revision != 9 {
		t.Errorf("reserved: %+v", reserved)
	}
}

func TestRetentionOf(t *testing.T) {
	now := time.Unix(1e9, 1)
	for name, test := range map[string]struct {
		annotations map[string]string
		retained    bool
		expires     int64
	}{
		"not retained":            {nil, false, 0},
		"not, in words":           {map[string]string{v1.RetainAnnotation: "false", v1.RetainForAnnotation: "1h"}, false, 0},
		"for ever":                {map[string]string{v1.RetainAnnotation: "true"}, true, 0},
		"for a time":              {map[string]string{v1.RetainAnnotation: "true", v1.RetainForAnnotation: "1h"}, true, 1e9 + 3601},
		"for a time nobody knows": {map[string]string{v1.RetainAnnotation: "true", v1.RetainForAnnotation: "3 days"}, true, 0},
		"a copy":                  {map[string]string{v1.RetainAnnotation: "true", v1.AnnotationMirroredFrom: "c"}, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			svc := newService(nil)
			svc.Annotations = test.annotations
			got := retentionOf(svc, now)
			if (got != nil) != test.retained {
				t.Fatalf("got %v", got)
			}
			if got != nil && (got.expires != nil) != (test.expires != 0) || test.expires != 0 && got.expires.Unix() != test.expires {
				t.Errorf("expires %v", got.expires)
			}
		})
	}
}
