package api

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/test/framework"
)

// tenants is a server with a namespace of team a, and one of nobody.
type tenants struct {
	*framework.Server
	t    *testing.T
	core kubernetes.Interface
}

func startTenants(t *testing.T) tenants {
	server := framework.Start(t, withRanges("30000-30009", "10.200.0.0/24", "fd00:200::/112"))
	core, err := kubernetes.NewForConfig(server.Config)
	if err != nil {
		t.Fatal(err)
	}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "team-a", Labels: map[string]string{"team": "a"}}}
	if _, err := core.CoreV1().Namespaces().Create(t.Context(), namespace, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	return tenants{server, t, core}
}

var ofTeamA = &metav1.LabelSelector{MatchLabels: map[string]string{"team": "a"}}

// createCIDR creates a range of team a, or what change makes of it.
func (s tenants) createCIDR(name, cidr string, change func(*v1.ServiceCIDRSpec)) {
	s.t.Helper()
	r := &v1.ServiceCIDR{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       v1.ServiceCIDRSpec{CIDRs: []string{cidr}, NamespaceSelector: ofTeamA},
	}
	if change != nil {
		change(&r.Spec)
	}
	if _, err := s.Client.PortolanV1().ServiceCIDRs().Create(s.t.Context(), r, metav1.CreateOptions{}); err != nil {
		s.t.Fatal(err)
	}
}

func (s tenants) create(namespace, name string, annotation string, change ...func(*corev1.ServiceSpec)) (*v1.Service, error) {
	svc := serviceWith(name, change...)
	if annotation != "" {
		svc.Annotations = map[string]string{v1.ServiceCIDRAnnotation: annotation}
	}
	// A dry run says the same.
	_, dry := s.Client.PortolanV1().Services(namespace).Create(s.t.Context(), svc, metav1.CreateOptions{DryRun: []string{"All"}})
	created, err := s.Client.PortolanV1().Services(namespace).Create(s.t.Context(), svc, metav1.CreateOptions{})
	if fmt.Sprint(dry) != fmt.Sprint(err) {
		s.t.Errorf("%s: a dry run says %v, a create %v", name, dry, err)
	}
	return created, err
}

// expectIn creates a Service and wants its address in a CIDR.
func (s tenants) expectIn(cidr, namespace, name, annotation string, change ...func(*corev1.ServiceSpec)) *v1.Service {
	s.t.Helper()
	svc, err := s.create(namespace, name, annotation, change...)
	if err != nil {
		s.t.Fatalf("%s: %v", name, err)
	}
	if addr := netip.MustParseAddr(svc.Spec.ClusterIP); !netip.MustParsePrefix(cidr).Contains(addr) {
		s.t.Errorf("%s has the address %s, not one of %s", name, addr, cidr)
	}
	return svc
}

func (s tenants) expectRefused(want, namespace, name, annotation string, change ...func(*corev1.ServiceSpec)) {
	s.t.Helper()
	if _, err := s.create(namespace, name, annotation, change...); !apierrors.IsInvalid(err) || !strings.HasSuffix(err.Error(), want) {
		s.t.Errorf("%s: got %v\nwant a 422 with %s", name, err, want)
	}
}

func on(address string) func(*corev1.ServiceSpec) { return onAddresses(address) }

// TestRangeOfATeam gives a team a range inside the default one.
func TestRangeOfATeam(t *testing.T) {
	t.Parallel()
	s := startTenants(t)
	s.createCIDR("team-a", "10.200.0.128/30", func(spec *v1.ServiceCIDRSpec) { spec.WhenFull = ptr.To(v1.WhenFullFail) })
	s.expectIn("10.200.0.128/30", "team-a", "first", "")
	s.expectIn("10.200.0.0/25", "default", "other", "", on("10.200.0.7"))
	second := s.expectIn("10.200.0.128/30", "team-a", "second", "")
	const list = `spec.clusterIPs: Invalid value: `
	s.expectRefused(list+`null: failed to allocate a serviceIP: range is full: team-a (10.200.0.128/30) holds 2 of 2; `+
		`kubernetes comes after a range that fails when it is full`, "team-a", "third", "")

	// The Services of others get none of the team's values, and can't name one.
	if err := s.Client.PortolanV1().Services("team-a").Delete(t.Context(), "second", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	free := second.Spec.ClusterIP
	s.expectRefused(list+`["`+free+`"]: failed to allocate IP `+free+`: the range "team-a" does not select the Service`,
		"default", "thief", "", on(free))
	s.expectRefused(`metadata.annotations[portolan.dev/service-cidr]: Invalid value: "team-a": the range does not select the Service`,
		"default", "thief", "team-a")
	s.expectRefused(`metadata.annotations[portolan.dev/service-cidr]: Not found: "nope"`, "default", "lost", "nope")
	s.expectRefused(list+`["10.200.0.9"]: failed to allocate IP 10.200.0.9: the range "kubernetes" is not the one that the Service names`,
		"team-a", "both", "team-a", on("10.200.0.9"))
	s.expectIn("10.200.0.0/24", "team-a", "named", "kubernetes")
	// The other family has no range of the team.
	onIPv6 := func(spec *corev1.ServiceSpec) { spec.IPFamilies = []corev1.IPFamily{corev1.IPv6Protocol} }
	s.expectIn("fd00:200::/112", "team-a", "v6", "", onIPv6)
	s.expectIn("fd00:200::/112", "team-a", "named-v6", "team-a", onIPv6)
}

// TestRangeLifecycle disables a range and changes its selector while Services hold values.
func TestRangeLifecycle(t *testing.T) {
	t.Parallel()
	s := startTenants(t)
	cidrs := s.Client.PortolanV1().ServiceCIDRs()
	s.createCIDR("old", "10.201.0.0/28", func(spec *v1.ServiceCIDRSpec) { spec.Allocation = ptr.To(v1.AllocationOnRequest) })
	s.expectIn("10.200.0.0/24", "team-a", "unasked", "")
	s.expectIn("10.201.0.0/28", "team-a", "by-value", "", on("10.201.0.5"))
	holder := s.expectIn("10.201.0.0/28", "team-a", "asked", "old")

	patch := func(text string) {
		t.Helper()
		if _, err := cidrs.Patch(t.Context(), "old", types.MergePatchType, []byte(text), metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	keeps := func(what string) {
		t.Helper()
		for _, text := range []string{`{"metadata":{"labels":{"at":"` + what + `"}}}`, `{"spec":{"ports":[{"name":"a","port":81}]}}`} {
			services := s.Client.PortolanV1().Services("team-a")
			updated, err := services.Patch(t.Context(), "asked", types.MergePatchType, []byte(text), metav1.PatchOptions{})
			if err != nil || updated.Spec.ClusterIP != holder.Spec.ClusterIP {
				t.Errorf("%s: got %v, %v", what, updated.Spec.ClusterIPs, err)
			}
		}
	}
	patch(`{"spec":{"allocation":"Disabled"}}`)
	keeps("disabled")
	s.expectRefused(`null: failed to allocate a serviceIP: no range has a value for the Service: old is disabled`, "team-a", "late", "old")
	s.expectRefused(`["10.201.0.6"]: failed to allocate IP 10.201.0.6: the range "old" is disabled`, "team-a", "late", "", on("10.201.0.6"))
	patch(`{"spec":{"allocation":null,"namespaceSelector":{"matchLabels":{"team":"b"}}}}`)
	keeps("unselected")
	s.expectRefused(`the range "old" does not select the Service`, "team-a", "late", "", on("10.201.0.6"))
	patch(`{"spec":{"namespaceSelector":null,"serviceSelector":{"matchLabels":{"tier":"front"}}}}`)
	svc := serviceWith("front")
	svc.Labels = map[string]string{"tier": "front"}
	if created, err := servicesOf(s.Server).Create(t.Context(), svc, metav1.CreateOptions{}); err != nil ||
		!strings.HasPrefix(created.Spec.ClusterIP, "10.201.") {
		t.Errorf("got %+v, %v", created, err)
	}
}

// TestPortsOfATeam has node ports, on create, update and patch.
func TestPortsOfATeam(t *testing.T) {
	t.Parallel()
	s := startTenants(t)
	ranges := s.Client.PortolanV1().NodePortRanges()
	team := &v1.NodePortRange{ObjectMeta: metav1.ObjectMeta{Name: "team-a"}, Spec: v1.NodePortRangeSpec{
		Ports: []string{"31000-31001"}, NamespaceSelector: ofTeamA,
	}}
	if _, err := ranges.Create(t.Context(), team, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a", "b", "c"} {
		svc, err := s.create("team-a", name, "", onNodePort(0))
		if err != nil {
			t.Fatal(err)
		}
		if port := svc.Spec.Ports[0].NodePort; (port >= 31000) != (name != "c") {
			t.Errorf("%s has the port %d", name, port)
		}
	}
	if err := s.Client.PortolanV1().Services("team-a").Delete(t.Context(), "a", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	s.expectRefused(`provided port is refused: the range "team-a" does not select the Service`, "default", "thief", "", onNodePort(31000))
	s.expectIn("10.200.0.0/24", "default", "later", "")
	for text, name := range map[string]string{
		`{"spec":{"type":"NodePort","ports":[{"name":"a","port":80,"nodePort":31000}]}}`: "spec.ports[0].nodePort: Invalid value: 31000: " +
			`provided port is refused: the range "team-a" does not select the Service`,
		`{"metadata":{"annotations":{"portolan.dev/node-port-range":"nope"}}}`: "metadata.annotations" +
			`[portolan.dev/node-port-range]: Not found: "nope"`,
	} {
		_, err := servicesOf(s.Server).Patch(t.Context(), "later", types.MergePatchType, []byte(text), metav1.PatchOptions{})
		expectInvalid(t, text, err, name)
	}
}

// TestNamespaceRightBeforeService creates a namespace and at once a Service in it.
func TestNamespaceRightBeforeService(t *testing.T) {
	t.Parallel()
	s := startTenants(t)
	s.createCIDR("team-a", "10.201.0.0/24", nil)
	for i := range 20 {
		name := fmt.Sprintf("at-once-%d", i)
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"team": "a"}}}
		if _, err := s.core.CoreV1().Namespaces().Create(t.Context(), namespace, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		s.expectIn("10.201.0.0/24", name, "web", "")
	}
}

// TestPolicyAtCorePath changes a range where clients do not see which Services it serves.
func TestPolicyAtCorePath(t *testing.T) {
	t.Parallel()
	s := startTenants(t)
	const path = "/servicecidrs/a"
	want := `"kind":"ServiceCIDR","metadata":{"name":"a"},"spec":{"cidrs":["10.201.0.0/24"],"priority":3,"allocation":"OnRequest"}`
	if _, err := apply(t, s.Server, v1.GroupName, path, "owner", want, false); err != nil {
		t.Fatal(err)
	}
	upstream := s.core.NetworkingV1().ServiceCIDRs()
	label := []byte(`{"metadata":{"labels":{"a":"b"}}}`)
	if _, err := upstream.Patch(t.Context(), "a", types.MergePatchType, label, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	seen, err := upstream.Get(t.Context(), "a", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	seen.Annotations = map[string]string{"c": "d"}
	if _, err := upstream.Update(t.Context(), seen, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := apply(t, s.Server, "networking.k8s.io", path, "another",
		`"kind":"ServiceCIDR","metadata":{"name":"a","labels":{"e":"f"}},"spec":{"cidrs":["10.201.0.0/24"]}`, false); err != nil {
		t.Fatal(err)
	}
	raw, err := s.core.NetworkingV1().RESTClient().Get().Resource("servicecidrs").Name("a").Do(t.Context()).Raw()
	if err != nil || strings.Contains(string(raw), `"priority"`) {
		t.Errorf("got %s, %v", raw, err)
	}
	got, err := s.Client.PortolanV1().ServiceCIDRs().Get(t.Context(), "a", metav1.GetOptions{})
	if err != nil || ptr.Deref(got.Spec.Priority, 0) != 3 || ptr.Deref(got.Spec.Allocation, "") != v1.AllocationOnRequest ||
		len(got.Labels) != 2 || len(got.Annotations) != 1 {
		t.Errorf("got %+v, %v", got, err)
	}
	// The owner still owns its fields.
	if _, err := apply(t, s.Server, v1.GroupName, path, "rival", strings.Replace(want, "3", "4", 1), false); !apierrors.IsConflict(err) {
		t.Errorf("a rival's apply: %v", err)
	}
}
