package pools

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/test/framework"
)

// expectTable compares a table as kubectl shows it, a line for each row, without ages.
func expectTable(t *testing.T, server *framework.Server, resource string, want ...string) {
	t.Helper()
	var table metav1.Table
	err := server.Client.PortolanV1().RESTClient().Get().Resource(resource).
		SetHeader("Accept", "application/json;as=Table;g=meta.k8s.io;v=v1").Do(t.Context()).Into(&table)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, column := range table.ColumnDefinitions {
		names = append(names, column.Name)
	}
	got := []string{strings.Join(names, " | ")}
	age := slices.Index(names, "Age")
	for _, row := range table.Rows {
		cells := make([]string, len(row.Cells))
		for i, cell := range row.Cells {
			cells[i] = fmt.Sprint(cell)
		}
		cells[age] = "age"
		got = append(got, strings.Join(cells, " | "))
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s: got\n%s\nwant\n%s", resource, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestTables shows pools and claims as kubectl get -o wide does.
func TestTables(t *testing.T) {
	t.Parallel()
	server := framework.Start(t, dualStack)
	newPool(t, server, "dual", func(spec *v1.LoadBalancerPoolSpec) {
		spec.CIDRs, spec.Ranges = []string{"2001:db8::/64"}, []string{"192.0.2.10-192.0.2.19"}
		spec.Exclude = []string{"192.0.2.10"}
	})
	newPool(t, server, "team", func(spec *v1.LoadBalancerPoolSpec) {
		spec.CIDRs, spec.LoadBalancerClass, spec.Sharing = []string{"198.51.100.0/24"}, ptr.To("example.com/lb"),
			ptr.To(v1.SharingAcrossNamespaces)
		spec.Allocation, spec.Priority, spec.AvoidBuggyIPs = ptr.To(v1.AllocationOnRequest), ptr.To[int32](7), ptr.To(true)
		spec.ServiceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"a": "b"}}
	})
	at := annotated(v1.LoadBalancerIPsAnnotation, "192.0.2.11,2001:db8::b")
	dual := withFamilies(corev1.IPFamilyPolicyRequireDualStack)
	create(t, server, balancer("web", at, sharing("k"), dual))
	create(t, server, balancer("tls", at, sharing("k"), dual, onPort(443)))
	reserve(t, server, &v1.LoadBalancerIP{ObjectMeta: metav1.ObjectMeta{Name: "192.0.2.12"}, Spec: v1.LoadBalancerIPSpec{
		ParentRef: &v1.ParentReference{Resource: "things", Name: "x"},
	}})
	expectTable(t, server, "loadbalancerpools",
		"Name | Addresses | Class | Capacity | Allocated | Free | Age | Allocation | Priority | Namespaces | Services | Sharing",
		"dual | 2001:db8::/64,192.0.2.10-192.0.2.19 | <none> | 9,18446744073709551616 | 2,1 | 7,18446744073709551615 | age | "+
			"Automatic | 0 | <all> | <all> | SameNamespace",
		"team | 198.51.100.0/24 | example.com/lb | 254 | 0 | 254 | age | OnRequest | 7 | <all> | a=b | AcrossNamespaces")
	expectTable(t, server, "loadbalancerips", "Name | Holders | Ports | Sharing-Key | Expires | Age",
		"192.0.2.11 | default/web,default/tls | 80/TCP,443/TCP | k | <none> | age",
		"192.0.2.12 | things/x | <none> | <none> | <none> | age",
		"2001:db8::b | default/web,default/tls | 80/TCP,443/TCP | k | <none> | age")
}

// TestInvalidPools wants errors with field paths, on create and on update.
func TestInvalidPools(t *testing.T) {
	t.Parallel()
	server := framework.Start(t, dualStack)
	pools := server.Client.PortolanV1().LoadBalancerPools()
	stored := newPool(t, server, "public", cidrs("192.0.2.0/24"))
	for want, spec := range map[string]v1.LoadBalancerPoolSpec{
		"spec.cidrs: Required value: at least one CIDR, or one entry in ranges, is required": {},
		`spec.ranges[0]: Invalid value: "192.0.2.9": must be two addresses, such as "192.0.2.10-192.0.2.99"`: {
			Ranges: []string{"192.0.2.9"}},
		`spec.cidrs[1]: Duplicate value: "192.0.2.0/24"`: {CIDRs: []string{"192.0.2.0/24", "192.0.2.0/24"}},
		`spec.exclude[0]: Invalid value: "192.0.3.1": excludes no address of the pool`: {
			CIDRs: []string{"192.0.2.0/24"}, Exclude: []string{"192.0.3.1"}},
		`spec.sharing: Unsupported value: "x": supported values: "SameNamespace", "AcrossNamespaces"`: {
			CIDRs: []string{"192.0.2.0/24"}, Sharing: ptr.To[v1.PoolSharing]("x")},
		"spec.namespaceSelector: Invalid value: \"a=b,!a\": selects nothing: its requirements on a contradict each other": {
			CIDRs: []string{"192.0.2.0/24"}, NamespaceSelector: &metav1.LabelSelector{
				MatchLabels:      map[string]string{"a": "b"},
				MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "a", Operator: metav1.LabelSelectorOpDoesNotExist}}}},
	} {
		_, err := pools.Create(t.Context(), &v1.LoadBalancerPool{ObjectMeta: metav1.ObjectMeta{Name: "x"}, Spec: spec}, metav1.CreateOptions{})
		if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), want) {
			t.Errorf("create: got %v, want %s", err, want)
		}
		changed := stored.DeepCopy()
		changed.Spec = spec
		if _, err := pools.Update(t.Context(), changed, metav1.UpdateOptions{}); !apierrors.IsInvalid(err) || !strings.Contains(err.Error(),
			want) {
			t.Errorf("update: got %v, want %s", err, want)
		}
	}
}

// TestClaimsAreTheServers wants clients to make reservations only.
func TestClaimsAreTheServers(t *testing.T) {
	t.Parallel()
	server := framework.Start(t, dualStack)
	newPool(t, server, "public", cidrs("192.0.2.0/24"))
	create(t, server, balancer("web", annotated(v1.LoadBalancerIPsAnnotation, "192.0.2.7")))
	claims := server.Client.PortolanV1().LoadBalancerIPs()
	made := &v1.LoadBalancerIP{ObjectMeta: metav1.ObjectMeta{Name: "192.0.2.8"}, Spec: v1.LoadBalancerIPSpec{
		ParentRef: &v1.ParentReference{Resource: "things", Name: "x"}, Holders: []v1.LoadBalancerIPHolder{{Namespace: "default", Name: "web",
			UID: "u"}},
	}}
	if _, err := claims.Create(t.Context(), made, metav1.CreateOptions{}); !apierrors.IsInvalid(err) ||
		!strings.Contains(err.Error(), "spec.holders: Forbidden: is set by the server for the Services that hold the claim") {
		t.Errorf("a claim with holders: %v", err)
	}
	held, err := claims.Get(t.Context(), "192.0.2.7", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	changed := held.DeepCopy()
	changed.Spec.Holders = nil
	if _, err := claims.Update(t.Context(), changed, metav1.UpdateOptions{}); err == nil {
		t.Error("a client took the holders away")
	}
	if err := claims.Delete(t.Context(), "192.0.2.7", metav1.DeleteOptions{}); !apierrors.IsConflict(err) {
		t.Errorf("deleting a held claim: %v", err)
	}
	held.Labels = map[string]string{"owner": "me"}
	if _, err := claims.Update(t.Context(), held, metav1.UpdateOptions{}); err != nil {
		t.Errorf("labeling a held claim: %v", err)
	}
}

// TestDiscovery wants the short names.
func TestDiscovery(t *testing.T) {
	t.Parallel()
	server := framework.Start(t, nil)
	list, err := server.Client.Discovery().ServerResourcesForGroupVersion(v1.SchemeGroupVersion.String())
	if err != nil {
		t.Fatal(err)
	}
	for name, short := range map[string]string{"loadbalancerpools": "lbpool", "loadbalancerips": "lbip"} {
		i := slices.IndexFunc(list.APIResources, func(r metav1.APIResource) bool { return r.Name == name })
		if i < 0 || list.APIResources[i].Namespaced || !slices.Equal(list.APIResources[i].ShortNames, []string{short}) {
			t.Errorf("%s: got %+v", name, list.APIResources)
		}
	}
}
