package importer

import (
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

// newService returns a NodePort Service that is as many seconds old as its age says. A port
// of 0 makes it a ClusterIP Service.
func newService(name, address string, port int32, age int) corev1.Service {
	svc := corev1.Service{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "default", Name: name, UID: types.UID("uid-" + name), ResourceVersion: "7",
			CreationTimestamp: metav1.NewTime(time.Date(2026, 1, 1, 0, 0, -age, 0, time.UTC)),
		},
		Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeClusterIP, ClusterIP: address, ClusterIPs: []string{address},
			Ports: []corev1.ServicePort{{Port: 80, Protocol: corev1.ProtocolTCP, NodePort: port}}},
	}
	if port != 0 {
		svc.Spec.Type = corev1.ServiceTypeNodePort
	}
	return svc
}

func newAddress(name, service string) networkingv1.IPAddress {
	return networkingv1.IPAddress{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID("uid-" + name), Labels: v1.HeldAddressLabels(name)},
		Spec: networkingv1.IPAddressSpec{
			ParentRef: &networkingv1.ParentReference{Resource: "services", Namespace: "default", Name: service},
		},
	}
}

// newContents returns a sound cluster with one Service.
func newContents() *Contents {
	return &Contents{
		Services:    []corev1.Service{newService("web", "10.96.0.5", 30005, 100)},
		IPAddresses: []networkingv1.IPAddress{newAddress("10.96.0.5", "web")},
		ServiceCIDRs: []networkingv1.ServiceCIDR{{
			ObjectMeta: metav1.ObjectMeta{Name: "kubernetes"}, Spec: networkingv1.ServiceCIDRSpec{CIDRs: []string{"10.96.0.0/16"}},
		}},
		Ports: newPorts(30005),
	}
}

func newPorts(ports ...int) *Bitmap {
	bits := new(big.Int)
	for _, port := range ports {
		bits.SetBit(bits, port-30000, 1)
	}
	bitmap := newBitmap(&corev1.RangeAllocation{Range: "30000-30099", Data: bits.Bytes()})
	return &bitmap
}

func TestProblems(t *testing.T) {
	for name, tc := range map[string]struct {
		change   func(*Contents)
		want     []string
		repaired bool // Whether --repair leaves nothing.
	}{
		"sound": {change: func(*Contents) {}, repaired: true},
		"reservation": {change: func(c *Contents) {
			c.IPAddresses = append(c.IPAddresses, networkingv1.IPAddress{ObjectMeta: metav1.ObjectMeta{Name: "10.96.0.9"},
				Spec: networkingv1.IPAddressSpec{ParentRef: &networkingv1.ParentReference{Group: "g", Resource: "gateways", Name: "g"}}})
		}, repaired: true},
		"claim without a Service": {change: func(c *Contents) { c.IPAddresses = append(c.IPAddresses, newAddress("10.96.0.9", "gone")) },
			want:     []string{"ipaddresses/10.96.0.9 has no Service: it names services/default/gone, which does not exist"},
			repaired: true},
		"claim that its Service does not hold": {
			change:   func(c *Contents) { c.IPAddresses = append(c.IPAddresses, newAddress("10.96.0.9", "web")) },
			want:     []string{"ipaddresses/10.96.0.9 has no Service: it names services/default/web, which does not hold it"},
			repaired: true,
		},
		"Service without a claim": {change: func(c *Contents) { c.IPAddresses = nil },
			want: []string{"services/default/web holds 10.96.0.5, but ipaddresses/10.96.0.5 does not exist"}, repaired: true},
		"another's claim": {change: func(c *Contents) { c.IPAddresses[0].Spec.ParentRef.Name = "api" },
			want: []string{"services/default/web holds 10.96.0.5, but ipaddresses/10.96.0.5 belongs to services/default/api"}, repaired: true},
		"ports": {change: func(c *Contents) { c.Ports = newPorts(30006) }, want: []string{
			"services/default/web holds node port 30005, but kube-apiserver's bitmap does not have it",
			"node port 30006 has no Service: kube-apiserver's bitmap has it",
		}, repaired: true},
		"port outside": {change: func(c *Contents) { c.Services[0].Spec.Ports[0].NodePort, c.Ports = 40000, newPorts() },
			want: []string{"services/default/web holds node port 40000, which lies outside the range 30000-30099"}, repaired: true},
		"address outside": {change: func(c *Contents) { c.ServiceCIDRs[0].Spec.CIDRs = []string{"10.97.0.0/16"} },
			want: []string{"services/default/web holds 10.96.0.5, which lies in no ServiceCIDR"}, repaired: true},
		"duplicates": {change: func(c *Contents) { c.Services = append(c.Services, newService("old", "10.96.0.5", 30005, 200)) }, want: []string{
			"10.96.0.5 is held by services/default/old (created 2025-12-31T23:56:40Z) and services/default/web (created 2025-12-31T23:58:20Z)",
			"services/default/old holds 10.96.0.5, but ipaddresses/10.96.0.5 belongs to services/default/web",
			"node port 30005 is held by services/default/old (created 2025-12-31T23:56:40Z) and services/default/web (created 2025-12-31T23:58:20Z)",
		}},
		"no address": {change: func(c *Contents) {
			c.Services[0].Spec.ClusterIP, c.Services[0].Spec.ClusterIPs, c.IPAddresses = "", nil, nil
		}, want: []string{"services/default/web needs a cluster IP and has none"}, repaired: true},
		"no uid": {change: func(c *Contents) { c.Services[0].UID = "" },
			want: []string{"services/default/web has no uid, so no claim can belong to it"}},
		"one uid": {change: func(c *Contents) {
			c.Services = append(c.Services, newService("y", "None", 0, 1))
			c.Services[1].UID = "uid-web"
		}, want: []string{"services/default/y has the uid of services/default/web: uid-web"}},
		"encrypted": {change: func(c *Contents) {
			c.Unreadable = []Unreadable{{Key: "services/specs/default/x", Reason: "is encrypted", Encrypted: true}}
		},
			want: []string{"services/specs/default/x is encrypted"}},
		"range that is being deleted": {change: func(c *Contents) { c.ServiceCIDRs[0].DeletionTimestamp = &metav1.Time{} },
			want: []string{"servicecidrs/kubernetes is being deleted"}, repaired: true},
		"slice without a Service": {change: func(c *Contents) {
			c.EndpointSlices = []discoveryv1.EndpointSlice{{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web-1",
				OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "Service", Name: "web", UID: "former"}}}}}
		}, want: []string{"endpointslices/default/web-1 belongs to services/default/web, which does not exist"}, repaired: true},
		"a spelling": {change: func(c *Contents) { c.IPAddresses[0].Name = "10.96.0.05" }, want: []string{
			"ipaddresses/10.96.0.05 has a name that is not a canonical address",
			"services/default/web holds 10.96.0.5, but ipaddresses/10.96.0.5 does not exist",
		}, repaired: true},
	} {
		t.Run(name, func(t *testing.T) {
			contents := newContents()
			tc.change(contents)
			expectProblems(t, newPlan(t, contents, Options{}), tc.want)
			if err := newPlan(t, contents, Options{Repair: true}).Err(); (err == nil) != tc.repaired {
				t.Errorf("with repair: %v", err)
			}
		})
	}
}

// expectProblems expects a plan without repairs to have problems, each with advice.
func expectProblems(t *testing.T, plan *Plan, want []string) {
	t.Helper()
	var got []string
	for _, problem := range plan.Problems {
		got = append(got, problem.Text)
		if problem.Advice == "" {
			t.Errorf("there is no advice for %q", problem.Text)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n %s\nwant\n %s", strings.Join(got, "\n "), strings.Join(want, "\n "))
	}
	if (plan.Err() == nil) != (len(want) == 0) {
		t.Errorf("without repair: %v", plan.Err())
	}
}

func newPlan(t *testing.T, contents *Contents, options Options) *Plan {
	t.Helper()
	plan, err := NewPlan(contents, options)
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

// written returns the names of the objects that a plan writes, those of a transaction in one
// string.
func (p *Plan) written() []string {
	var units []string
	for _, unit := range p.units {
		var names []string
		for _, o := range unit {
			names = append(names, o.resource+"/"+o.name)
		}
		units = append(units, strings.Join(names, " "))
	}
	return units
}

func TestRenumber(t *testing.T) {
	contents := newContents()
	contents.Services = append(contents.Services, newService("old", "10.96.0.5", 30005, 200))
	contents.ServiceCIDRs[0].Spec.CIDRs, contents.Ports.Range = []string{"10.96.0.4/30"}, "30005-30006"
	contents.Ports = &Bitmap{Range: "30005-30006", bits: big.NewInt(1)}
	plan := newPlan(t, contents, Options{Repair: true, Renumber: true})
	if err := plan.Err(); err != nil {
		t.Error(err)
	}
	want := []string{
		"servicecidrs/kubernetes", "nodeportranges/kubernetes", "services/default/old ipaddresses/10.96.0.5 nodeports/30005",
		"services/default/web ipaddresses/10.96.0.6 nodeports/30006",
	}
	if got := plan.written(); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	notes := []string{"services/default/web gets 10.96.0.6 instead of 10.96.0.5",
		"services/default/web gets node port 30006 instead of node port 30005"}
	if !slices.Equal(plan.Notes, notes) {
		t.Errorf("notes: %q", plan.Notes)
	}
	// A third Service finds no address.
	contents.Services = append(contents.Services, newService("third", "10.96.0.5", 0, 10), newService("fourth", "10.96.0.5", 0, 10))
	contents.Services[0], contents.Services[1] = newService("web", "10.96.0.5", 0, 100), newService("old", "10.96.0.5", 0, 200)
	contents.Ports = newPorts()
	plan = newPlan(t, contents, Options{Repair: true, Renumber: true})
	if open := plan.Open(); len(open) != 2 || !strings.Contains(open[0].Text, "the ranges are full") {
		t.Errorf("left are %v", open)
	}
}

// TestObjects looks at what is kept of objects and what changes.
func TestObjects(t *testing.T) {
	contents := newContents()
	contents.ServiceCIDRs[0].Finalizers = []string{"networking.k8s.io/service-cidr-finalizer", "mine"}
	contents.EndpointSlices = []discoveryv1.EndpointSlice{{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web-1",
		OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "Service", Name: "web", UID: "uid-web"}}}}}
	contents.Namespaces = []corev1.Namespace{{ObjectMeta: metav1.ObjectMeta{Name: "default"}}, {ObjectMeta: metav1.ObjectMeta{Name: "empty"}}}
	for _, standalone := range []bool{false, true} {
		plan := newPlan(t, contents, Options{Standalone: standalone})
		wantOwner, wantNamespaces := "portolan.dev/v1", 0
		if standalone {
			wantOwner, wantNamespaces = "v1", 1
		}
		namespaces := 0
		for _, unit := range plan.units {
			switch o := unit[0].object.(type) {
			case *v1.Service:
				claim := unit[1].object.(*v1.IPAddress)
				port := unit[2].object.(*v1.NodePort)
				if o.UID != "uid-web" || o.ResourceVersion != "" || claim.UID != "uid-10.96.0.5" || claim.Spec.ParentRef.UID != "uid-web" ||
					port.Spec.ParentRef.UID != "uid-web" || len(port.Spec.Protocols) != 1 {
					t.Errorf("got %v, %v, %v", o, claim, port)
				}
			case *v1.EndpointSlice:
				if owner := o.OwnerReferences[0]; owner.APIVersion != wantOwner || owner.UID != "uid-web" {
					t.Errorf("the owner is %v", owner)
				}
			case *v1.ServiceCIDR:
				if !slices.Equal(o.Finalizers, []string{"mine"}) {
					t.Errorf("the finalizers are %v", o.Finalizers)
				}
			case *corev1.Namespace:
				namespaces++
			}
		}
		if namespaces != wantNamespaces {
			t.Errorf("%d namespaces", namespaces)
		}
	}
	if contents.EndpointSlices[0].OwnerReferences[0].APIVersion != "v1" {
		t.Error("the plan changed the contents")
	}
}

// TestBitmapOfAddresses imports a cluster that has no IPAddresses.
func TestBitmapOfAddresses(t *testing.T) {
	contents := newContents()
	contents.IPAddresses, contents.ServiceCIDRs = nil, nil
	bits := new(big.Int).SetBit(new(big.Int).SetBit(new(big.Int), 4, 1), 8, 1)
	contents.Addresses = []Bitmap{{Range: "10.96.0.0/24", bits: bits}}
	plan := newPlan(t, contents, Options{})
	if len(plan.Problems) != 1 || !strings.HasPrefix(plan.Problems[0].Text, "ipaddresses/10.96.0.9 has no Service") {
		t.Errorf("got %v", plan.Problems)
	}
	if cidr := plan.units[0][0].object.(*v1.ServiceCIDR); !slices.Equal(cidr.Spec.CIDRs, []string{"10.96.0.0/24"}) || cidr.UID == "" {
		t.Errorf("got %v", cidr)
	}
	contents.Addresses = nil
	if _, err := NewPlan(contents, Options{}); err == nil || !strings.Contains(err.Error(), "--service-cluster-ip-range") {
		t.Errorf("without a range: %v", err)
	}
	if plan := newPlan(t, contents, Options{CIDRs: []string{"10.96.0.0/16"}}); len(plan.Problems) != 0 {
		t.Errorf("with a flag: %v", plan.Problems)
	}
}

func TestText(t *testing.T) {
	plan := &Plan{Problems: []Problem{
		{Text: "a", Advice: "b"}, {Text: "c", Advice: "d", Repair: "e"}, {Text: "f", Advice: "g", Repair: "h", duplicate: true},
	}}
	want := "problem: a\n  by hand: b\nproblem: c\n  by hand: d\n  with --repair: e\nproblem: f\n  by hand: g\n  with --repair --renumber: h\n"
	if got := plan.String(); got != want {
		t.Errorf("got\n%s", got)
	}
	for i, want := range []string{
		"3 problems prevent the import. Fix them in the cluster, or import with --repair --renumber; 1 must be fixed by hand",
		"2 problems prevent the import. Fix them in the cluster, or import with --repair --renumber; 1 must be fixed by hand",
		"1 problem prevents the import; 1 must be fixed by hand",
	} {
		plan.Repair, plan.Renumber = i > 0, i > 1
		if got := fmt.Sprint(plan.Err()); got != "nothing was imported: "+want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
