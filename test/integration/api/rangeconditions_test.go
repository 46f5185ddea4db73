package api

import (
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/test/framework"
)

const (
	nobodyElse = "False: The range selects all Services that hold its values"
	noRival    = "False: No range that selects other Services has values of this range"
)

// unselected returns the condition UnselectedHolders as text.
func unselected(conditions []metav1.Condition) string {
	return conditionText(conditions, v1.RangeConditionUnselectedHolders)
}

// overlap returns the condition Overlapping as text.
func overlap(conditions []metav1.Condition) string {
	return conditionText(conditions, v1.RangeConditionOverlapping)
}

func conditionText(conditions []metav1.Condition, name string) string {
	if c := meta.FindStatusCondition(conditions, name); c != nil {
		return string(c.Status) + ": " + c.Message
	}
	return "none"
}

func expectText(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

// TestRangeConditions gives a range in use to a team.
func TestRangeConditions(t *testing.T) {
	t.Parallel()
	s := startTenants(t)
	cidrs := s.Client.PortolanV1().ServiceCIDRs()
	for name, address := range map[string]string{"one": "10.200.0.129", "two": "10.200.0.130", "outside": "10.200.0.9"} {
		s.expectIn("10.200.0.0/24", "default", name, "", on(address))
	}
	w, err := cidrs.Watch(t.Context(), metav1.ListOptions{ResourceVersion: "0"})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	created, err := cidrs.Create(t.Context(), &v1.ServiceCIDR{
		ObjectMeta: metav1.ObjectMeta{Name: "team-a"},
		Spec:       v1.ServiceCIDRSpec{CIDRs: []string{"10.200.0.128/29", "fd00:200::100/120"}, NamespaceSelector: ofTeamA},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	const both = "True: 2 Services that the range does not select hold values of it"
	expectText(t, "create", unselected(created.Status.Conditions), both)
	expectText(t, "create", overlap(created.Status.Conditions), noRival)
	for event := range w.ResultChan() {
		if cidr, ok := event.Object.(*v1.ServiceCIDR); ok && cidr.Name == "team-a" {
			expectText(t, "watch", unselected(cidr.Status.Conditions), both)
			break
		}
	}
	s.expectIn("10.200.0.128/29", "team-a", "own", "")
	get := func(name string) []metav1.Condition {
		t.Helper()
		cidr, err := cidrs.Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return cidr.Status.Conditions
	}
	expectText(t, "get", unselected(get("team-a")), both)
	expectText(t, "a range without selectors", unselected(get("kubernetes")), "none")
	if err := servicesOf(s.Server).Delete(t.Context(), "one", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	expectText(t, "delete", unselected(get("team-a")), "True: 1 Service that the range does not select holds values of it")

	// A range of the same Services is no rival, and one of others is.
	s.createCIDR("team-a-too", "10.200.0.128/30", nil)
	expectText(t, "same selector", overlap(get("team-a")), noRival)
	s.createCIDR("team-b", "10.200.0.132/30", func(spec *v1.ServiceCIDRSpec) {
		spec.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"team": "b"}}
	})
	const rivals = "True: Ranges that select other Services have values of this range too: "
	list, err := cidrs.List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, cidr := range list.Items {
		want := map[string]string{"kubernetes": "none", "team-a": rivals + "team-b", "team-a-too": noRival, "team-b": rivals + "team-a"}
		expectText(t, cidr.Name, overlap(cidr.Status.Conditions), want[cidr.Name])
	}
}

// TestRangeConditionsAreNotStored writes them back, and then takes the selector away.
func TestRangeConditionsAreNotStored(t *testing.T) {
	t.Parallel()
	s := startTenants(t)
	ranges := s.Client.PortolanV1().NodePortRanges()
	created, err := ranges.Create(t.Context(), &v1.NodePortRange{
		ObjectMeta: metav1.ObjectMeta{Name: "team-a"}, Spec: v1.NodePortRangeSpec{Ports: []string{"30003-30004"}, NamespaceSelector: ofTeamA},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	expectText(t, "create", unselected(created.Status.Conditions), nobodyElse)
	written, err := ranges.UpdateStatus(t.Context(), created, metav1.UpdateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	expectText(t, "update of the status", unselected(written.Status.Conditions), nobodyElse)
	written.Spec.NamespaceSelector = nil
	written, err = ranges.Update(t.Context(), written, metav1.UpdateOptions{})
	if err != nil || len(written.Status.Conditions) != 0 {
		t.Errorf("without the selector: got %v, %v", written.Status.Conditions, err)
	}
	s.expectIn("10.200.0.0/24", "default", "thief", "", onNodePort(30003))
	for selector, want := range map[string]string{
		`{"matchLabels":{"team":"a"}}`: "True: 1 Service that the range does not select holds values of it",
		`{"matchExpressions":[{"key":"kubernetes.io/metadata.name","operator":"In","values":["default"]}]}`: nobodyElse,
	} {
		patch := []byte(`{"spec":{"namespaceSelector":` + selector + `}}`)
		reset := []byte(`{"spec":{"namespaceSelector":null}}`)
		for _, data := range [][]byte{reset, patch} {
			if written, err = ranges.Patch(t.Context(), "team-a", types.MergePatchType, data, metav1.PatchOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		expectText(t, selector, unselected(written.Status.Conditions), want)
	}
}

// TestRangeConditionsOfReplicas reads on one replica right after a write on another.
func TestRangeConditionsOfReplicas(t *testing.T) {
	t.Parallel()
	_, servers := framework.Replicas(t, 2, withRanges("30000-30009", "10.200.0.0/24"))
	writer, reader := servers[0], servers[1].Client.PortolanV1().ServiceCIDRs()
	_, err := writer.Client.PortolanV1().ServiceCIDRs().Create(t.Context(), &v1.ServiceCIDR{
		ObjectMeta: metav1.ObjectMeta{Name: "team-a"},
		Spec: v1.ServiceCIDRSpec{
			CIDRs: []string{"10.200.0.128/25"}, ServiceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"team": "a"}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	services := servicesOf(writer)
	for i := range 20 {
		svc := serviceWith(fmt.Sprintf("s%d", i))
		svc.Labels = map[string]string{"team": "a"}
		created, err := services.Create(t.Context(), svc, metav1.CreateOptions{})
		if err != nil || !strings.HasPrefix(created.Spec.ClusterIP, "10.200.0.") {
			t.Fatal(created.Spec.ClusterIPs, err)
		}
		created.Labels = nil
		if _, err := services.Update(t.Context(), created, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		cidr, err := reader.Get(t.Context(), "team-a", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		want := fmt.Sprintf("True: %d Services that the range does not select hold values of it", i+1)
		if i == 0 {
			want = "True: 1 Service that the range does not select holds values of it"
		}
		expectText(t, svc.Name, unselected(cidr.Status.Conditions), want)
	}
}
