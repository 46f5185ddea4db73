package api

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/test/framework"
)

// TestTinyRanges has each address of a range without a network address handed
// out, whether or not the Service names one.
func TestTinyRanges(t *testing.T) {
	t.Parallel()
	for ranges, want := range map[string][]string{
		"10.7.0.2/31": {"10.7.0.2", "10.7.0.3"},
		"10.7.0.5/32": {"10.7.0.5"},
		"fd00::2/127": {"fd00::2", "fd00::3"},
		"fd00::5/128": {"fd00::5"},
		"10.7.0.8/30": {"10.7.0.9", "10.7.0.10"},
	} {
		t.Run(ranges, func(t *testing.T) {
			t.Parallel()
			store, replicas := framework.Replicas(t, 1, withRanges("20000-20009", ranges))
			server, ctx := replicas[0], t.Context()
			for _, name := range []string{"named", "open"} {
				var got []string
				for i, address := range want {
					svc := serviceWith(fmt.Sprint("s", i))
					if name == "named" {
						onAddresses(address)(&svc.Spec)
					}
					created, err := servicesOf(server).Create(ctx, svc, metav1.CreateOptions{})
					if err != nil {
						t.Fatalf("%s address: %v", name, err)
					}
					got = append(got, created.Spec.ClusterIP)
				}
				slices.SortFunc(got, func(a, b string) int { return netip.MustParseAddr(a).Compare(netip.MustParseAddr(b)) })
				if !slices.Equal(got, want) {
					t.Errorf("%s addresses are %v, want %v", name, got, want)
				}
				if _, err := servicesOf(server).Create(ctx, serviceWith("one-more"), metav1.CreateOptions{}); !apierrors.IsInvalid(err) ||
					!strings.Contains(err.Error(), "range is full") {
					t.Errorf("one more: got %v, want a 422 as the range is full", err)
				}
				expectAllocated(t, replicas, []int64{int64(len(want))}, 0)
				framework.Verify(t, store.Client)
				if err := servicesOf(server).DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// TestFreeOfHugeRange reads the usage of a CIDR with more addresses than an int64
// can count.
func TestFreeOfHugeRange(t *testing.T) {
	t.Parallel()
	_, replicas := framework.Replicas(t, 1, withRanges("20000-20009", "fd00:10::/48"))
	if _, err := servicesOf(replicas[0]).Create(t.Context(), serviceWith("web"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	cidr, err := replicas[0].Client.PortolanV1().ServiceCIDRs().Get(t.Context(), v1.DefaultRangeName, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want := v1.CIDRUsage{CIDR: "fd00:10::/48", Capacity: math.MaxInt64, Allocated: 1, Free: math.MaxInt64,
		ExactCapacity: "1208925819614629174706175", ExactFree: "1208925819614629174706174"}
	if got := cidr.Status.CIDRs; len(got) != 1 || got[0] != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// TestHugeRanges uses ranges beyond upstream's limits, from which it never
// allocates, and refuses those with addresses that can't be a Service's.
func TestHugeRanges(t *testing.T) {
	t.Parallel()
	store, replicas := framework.Replicas(t, 1, withRanges("20000-20009", "2000::/3", "64.0.0.0/3"))
	ctx := t.Context()
	for i, addresses := range [][]string{nil, {"3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "95.255.255.254"}, {"2000::1", "64.0.0.1"}} {
		svc := serviceWith(fmt.Sprint("s", i))
		policy := corev1.IPFamilyPolicyRequireDualStack
		svc.Spec.IPFamilyPolicy = &policy
		if addresses != nil {
			onAddresses(addresses...)(&svc.Spec)
		}
		created, err := servicesOf(replicas[0]).Create(ctx, svc, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for i, prefix := range []string{"2000::/3", "64.0.0.0/3"} {
			if !netip.MustParsePrefix(prefix).Contains(netip.MustParseAddr(created.Spec.ClusterIPs[i])) {
				t.Errorf("address %s is not of %s", created.Spec.ClusterIPs[i], prefix)
			}
		}
	}
	framework.Verify(t, store.Client)

	cidrs := replicas[0].Client.PortolanV1().ServiceCIDRs()
	for cidr, text := range map[string]string{
		"0.0.0.0/0":      "must not overlap the loopback range (127.0.0.0/8)",
		"0.0.0.0/32":     "must not overlap the unspecified address (0.0.0.0)",
		"127.0.0.8/30":   "must not overlap the loopback range (127.0.0.0/8)",
		"224.0.0.0/3":    "must not overlap the multicast range (224.0.0.0/4)",
		"::/0":           "must not overlap the loopback address (::1)",
		"::/128":         "must not overlap the unspecified address (::)",
		"ff05:1::/64":    "must not overlap the multicast range (ff00::/8)",
		"10.0.0.1/24":    "must not have bits set beyond the prefix length",
		"10.0.0.0/33":    "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)",
		"fd00:0:0::/112": `must be in canonical form ("fd00::/112")`,
	} {
		object := &v1.ServiceCIDR{ObjectMeta: metav1.ObjectMeta{Name: "odd"}, Spec: v1.ServiceCIDRSpec{CIDRs: []string{cidr}}}
		if _, err := cidrs.Create(ctx, object, metav1.CreateOptions{}); !apierrors.IsInvalid(err) ||
			!strings.Contains(err.Error(), fmt.Sprintf("spec.cidrs[0]: Invalid value: %q: %s", cidr, text)) {
			t.Errorf("%s: got %v\nwant a 422 with %s", cidr, err, text)
		}
	}
}

// putStored writes an object as another server may have left it.
func putStored(t *testing.T, store *framework.Etcd, key, object string) {
	t.Helper()
	if _, err := store.Client.Put(t.Context(), "/registry/portolan.dev/"+key, object); err != nil {
		t.Fatal(err)
	}
}

// TestNodePortsOfExternalNames: upstream stores a node port on an ExternalName
// Service without claiming it and on deletion takes it from its holder.
func TestNodePortsOfExternalNames(t *testing.T) {
	t.Parallel()
	store, replicas := framework.Replicas(t, 1, withRanges("20000-20009", "10.96.0.0/24"))
	ctx, services := t.Context(), servicesOf(replicas[0])
	const refused = "spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ExternalName'"
	external := func(nodePort int32) func(*corev1.ServiceSpec) {
		return func(spec *corev1.ServiceSpec) {
			spec.Type, spec.ExternalName = corev1.ServiceTypeExternalName, "a.example.com"
			spec.Ports[0].NodePort = nodePort
		}
	}
	patch := func(name, body string) error {
		_, err := services.Patch(ctx, name, types.MergePatchType, []byte(body), metav1.PatchOptions{})
		return err
	}
	_, err := services.Create(ctx, serviceWith("external", external(20001)), metav1.CreateOptions{})
	expectInvalid(t, "create", err, refused)
	if _, err := services.Create(ctx, serviceWith("external", external(0)), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	withPort := `{"spec":{"ports":[{"name":"a","port":80,"nodePort":20001}]}}`
	expectInvalid(t, "update", patch("external", withPort), refused)

	if _, err := services.Create(ctx, serviceWith("web", onNodePort(20002)), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	become := `{"spec":{"type":"ExternalName","externalName":"a.example.com","ports":[{"name":"a","port":80,"nodePort":%d}]}}`
	expectInvalid(t, "change of type with another port", patch("web", fmt.Sprintf(become, 20003)), refused)
	if err := patch("web", fmt.Sprintf(become, 20002)); err != nil {
		t.Errorf("change of type with the port as it was: %v", err)
	}
	if web, err := services.Get(ctx, "web", metav1.GetOptions{}); err != nil || web.Spec.Ports[0].NodePort != 0 {
		t.Errorf("the port is still there: %+v, error %v", web, err)
	}

	// As upstream stores it.
	putStored(t, store, "services/default/stored", `{"apiVersion":"portolan.dev/v1","kind":"Service","metadata":{"name":"stored","namespace":"default","uid":"u"},
		"spec":{"type":"ExternalName","externalName":"a.example.com","sessionAffinity":"None",
		"ports":[{"port":80,"nodePort":20004,"protocol":"TCP"}]}}`)
	expectInvalid(t, "other port on a stored one", patch("stored", withPort), refused)
	if err := patch("stored", `{"metadata":{"labels":{"a":"b"}}}`); err != nil {
		t.Errorf("a stored one can't be updated: %v", err)
	}
	framework.Verify(t, store.Client)
}

// TestStoredNonsenseStaysUpdatable has rules that upstream lacks leave alone
// what was stored without them.
func TestStoredNonsenseStaysUpdatable(t *testing.T) {
	t.Parallel()
	store, replicas := framework.Replicas(t, 1, withRanges("20000-20009", "10.96.0.0/24"))
	ctx, api := t.Context(), replicas[0].Client.PortolanV1()
	putStored(t, store, "services/default/stored", `{"apiVersion":"portolan.dev/v1","kind":"Service","metadata":{"name":"stored","namespace":"default","uid":"u"},
		"spec":{"type":"LoadBalancer","clusterIP":"10.96.0.77","clusterIPs":["10.96.0.77"],
		"allocateLoadBalancerNodePorts":false,"sessionAffinity":"None","ports":[{"port":80,"protocol":"TCP"}],
			"ipFamilies":["IPv4"],"ipFamilyPolicy":"SingleStack","loadBalancerIP":"any text"},
		"status":{"conditions":[{"type":"a b","status":"Foo","reason":"","message":"","lastTransitionTime":null}],
			"loadBalancer":{"ingress":[{"ip":"192.0.02.1","ipMode":"VIP","ports":[{"port":70000,"protocol":"Foo","error":"a b"}]}]}}}`)
	putStored(t, store, "servicecidrs/stored", `{"apiVersion":"portolan.dev/v1","kind":"ServiceCIDR","metadata":{"name":"stored","uid":"u2"},"spec":{"cidrs":["0.0.0.0/0"]},
		"status":{"conditions":[{"type":"Ready","status":"False","reason":"","message":"","lastTransitionTime":null}]}}`)

	service := func(body string, subresource ...string) error {
		_, err := api.Services("default").Patch(ctx, "stored", types.MergePatchType, []byte(body), metav1.PatchOptions{}, subresource...)
		return err
	}
	cidr := func(body string, subresource ...string) error {
		_, err := api.ServiceCIDRs().Patch(ctx, "stored", types.MergePatchType, []byte(body), metav1.PatchOptions{}, subresource...)
		return err
	}
	const label = `{"metadata":{"labels":{"a":"b"}}}`
	const bad = `{"type":"a b","status":"Foo","reason":"","message":"","lastTransitionTime":null}`
	const good = `{"type":"Good","status":"True","reason":"Because","message":"","lastTransitionTime":"2026-01-01T00:00:00Z"}`
	const point = `"ip":"192.0.02.1","ipMode":"VIP","ports":[{"port":70000,"protocol":"Foo","error":"a b"}]`
	for what, err := range map[string]error{
		"label of a ServiceCIDR":      cidr(label),
		"conditions of a ServiceCIDR": cidr(`{"status":{"conditions":[{"type":"Ready","status":"False","reason":"","message":"","lastTransitionTime":null},`+good+`]}}`, "status"),
		"second CIDR":                 cidr(`{"spec":{"cidrs":["0.0.0.0/0","fd00::/112"]}}`),
		"conditions of a Service":     service(`{"status":{"conditions":[`+bad+`,`+good+`]}}`, "status"),
		"ingress of a Service":        service(`{"status":{"loadBalancer":{"ingress":[{"hostname":"a.example.com"},{`+point+`}]}}}`, "status"),
	} {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	for what, test := range map[string]struct {
		err  error
		want string
	}{
		"condition": {service(`{"status":{"conditions":[{"type":"Ready","status":"Foo","reason":"A","lastTransitionTime":"2026-01-01T00:00:00Z"}]}}`, "status"), `status.conditions[0].status: Unsupported value: "Foo": supported values: "False", "True", "Unknown"`},
		"port": {service(`{"status":{"loadBalancer":{"ingress":[{"hostname":"a","ports":[{"port":70001,"protocol":"TCP"}]}]}}}`,
			"status"), `status.loadBalancer.ingress[0].ports[0].port: Invalid value: 70001: must be between 1 and 65535, inclusive`},
		"cidr condition": {cidr(`{"status":{"conditions":[{"type":"Ready","status":"foo","reason":"A","lastTransitionTime":"2026-01-01T00:00:00Z"}]}}`, "status"), `status.conditions[0].status: Unsupported value: "foo": supported values: "False", "True", "Unknown"`},
		"load balancer's IP": {service(`{"spec":{"loadBalancerIP":"other text"}}`),
			`spec.loadBalancerIP: Invalid value: "other text": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)`},
	} {
		if !apierrors.IsInvalid(test.err) || !strings.Contains(test.err.Error(), test.want) {
			t.Errorf("%s: got %v\nwant a 422 with %s", what, test.err, test.want)
		}
	}
}
