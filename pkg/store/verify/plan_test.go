package verify

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

// TestPlan breaks a sound store in one way at a time, and applies the plan to the
// contents that were read.
func TestPlan(t *testing.T) {
	drop := func(name string) func(*Contents) {
		return func(c *Contents) {
			c.IPAddresses = slices.DeleteFunc(c.IPAddresses, func(a v1.IPAddress) bool { return a.Name == name })
			c.NodePorts = slices.DeleteFunc(c.NodePorts, func(p v1.NodePort) bool { return p.Name == name })
		}
	}
	reserve := func(c *Contents) { c.IPAddresses[0].Spec.ParentRef = heldBy("") }
	for name, test := range map[string]struct {
		breakIt func(*Contents)
		repairs []string
		manual  []string
	}{
		"sound":                 {func(*Contents) {}, nil, nil},
		"address without claim": {drop("10.96.0.5"), []string{"create ipaddresses/10.96.0.5: services/default/web holds it"}, nil},
		"IPv6 without claim":    {drop("fd00::5"), []string{"create ipaddresses/fd00::5: services/default/web holds it"}, nil},
		"port without claim":    {drop("30080"), []string{"create nodeports/30080: services/default/web holds it"}, nil},
		"check port, no claim":  {drop("30090"), []string{"create nodeports/30090: services/default/web holds it"}, nil},
		"other protocols": {func(c *Contents) { c.NodePorts[0].Spec.Protocols = nil },
			[]string{"write the protocols of nodeports/30080 as services/default/web serves them"}, nil},
		"claim without Service": {func(c *Contents) { c.NodePorts = append(c.NodePorts, newPort("30001", heldBy("gone"))) },
			[]string{"delete nodeports/30001: services/default/gone (uid uid-gone) doesn't hold it"}, nil},
		"claim of more than has": {func(c *Contents) { c.IPAddresses = append(c.IPAddresses, newAddress("10.96.0.9", heldBy("web"))) },
			[]string{"delete ipaddresses/10.96.0.9: services/default/web (uid uid-web) doesn't hold it"}, nil},
		"claim of a Service before it": {func(c *Contents) { c.IPAddresses[0].Spec.ParentRef.UID = "old" },
			[]string{"give ipaddresses/10.96.0.5 to services/default/web, which holds it"}, nil},
		"claim of another that is gone": {func(c *Contents) { c.IPAddresses[0].Spec.ParentRef = heldBy("gone") },
			[]string{"give ipaddresses/10.96.0.5 to services/default/web, which holds it"}, nil},
		"Service without any": {func(c *Contents) { drop("10.96.0.5")(c); drop("30090")(c) },
			[]string{"create ipaddresses/10.96.0.5: services/default/web holds it", "create nodeports/30090: services/default/web holds it"}, nil},
		"held twice": {func(c *Contents) { c.Services = append(c.Services, newService("other", "10.96.0.5")) }, nil,
			[]string{"10.96.0.5 is held by services/default/other and services/default/web: give another value to all but one of them"}},
		"reserved": {reserve, nil,
			[]string{"services/default/web holds 10.96.0.5, but ipaddresses/10.96.0.5 is a reservation: delete the reservation and repair again, or give the Service another value"}},
		"held by no Service": {func(c *Contents) { c.IPAddresses[0].Spec.ParentRef.Resource = "pods" }, nil,
			[]string{"ipaddresses/10.96.0.5 is held by pods.portolan.dev/default/web (uid uid-web), which is not a Service: delete it from etcd by hand"}},
		"odd name": {func(c *Contents) { c.NodePorts = append(c.NodePorts, newPort("030001", heldBy("gone"))) }, nil,
			[]string{"nodeports/030001 is not the canonical name of the claim on 30001: delete it from etcd by hand"}},
		"unreadable": {func(c *Contents) {
			drop("10.96.0.5")(c)
			c.Unreadable = []Unreadable{{Key: "services/default/x", Reason: "can't be decoded"}}
		}, nil, []string{"1 object can't be read, and what they hold is unknown: make all objects readable (--encryption-provider-config) or delete them, then repair again"}},
	} {
		t.Run(name, func(t *testing.T) {
			contents := sound()
			test.breakIt(&contents)
			setVersions(&contents)
			plan := MakePlan(contents)
			var repairs []string
			for _, repair := range plan.Repairs {
				repairs = append(repairs, repair.Text)
				// A repair relies on the claim that it writes, and on a Service.
				if _, guarded := repair.guards[repair.key]; !guarded || len(repair.guards) < 2 {
					t.Errorf("%s relies on %v", repair.Text, repair.guards)
				}
				apply(&contents, repair)
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
		})
	}
}

// setVersions gives all objects different resource versions.
func setVersions(contents *Contents) {
	n := 0
	next := func() string { n++; return fmt.Sprint(n) }
	for i := range contents.Services {
		contents.Services[i].ResourceVersion = next()
	}
	for i := range contents.IPAddresses {
		contents.IPAddresses[i].ResourceVersion = next()
	}
	for i := range contents.NodePorts {
		contents.NodePorts[i].ResourceVersion = next()
	}
}

func apply(contents *Contents, repair Repair) {
	_, name, _ := strings.Cut(repair.key, "/")
	contents.IPAddresses = slices.DeleteFunc(contents.IPAddresses,
		func(a v1.IPAddress) bool { return keyOf(ipAddresses, "", a.Name) == repair.key })
	contents.NodePorts = slices.DeleteFunc(contents.NodePorts, func(p v1.NodePort) bool { return keyOf(nodePorts, "", p.Name) == repair.key })
	switch claim := repair.claim.(type) {
	case *v1.IPAddress:
		if claim.Name == name && claim.Labels[v1.LabelManagedBy] == v1.ManagedByAllocator {
			contents.IPAddresses = append(contents.IPAddresses, *claim)
		}
	case *v1.NodePort:
		contents.NodePorts = append(contents.NodePorts, *claim)
	}
}
