package api

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/generated/clientset/versioned"
	"github.com/portolan-dev/portolan/test/framework"
)

const (
	oldCIDR, newCIDR = "10.96.0.0/16", "10.97.0.0/24"
	// oldPorts and newPorts are ranges of node ports.
	oldPorts, newPorts = "30000-30099", "31000-31009"
)

func createCIDR(t *testing.T, server *framework.Server, name string, change func(*v1.ServiceCIDRSpec), cidrs ...string) {
	t.Helper()
	r := &v1.ServiceCIDR{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1.ServiceCIDRSpec{CIDRs: cidrs}}
	if change != nil {
		change(&r.Spec)
	}
	if _, err := server.Client.PortolanV1().ServiceCIDRs().Create(t.Context(), r, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// onRequest makes a range a target that gives Services no values by itself.
func onRequest(spec *v1.ServiceCIDRSpec) { spec.Allocation = ptr.To(v1.AllocationOnRequest) }

func createPorts(t *testing.T, server *framework.Server, name string, allocation v1.RangeAllocation, ports ...string) {
	t.Helper()
	r := &v1.NodePortRange{
		ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1.NodePortRangeSpec{Ports: ports, Allocation: &allocation},
	}
	if _, err := server.Client.PortolanV1().NodePortRanges().Create(t.Context(), r, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// movingCIDR and movingPorts are Renumberings from the default range.
func movingCIDR(to string) v1.RenumberingSpec {
	return v1.RenumberingSpec{Kind: "ServiceCIDR", From: v1.DefaultRangeName, To: to}
}

func movingPorts(to string) v1.RenumberingSpec {
	return v1.RenumberingSpec{Kind: "NodePortRange", From: v1.DefaultRangeName, To: to}
}

func back(spec v1.RenumberingSpec) v1.RenumberingSpec {
	spec.From, spec.To = spec.To, spec.From
	return spec
}

func renumber(ctx context.Context, server *framework.Server, name string, spec v1.RenumberingSpec) ([]v1.ValueMove, error) {
	result, err := servicesOf(server).Renumber(ctx, name, &v1.Renumbering{Spec: spec}, metav1.CreateOptions{})
	if err != nil {
		return nil, err
	}
	return result.Status.Moves, nil
}

func mustRenumber(t *testing.T, server *framework.Server, name string, spec v1.RenumberingSpec) []v1.ValueMove {
	t.Helper()
	moves, err := renumber(t.Context(), server, name, spec)
	if err != nil {
		t.Fatalf("%s to %s: %v", name, spec.To, err)
	}
	return moves
}

func readService(t *testing.T, server *framework.Server, name string) *v1.Service {
	t.Helper()
	svc, err := servicesOf(server).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return svc
}

func isIn(cidr, address string) bool {
	addr, err := netip.ParseAddr(address)
	return err == nil && netip.MustParsePrefix(cidr).Contains(addr)
}

// balanced is a load balancer with a health check node port.
func balanced(spec *corev1.ServiceSpec) {
	spec.Type, spec.ExternalTrafficPolicy = corev1.ServiceTypeLoadBalancer, corev1.ServiceExternalTrafficPolicyLocal
}

func dual(spec *corev1.ServiceSpec) {
	spec.IPFamilyPolicy = ptr.To(corev1.IPFamilyPolicyRequireDualStack)
}

// TestRenumber moves a Service to a range of one family and back. Each move is one write and
// one event, and all else of the Service stays.
func TestRenumber(t *testing.T) {
	t.Parallel()
	store, replicas := framework.Replicas(t, 1, withRanges(oldPorts, oldCIDR, "fd00:96::/112"))
	server, ctx := replicas[0], t.Context()
	createCIDR(t, server, "new", onRequest, newCIDR)
	createPorts(t, server, "new", v1.AllocationOnRequest, newPorts)
	before, err := servicesOf(server).Create(ctx, serviceWith("web", dual, balanced), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	// Dry runs write nothing.
	revision := revisionOf(t, store)
	for _, spec := range []v1.RenumberingSpec{movingCIDR("new"), movingPorts("new")} {
		result, err := servicesOf(server).Renumber(ctx, "web", &v1.Renumbering{Spec: spec}, metav1.CreateOptions{DryRun: []string{"All"}})
		if err != nil || len(result.Status.Moves) == 0 {
			t.Errorf("a dry run: %v, %v", result, err)
		}
	}
	if got := revisionOf(t, store); got != revision {
		t.Fatalf("dry runs made %d writes", got-revision)
	}
	events, err := servicesOf(server).Watch(ctx, metav1.ListOptions{ResourceVersion: before.ResourceVersion})
	if err != nil {
		t.Fatal(err)
	}
	defer events.Stop()

	moves := mustRenumber(t, server, "web", movingCIDR("new"))
	moved := readService(t, server, "web")
	if len(moves) != 1 || moves[0].From != before.Spec.ClusterIP || moves[0].To != moved.Spec.ClusterIP || !isIn(newCIDR, moves[0].To) {
		t.Errorf("moved %v; the Service has %v", moves, moved.Spec.ClusterIPs)
	}
	want := before.DeepCopy()
	want.Spec.ClusterIP, want.Spec.ClusterIPs[0] = moves[0].To, moves[0].To
	expectLike(t, moved, want)
	event := <-events.ResultChan()
	if svc, ok := event.Object.(*v1.Service); event.Type != watch.Modified || !ok || svc.ResourceVersion != moved.ResourceVersion {
		t.Errorf("got the event %+v", event)
	}
	if got := revisionOf(t, store); got != revision+1 || moved.ResourceVersion != strconv.FormatInt(got, 10) {
		t.Errorf("the move took %d writes, and the Service has the version %s", got-revision, moved.ResourceVersion)
	}
	ports := mustRenumber(t, server, "web", movingPorts("new"))
	moved = readService(t, server, "web")
	if len(ports) != 2 || moved.Spec.Ports[0].NodePort < 31000 || moved.Spec.HealthCheckNodePort < 31000 {
		t.Errorf("moved %v; the Service has %d and %d", ports, moved.Spec.Ports[0].NodePort, moved.Spec.HealthCheckNodePort)
	}
	if got := revisionOf(t, store); got != revision+2 {
		t.Errorf("two moves took %d writes", got-revision)
	}
	expectQuiet(t, store)

	// The core path shows the same Service.
	core, err := kubernetes.NewForConfig(server.Config)
	if err != nil {
		t.Fatal(err)
	}
	shown, err := core.CoreV1().Services("default").Get(ctx, "web", metav1.GetOptions{})
	if err != nil || !slices.Equal(shown.Spec.ClusterIPs, moved.Spec.ClusterIPs) || shown.ResourceVersion != moved.ResourceVersion {
		t.Errorf("the core path shows %v (%v)", shown, err)
	}
	// What is moved already is not written again, and no other request moves it.
	if again := mustRenumber(t, server, "web", movingCIDR("new")); len(again) != 0 || revisionOf(t, store) != revision+2 {
		t.Errorf("again: moved %v", again)
	}
	change := moved.DeepCopy()
	change.Spec.ClusterIP, change.Spec.ClusterIPs[0] = before.Spec.ClusterIP, before.Spec.ClusterIP
	if _, err := servicesOf(server).Update(ctx, change, metav1.UpdateOptions{}); !apierrors.IsInvalid(err) ||
		!strings.HasSuffix(err.Error(), "may not change once set") {
		t.Errorf("an update that changes the cluster IP: %v", err)
	}
	// And back.
	mustRenumber(t, server, "web", back(movingCIDR("new")))
	mustRenumber(t, server, "web", back(movingPorts("new")))
	undone := readService(t, server, "web")
	if !isIn(oldCIDR, undone.Spec.ClusterIP) || undone.Spec.ClusterIPs[1] != before.Spec.ClusterIPs[1] ||
		undone.Spec.Ports[0].NodePort >= 31000 {
		t.Errorf("after undoing it: %+v", undone.Spec)
	}
	expectQuiet(t, store)
}

// expectLike wants two Services to differ in nothing but their version.
func expectLike(t *testing.T, got, want *v1.Service) {
	t.Helper()
	want.ResourceVersion = got.ResourceVersion
	if !equality.Semantic.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

// TestRenumberTakesReservations gives a Service the values that are reserved for it.
func TestRenumberTakesReservations(t *testing.T) {
	t.Parallel()
	store, replicas := framework.Replicas(t, 2, withRanges(oldPorts, oldCIDR))
	server, ctx := replicas[0], t.Context()
	createCIDR(t, server, "new", onRequest, newCIDR)
	createPorts(t, server, "new", v1.AllocationOnRequest, newPorts)
	if _, err := servicesOf(server).Create(ctx, serviceWith("web", balanced), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	web := &v1.ParentReference{Group: v1.GroupName, Resource: "services", Namespace: "default", Name: "web"}
	address := &v1.IPAddress{ObjectMeta: metav1.ObjectMeta{Name: "10.97.0.77"}, Spec: v1.IPAddressSpec{ParentRef: web}}
	if _, err := server.Client.PortolanV1().IPAddresses().Create(ctx, address, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for name, spec := range map[string]v1.NodePortSpec{
		"31007": {ParentRef: web, HealthCheck: ptr.To(true)},
		"31003": {ParentRef: web, ServicePorts: []v1.ServicePortReference{{Port: 80}}},
	} {
		port := &v1.NodePort{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: spec}
		if _, err := server.Client.PortolanV1().NodePorts().Create(ctx, port, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		spec v1.RenumberingSpec
		want []string
	}{{movingCIDR("new"), []string{"10.97.0.77"}}, {movingPorts("new"), []string{"31003", "31007"}}} {
		// The other replica learns of the reservations from a watch.
		framework.Eventually(t, "a dry run has the reserved values", func(ctx context.Context) (bool, error) {
			dryRun := metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}
			result, err := servicesOf(replicas[1]).Renumber(ctx, "web", &v1.Renumbering{Spec: test.spec}, dryRun)
			if err != nil {
				return false, err
			}
			var got []string
			for _, move := range result.Status.Moves {
				got = append(got, move.To)
			}
			return slices.Equal(got, test.want), fmt.Errorf("got %v, want %v", got, test.want)
		})
		mustRenumber(t, replicas[1], "web", test.spec)
	}
	moved := readService(t, server, "web")
	if moved.Spec.ClusterIP != "10.97.0.77" || moved.Spec.HealthCheckNodePort != 31007 || moved.Spec.Ports[0].NodePort != 31003 {
		t.Errorf("the Service has %+v", moved.Spec)
	}
	expectQuiet(t, store)
}

// TestRenumberRefusals wants a clear error, and no write, for everything that can't be moved.
func TestRenumberRefusals(t *testing.T) {
	t.Parallel()
	store, replicas := framework.Replicas(t, 1, withRanges(oldPorts, oldCIDR))
	server := replicas[0]
	createCIDR(t, server, "new", onRequest, newCIDR)
	createCIDR(t, server, "v6", onRequest, "fd00:97::/112")
	createCIDR(t, server, "tiny", onRequest, "10.98.0.0/30")
	createCIDR(t, server, "team", func(spec *v1.ServiceCIDRSpec) { spec.NamespaceSelector = ofTeamA }, "10.99.0.0/24")
	createCIDR(t, server, "off", func(spec *v1.ServiceCIDRSpec) { spec.Allocation = ptr.To(v1.AllocationDisabled) }, "10.100.0.0/24")
	named := serviceWith("named")
	named.Annotations = map[string]string{v1.ServiceCIDRAnnotation: v1.DefaultRangeName}
	for _, svc := range []*v1.Service{
		serviceWith("web"), named, serviceWith("one", onAddresses("10.98.0.1")), serviceWith("two", onAddresses("10.98.0.2")),
		serviceWith("headless", func(spec *corev1.ServiceSpec) { spec.ClusterIP = corev1.ClusterIPNone }),
		serviceWith("external", func(spec *corev1.ServiceSpec) {
			spec.Type, spec.ExternalName = corev1.ServiceTypeExternalName, "a.example"
		}),
	} {
		if _, err := servicesOf(server).Create(t.Context(), svc, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	web := readService(t, server, "web")
	spec := func(change func(*v1.RenumberingSpec)) v1.RenumberingSpec {
		s := movingCIDR("new")
		change(&s)
		return s
	}
	cannot := fmt.Sprintf(`"web" is invalid: spec.clusterIPs: Invalid value: [%q]: failed to allocate a serviceIP: `, web.Spec.ClusterIP)
	revision := revisionOf(t, store)
	for name, test := range map[string]struct {
		service string
		spec    v1.RenumberingSpec
		is      func(error) bool
		text    string
	}{
		"another kind": {"web", spec(func(s *v1.RenumberingSpec) { s.Kind = "Service" }), apierrors.IsInvalid,
			`spec.kind: Unsupported value: "Service": supported values: "ServiceCIDR", "NodePortRange", "LoadBalancerPool"`},
		"no name of a range": {"web", movingCIDR("../nodeportranges/kubernetes"), apierrors.IsInvalid,
			`spec.to: Invalid value: "../nodeportranges/kubernetes": a lowercase RFC 1123 subdomain must consist of`},
		"no range":       {"web", v1.RenumberingSpec{Kind: "ServiceCIDR"}, apierrors.IsInvalid, "spec.from: Required value"},
		"one range":      {"web", spec(func(s *v1.RenumberingSpec) { s.To = s.From }), apierrors.IsInvalid, "spec.to: Invalid value"},
		"unknown target": {"web", movingCIDR("nope"), apierrors.IsBadRequest, `spec.to: there is no ServiceCIDR "nope"`},
		"unknown source": {"web", spec(func(s *v1.RenumberingSpec) { s.From = "nope" }), apierrors.IsBadRequest,
			`spec.from: there is no ServiceCIDR "nope"`},
		"no family in common": {"web", movingCIDR("v6"), apierrors.IsBadRequest,
			`spec.to: ServiceCIDR "v6" has no values of an IP family of "kubernetes"`},
		"full": {"web", movingCIDR("tiny"), apierrors.IsInvalid, cannot + "range is full: tiny (10.98.0.0/30) holds 2 of 2"},
		"not selected": {"web", movingCIDR("team"), apierrors.IsInvalid,
			cannot + "no range has a value for the Service: team does not select the Service"},
		"disabled": {"web", movingCIDR("off"), apierrors.IsInvalid, cannot + "no range has a value for the Service: off is disabled"},
		"names another range": {"named", movingCIDR("new"), apierrors.IsInvalid,
			`metadata.annotations[portolan.dev/service-cidr]: Invalid value: "kubernetes": the Service names this range: have it name "new" first`},
		"of another UID": {"web", spec(func(s *v1.RenumberingSpec) {
			s.Preconditions = &metav1.Preconditions{UID: ptr.To(types.UID("another"))}
		}), apierrors.IsConflict, "Precondition failed: UID"},
		"of another version": {"web", spec(func(s *v1.RenumberingSpec) {
			s.Preconditions = &metav1.Preconditions{ResourceVersion: ptr.To("1")}
		}), apierrors.IsConflict, "Precondition failed: ResourceVersion"},
		"no Service":    {"nope", movingCIDR("new"), apierrors.IsNotFound, `"nope" not found`},
		"kept":          {"kubernetes", movingCIDR("new"), apierrors.IsForbidden, "the API servers keep its address"},
		"headless":      {"headless", movingCIDR("new"), nil, ""},
		"external name": {"external", movingCIDR("new"), nil, ""},
	} {
		moves, err := renumber(t.Context(), server, test.service, test.spec)
		switch {
		case test.is == nil:
			if len(moves) > 0 || err != nil {
				t.Errorf("%s: moved %v, %v", name, moves, err)
			}
		case !test.is(err) || !strings.Contains(err.Error(), test.text):
			t.Errorf("%s: got %v\nwant %s", name, err, test.text)
		}
	}
	if got := revisionOf(t, store); got != revision {
		t.Errorf("refused moves made %d writes", got-revision)
	}
	expectQuiet(t, store)
}

// TestRenumberLeavesCopies wants the copy of a cluster's Service to stay as it is in the
// cluster, where a cluster IP can't change.
func TestRenumberLeavesCopies(t *testing.T) {
	t.Parallel()
	store, replicas := framework.Replicas(t, 1, withRanges(oldPorts, oldCIDR))
	createCIDR(t, replicas[0], "new", onRequest, newCIDR)
	putService(t, store, "copy", "10.96.1.1", 30001, `,"annotations":{"portolan.dev/mirrored-from":"https://cluster.example"}`)
	revision := revisionOf(t, store)
	_, err := renumber(t.Context(), replicas[0], "copy", movingCIDR("new"))
	const readOnly = "it is mirrored from the cluster at https://cluster.example and read-only here"
	if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), readOnly) {
		t.Errorf("got %v", err)
	}
	if got := revisionOf(t, store); got != revision {
		t.Errorf("it made %d writes", got-revision)
	}
}

// TestRenumberRights takes each of the rights away in turn.
func TestRenumberRights(t *testing.T) {
	t.Parallel()
	server := framework.Start(t, withRanges(oldPorts, oldCIDR))
	createCIDR(t, server, "new", onRequest, newCIDR)
	core, err := kubernetes.NewForConfig(server.Config)
	if err != nil {
		t.Fatal(err)
	}
	may := func(verb, resource string, names ...string) rbacv1.PolicyRule {
		return rbacv1.PolicyRule{APIGroups: []string{v1.GroupName}, Resources: []string{resource}, Verbs: []string{verb}, ResourceNames: names}
	}
	rules := []rbacv1.PolicyRule{
		may("create", "services/renumber"), may("update", "services"), may("update", "servicecidrs", v1.DefaultRangeName),
		may("update", "servicecidrs", "new"),
	}
	denied := []string{
		`cannot create resource "services/renumber" in API group "portolan.dev" in the namespace "default"`,
		`cannot update resource "services" in API group "portolan.dev" in the namespace "default"`,
		`"kubernetes" is forbidden: User "lacks-2" cannot update resource "servicecidrs" in API group "portolan.dev" at the cluster scope`,
		`"new" is forbidden: User "lacks-3" cannot update resource "servicecidrs" in API group "portolan.dev" at the cluster scope`,
	}
	services := func(user string, rules []rbacv1.PolicyRule) *versioned.Clientset {
		role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: user}, Rules: rules}
		if _, err := core.RbacV1().ClusterRoles().Create(t.Context(), role, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		binding := &rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: user}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: user},
			Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}},
		}
		if _, err := core.RbacV1().ClusterRoleBindings().Create(t.Context(), binding, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		config := rest.CopyConfig(server.Config)
		config.Impersonate.UserName = user
		return versioned.NewForConfigOrDie(config)
	}
	renumbering := &v1.Renumbering{Spec: movingCIDR("new")}
	for i := range rules {
		user := fmt.Sprint("lacks-", i)
		client := services(user, slices.Delete(slices.Clone(rules), i, i+1)).PortolanV1().Services("default")
		if _, err := servicesOf(server).Create(t.Context(), serviceWith(user), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		// The server learns of roles from a watch, so other rights may be missing at first.
		framework.Eventually(t, user+" is refused for the right reason", func(ctx context.Context) (bool, error) {
			_, err := client.Renumber(ctx, user, renumbering, metav1.CreateOptions{})
			if err == nil {
				t.Fatalf("%s moved a Service", user)
			}
			return apierrors.IsForbidden(err) && strings.Contains(err.Error(), denied[i]), err
		})
		if got := readService(t, server, user).Spec.ClusterIP; !isIn(oldCIDR, got) {
			t.Errorf("%s moved a Service to %s", user, got)
		}
	}
	all := services("has-all", rules).PortolanV1().Services("default")
	framework.Eventually(t, "a user with all rights moves a Service", func(ctx context.Context) (bool, error) {
		_, err := all.Renumber(ctx, "lacks-0", renumbering, metav1.CreateOptions{})
		return err == nil, err
	})
	if got := readService(t, server, "lacks-0").Spec.ClusterIP; !isIn(newCIDR, got) {
		t.Errorf("the Service has %s", got)
	}
}
