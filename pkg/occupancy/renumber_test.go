package occupancy

import (
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

// renumbered is a Service, with its UID.
func renumbered(namespace, name string, change ...func(*v1.Service)) *v1.Service {
	svc := &v1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID(namespace + "/" + name)}}
	for _, change := range change {
		change(svc)
	}
	return svc
}

// TestRenumberPlan plans which Services move, which stay, and whether the target has room.
func TestRenumberPlan(t *testing.T) {
	t.Parallel()
	cidr := func(name string, cidrs ...string) *v1.ServiceCIDR {
		return &v1.ServiceCIDR{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1.ServiceCIDRSpec{CIDRs: cidrs}}
	}
	dns := func(svc *v1.Service) { svc.Labels = map[string]string{"k8s-app": "kube-dns"} }
	copied := func(svc *v1.Service) {
		svc.Annotations = map[string]string{v1.AnnotationMirroredFrom: "https://cluster.example"}
	}
	objs := Objects{Ranges: []runtime.Object{
		cidr("old", "10.0.0.0/24"), cidr("new", "10.1.0.0/24"), cidr("tiny", "10.2.0.0/30"), cidr("part", "10.0.0.128/25"),
		cidr("six", "fd00::/112"),
	}}
	var services []*v1.Service
	hold := func(svc *v1.Service, addresses ...string) {
		services = append(services, svc)
		for _, address := range addresses {
			objs.Claims = append(objs.Claims, v1.NewHeldAddress(address, svc))
		}
	}
	hold(renumbered("shop", "web"), "10.0.0.200")
	hold(renumbered("shop", "low"), "10.0.0.1", "fd00::1")
	hold(renumbered("shop", "db"), "10.0.0.77")
	hold(renumbered("shop", "elsewhere"), "10.1.0.5")
	hold(renumbered("default", "kubernetes"), "10.0.0.2")
	hold(renumbered("kube-system", "dns", dns), "10.0.0.10")
	hold(renumbered("shop", "copy", copied), "10.0.0.99")
	hold(renumbered("shop", "headless"))
	objs.Claims = append(objs.Claims, &v1.IPAddress{
		ObjectMeta: metav1.ObjectMeta{Name: "10.0.0.100"},
		Spec:       v1.IPAddressSpec{ParentRef: &v1.ParentReference{Resource: "services", Namespace: "shop", Name: "later"}},
	})

	const stay = "default/kubernetes kube-system/dns shop/copy"
	for name, test := range map[string]struct {
		from, to       string
		dns            bool
		steps, skipped string
		warning        string
		overlap        bool
	}{
		"all that may move":    {"old", "new", false, "shop/db shop/low* shop/web", stay, "", false},
		"with DNS":             {"old", "new", true, "kube-system/dns* shop/db shop/low* shop/web", "default/kubernetes shop/copy", "", false},
		"too few values":       {"old", "tiny", false, "shop/db shop/low* shop/web", stay, "move: 3; free in servicecidr/tiny (IPv4): 2", false},
		"only what is outside": {"old", "part", false, "shop/db shop/low*", stay, "", true},
		"and back":             {"new", "old", false, "shop/elsewhere*", "", "", false},
		"no common family":     {"old", "six", false, "", "", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := Renumber{Kind: Kinds()[0], From: test.from, To: test.to, DNS: test.dns, Selector: labels.Everything()}
			plan, err := r.newPlan(objs)
			if err != nil {
				t.Fatal(err)
			}
			for _, svc := range services {
				plan.add(r, svc)
			}
			steps, skipped := namesOfPlan(plan)
			if steps != test.steps || skipped != test.skipped {
				t.Errorf("moves %q and skips %q, want %q and %q", steps, skipped, test.steps, test.skipped)
			}
			warning := plan.held.shortage(objs, r, plan.steps)
			if !strings.Contains(warning, test.warning) || (warning == "") != (test.warning == "") || plan.overlap != test.overlap {
				t.Errorf("warns %q, overlap %v", warning, plan.overlap)
			}
		})
	}
}

// namesOfPlan returns the Services that move, with a mark for values in the static band, and
// those that stay.
func namesOfPlan(plan renumberPlan) (steps, skipped string) {
	var moved, stay []string
	for _, step := range plan.steps {
		mark := ""
		if len(step.static) > 0 {
			mark = "*"
		}
		moved = append(moved, step.String()+mark)
	}
	for _, line := range plan.skipped {
		service, _, _ := strings.Cut(line, ":")
		stay = append(stay, service)
	}
	slices.Sort(moved)
	slices.Sort(stay)
	return strings.Join(moved, " "), strings.Join(stay, " ")
}

// TestRenumberPlanWithoutRange names the range that there is none of.
func TestRenumberPlanWithoutRange(t *testing.T) {
	t.Parallel()
	objs := Objects{Ranges: []runtime.Object{
		&v1.ServiceCIDR{ObjectMeta: metav1.ObjectMeta{Name: "old"}, Spec: v1.ServiceCIDRSpec{CIDRs: []string{"10.0.0.0/24"}}},
	}}
	for _, r := range []Renumber{{From: "old", To: "none"}, {From: "none", To: "old"}} {
		r.Kind = Kinds()[0]
		if _, err := r.newPlan(objs); err == nil || !strings.Contains(err.Error(), "none") {
			t.Errorf("from %s to %s: %v", r.From, r.To, err)
		}
	}
}
