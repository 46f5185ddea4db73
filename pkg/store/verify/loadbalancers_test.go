package verify

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/service"
)

const shared = "192.0.2.8"

// newBalancer returns a Service that has the shared address, on a TCP port.
func newBalancer(name string, port int32) v1.Service {
	svc := newService(name)
	svc.Spec.Type, svc.Spec.ClusterIP = corev1.ServiceTypeLoadBalancer, corev1.ClusterIPNone
	svc.Spec.Ports = []corev1.ServicePort{{Port: port, Protocol: corev1.ProtocolTCP}}
	svc.Annotations = map[string]string{v1.LoadBalancerSharingKeyAnnotation: "k"}
	service.SetLoadBalancerAddresses(&svc.Status, []netip.Addr{netip.MustParseAddr(shared)}, "", metav1.Now())
	return svc
}

func holderOf(name string, port int32) v1.LoadBalancerIPHolder {
	holder := v1.LoadBalancerIPHolder{Namespace: "default", Name: name, UID: heldBy(name).UID}
	holder.Ports = []v1.LoadBalancerIPPort{{Protocol: corev1.ProtocolTCP, Port: port}}
	return holder
}

// balanced returns a store in which two Services share an address, with a reservation.
func balanced() Contents {
	claim := v1.NewHeldLoadBalancerAddress(shared, "k", holderOf("web", 80))
	claim.Spec.Holders = append(claim.Spec.Holders, holderOf("tls", 443))
	claim.Labels = map[string]string{"kept": "yes"}
	return Contents{
		Services: []v1.Service{newBalancer("web", 80), newBalancer("tls", 443)},
		LoadBalancerIPs: []v1.LoadBalancerIP{*claim, {
			ObjectMeta: metav1.ObjectMeta{Name: "192.0.2.9"}, Spec: v1.LoadBalancerIPSpec{ParentRef: heldBy("")},
		}},
		LoadBalancerPools: []v1.LoadBalancerPool{{
			ObjectMeta: metav1.ObjectMeta{Name: "public"}, Spec: v1.LoadBalancerPoolSpec{CIDRs: []string{"192.0.2.0/28"}},
		}},
	}
}

func holders(c *Contents) *[]v1.LoadBalancerIPHolder { return &c.LoadBalancerIPs[0].Spec.Holders }

// balancerTest breaks a sound store in one way.
type balancerTest struct {
	change                     func(*Contents)
	violations, warnings       []string
	repairs, manual, wantOrder []string
}

// run checks the broken store and applies the plan.
func (test balancerTest) run(t *testing.T) {
	contents := balanced()
	test.change(&contents)
	report := Check(contents)
	if !slices.Equal(report.Violations, test.violations) && len(report.Violations)+len(test.violations) > 0 {
		t.Errorf("violations:\n  %s\nwant:\n  %s", strings.Join(report.Violations, "\n  "), strings.Join(test.violations, "\n  "))
	}
	if len(test.warnings) > 0 && !slices.Equal(report.Warnings, test.warnings) {
		t.Errorf("warnings: %q\nwant %q", report.Warnings, test.warnings)
	}
	plan := MakePlan(contents)
	var repairs []string
	for _, repair := range plan.Repairs {
		repairs = append(repairs, repair.Text)
		applyToBalancers(&contents, repair)
	}
	if !slices.Equal(repairs, test.repairs) || !slices.Equal(plan.Manual, test.manual) {
		t.Errorf("planned %q, by hand %q\nwant %q and %q", repairs, plan.Manual, test.repairs, test.manual)
	}
	if report := Check(contents); (len(report.Violations) == 0) != (len(test.manual) == 0) {
		t.Errorf("afterwards: %q", report.Violations)
	}
	if again := MakePlan(contents); len(again.Repairs) > 0 {
		t.Errorf("planned again: %v", again)
	}
	checkOrder(t, contents, test.wantOrder)
}

const sharedClaim, web, tls = "loadbalancerips/" + shared, "services/default/web", "services/default/tls"

func TestHoldersOfLoadBalancerIPs(t *testing.T) {
	for name, test := range map[string]balancerTest{
		"sound": {change: func(*Contents) {}},
		"another uses it": {change: func(c *Contents) {
			user := newBalancer("user", 90)
			user.Status.Conditions = nil
			c.Services = append(c.Services, user)
		}, warnings: []string{"services/default/user has 192.0.2.8 in its status without a claim, and " + web + " holds it"}},
		"no claim": {change: func(c *Contents) { c.LoadBalancerIPs = c.LoadBalancerIPs[1:] },
			violations: []string{
				tls + " holds 192.0.2.8, but " + sharedClaim + " does not exist",
				web + " holds 192.0.2.8, but " + sharedClaim + " does not exist",
			},
			repairs: []string{"create " + sharedClaim + ": services/default/web holds it"}},
		"a holder is missing": {change: func(c *Contents) { *holders(c) = (*holders(c))[1:] },
			violations: []string{web + " holds 192.0.2.8, but is no holder of " + sharedClaim},
			repairs:    []string{"write the holders of " + sharedClaim + " as the Services have them"}, wantOrder: []string{"tls", "web"}},
		"a holder is gone": {change: func(c *Contents) { *holders(c) = append(*holders(c), holderOf("gone", 53)) },
			violations: []string{sharedClaim + " is held by services/default/gone (uid uid-gone), which does not exist"},
			repairs:    []string{"write the holders of " + sharedClaim + " as the Services have them"}},
		"a holder of another uid": {change: func(c *Contents) { (*holders(c))[0].UID = "old" },
			violations: []string{
				sharedClaim + " is held by services/default/web (uid old), which does not exist: the uid of services/default/web is uid-web",
				web + " holds 192.0.2.8, but is no holder of " + sharedClaim,
			},
			repairs: []string{"write the holders of " + sharedClaim + " as the Services have them"}, wantOrder: []string{"tls", "web"}},
		"a holder twice": {change: func(c *Contents) { *holders(c) = append(*holders(c), holderOf("web", 80)) },
			violations: []string{sharedClaim + " has the holder services/default/web (uid uid-web) twice"},
			repairs:    []string{"write the holders of " + sharedClaim + " as the Services have them"}},
		"a holder holds nothing": {change: func(c *Contents) { c.Services[1].Status = corev1.ServiceStatus{} },
			violations: []string{sharedClaim + " is held by services/default/tls (uid uid-tls), which does not hold it"},
			repairs:    []string{"write the holders of " + sharedClaim + " as the Services have them"}, wantOrder: []string{"web"}},
		"nobody holds it": {change: func(c *Contents) { c.Services = nil },
			violations: []string{
				sharedClaim + " is held by services/default/tls (uid uid-tls), which does not exist",
				sharedClaim + " is held by services/default/web (uid uid-web), which does not exist",
			},
			repairs: []string{"delete " + sharedClaim + ": no Service holds it"}},
	} {
		t.Run(name, test.run)
	}
}

func TestSharingOfLoadBalancerIPs(t *testing.T) {
	for name, test := range map[string]balancerTest{
		"other ports": {change: func(c *Contents) { (*holders(c))[0].Ports[0].Port = 81 },
			violations: []string{sharedClaim + " is claimed for TCP 81 of services/default/web, which serves TCP 80"},
			repairs:    []string{"write the holders of " + sharedClaim + " as the Services have them"}},
		"another key": {change: func(c *Contents) { c.LoadBalancerIPs[0].Spec.SharingKey = "l" },
			violations: []string{
				sharedClaim + ` has the sharing key "l", but services/default/tls has "k"`,
				sharedClaim + ` has the sharing key "l", but services/default/web has "k"`,
			},
			repairs: []string{"write the holders of " + sharedClaim + " as the Services have them"}},
		"one port twice": {change: func(c *Contents) { c.Services[1], (*holders(c))[1] = newBalancer("tls", 80), holderOf("tls", 80) },
			violations: []string{"192.0.2.8 is held by both services/default/web and services/default/tls with TCP 80"},
			manual: []string{"192.0.2.8 is held by both services/default/web and services/default/tls with TCP 80: " +
				"give another address to one of them"}},
		"no key in common": {change: func(c *Contents) { c.Services[1].Annotations = nil },
			violations: []string{
				"192.0.2.8 is held by both services/default/web and services/default/tls, which have no sharing key in common",
				sharedClaim + ` has the sharing key "k", but services/default/tls has ""`,
			},
			manual: []string{"192.0.2.8 is held by both services/default/web and services/default/tls, which have no sharing key in common: " +
				"give another address to one of them"}},
		"reserved": {change: func(c *Contents) {
			c.Services[1].Status, c.LoadBalancerIPs[0].Spec = corev1.ServiceStatus{}, c.LoadBalancerIPs[1].Spec
		},
			violations: []string{web + " holds 192.0.2.8, but " + sharedClaim + " is a reservation, held by no Service"},
			manual: []string{web + " holds 192.0.2.8, but " + sharedClaim +
				" is a reservation: delete the reservation and repair again, or give the Service another address"}},
		"odd name": {change: func(c *Contents) { c.LoadBalancerIPs[1].Name = "192.0.02.9" },
			violations: []string{"loadbalancerips/192.0.02.9 is not the canonical name of the claim on 192.0.2.9"},
			manual:     []string{"loadbalancerips/192.0.02.9 is not the canonical name of the claim on 192.0.2.9: delete it from etcd by hand"}},
		"outside": {change: func(c *Contents) { c.LoadBalancerPools = nil },
			warnings: []string{tls + " holds 192.0.2.8, which lies in no LoadBalancerPool",
				web + " holds 192.0.2.8, which lies in no LoadBalancerPool"}},
	} {
		t.Run(name, test.run)
	}
}

func applyToBalancers(contents *Contents, repair Repair) {
	contents.LoadBalancerIPs = slices.DeleteFunc(contents.LoadBalancerIPs, func(claim v1.LoadBalancerIP) bool {
		return keyOf(loadBalancerIPs, "", claim.Name) == repair.key
	})
	if claim, ok := repair.claim.(*v1.LoadBalancerIP); ok {
		contents.LoadBalancerIPs = append(contents.LoadBalancerIPs, *claim)
	}
}

// checkOrder checks the holders of the repaired claim, which keeps its labels.
func checkOrder(t *testing.T, contents Contents, want []string) {
	t.Helper()
	for _, claim := range contents.LoadBalancerIPs {
		if claim.Name != shared || want == nil {
			continue
		}
		var got []string
		for _, holder := range claim.Spec.Holders {
			got = append(got, holder.Name)
		}
		if !slices.Equal(got, want) || claim.Labels["kept"] != "yes" {
			t.Errorf("the claim has the holders %v and the labels %v, want %v", got, claim.Labels, want)
		}
	}
}
