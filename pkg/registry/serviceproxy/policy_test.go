package serviceproxy

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func prefixes(texts ...string) (all []netip.Prefix) {
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

func TestTrust(t *testing.T) {
	local := []netip.Addr{
		netip.MustParseAddr("10.0.0.5"), netip.MustParseAddr("fd00::5"),
		netip.MustParseAddr("::ffff:10.0.0.6"), netip.MustParseAddr("fe80::5%eth0"),
	}
	all := prefixes("0.0.0.0/0", "::/0")
	for _, test := range []struct {
		address string
		allowed []netip.Prefix
		want    trust
	}{
		{"10.1.2.3", nil, ofPod},
		{"10.1.2.3", prefixes("10.1.3.0/24", "fd00::/8"), ofPod},
		{"10.1.2.3", prefixes("192.0.2.0/24", "10.1.2.0/24"), listed},
		{"10.1.2.3", all, listed},
		{"fd00:1::3", nil, ofPod},
		{"fd00:1::3", prefixes("fd00:1::/64"), listed},

		{"127.0.0.1", nil, refused},
		{"127.0.0.1", all, refused},
		{"127.0.0.1", prefixes("126.0.0.0/7"), refused},
		{"127.0.0.1", prefixes("127.0.0.0/8"), listed},
		{"127.0.0.1", prefixes("127.0.0.1/32"), listed},
		{"127.0.0.2", prefixes("127.0.0.1/32"), refused},
		{"::1", all, refused},
		{"::1", prefixes("::/127"), refused},
		{"::1", prefixes("::1/128"), listed},
		{"169.254.169.254", all, refused},
		{"169.254.169.254", prefixes("169.254.0.0/16"), listed},
		{"fe80::1", all, refused},
		{"fe80::1", prefixes("fe80::/64"), listed},
		{"fe80::1%eth0", prefixes("fe80::/64"), refused},

		{"10.0.0.5", nil, refused},
		{"10.0.0.5", prefixes("10.0.0.4/31"), refused},
		{"10.0.0.5", prefixes("10.0.0.5/32"), listed},
		{"10.0.0.6", nil, refused},
		{"fd00::5", all, refused},
		{"fd00::5", prefixes("fd00::5/128"), listed},

		{"0.0.0.0", prefixes("0.0.0.0/32"), refused},
		{"::", prefixes("::/128"), refused},
		{"224.0.0.1", prefixes("224.0.0.1/32"), refused},
		{"ff02::1", prefixes("ff02::/16"), refused},
	} {
		if got := trustIn(netip.MustParseAddr(test.address), test.allowed, local); got != test.want {
			t.Errorf("%s with %v listed: %d, want %d", test.address, test.allowed, got, test.want)
		}
	}
	if got := trustIn(netip.Addr{}, all, nil); got != refused {
		t.Errorf("an invalid address: %d", got)
	}
}

// TestLoopback wants only the networks that lie in loopback.
func TestLoopback(t *testing.T) {
	allowed := prefixes("0.0.0.0/0", "126.0.0.0/7", "127.0.0.0/8", "127.0.0.1/32", "169.254.0.0/16", "::/0", "::/127", "::1/128", "fe80::/10",
		"10.0.0.0/8")
	policy := &AddressPolicy{Allowed: allowed}
	if got, want := policy.Loopback(), prefixes("127.0.0.0/8", "127.0.0.1/32", "::1/128"); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	asked := 0
	policy.Pods = cluster(&asked)
	if got := policy.Loopback(); got != nil {
		t.Errorf("with a cluster: %v", got)
	}
}

// cluster returns a getter of Pods, one for each case.
func cluster(asked *int) PodGetter {
	pods := map[string]corev1.PodStatus{
		"web":    {PodIPs: []corev1.PodIP{{IP: "10.1.2.3"}, {IP: "fd00:1::3"}}},
		"mapped": {PodIPs: []corev1.PodIP{{IP: "::ffff:10.1.2.4"}}},
		"ended":  {Phase: corev1.PodSucceeded, PodIPs: []corev1.PodIP{{IP: "10.1.2.5"}}},
		"failed": {Phase: corev1.PodFailed, PodIPs: []corev1.PodIP{{IP: "10.1.2.6"}}},
		"single": {PodIP: "10.1.2.7"},
		"local":  {PodIPs: []corev1.PodIP{{IP: "127.0.0.1"}, {IP: "10.0.0.5"}, {IP: "localhost"}}},
	}
	return func(_ context.Context, namespace, name string) (*corev1.Pod, error) {
		*asked++
		status, ok := pods[name]
		if !ok || namespace != "default" {
			return nil, errors.New("not found")
		}
		return &corev1.Pod{Status: status}, nil
	}
}

func ofPodNamed(ip, namespace, name string) corev1.EndpointAddress {
	return corev1.EndpointAddress{IP: ip, TargetRef: &corev1.ObjectReference{Kind: "Pod", Namespace: namespace, Name: name}}
}

func choose(t *testing.T, policy *AddressPolicy, all ...corev1.EndpointAddress) string {
	t.Helper()
	subsets := []corev1.EndpointSubset{{Addresses: all, Ports: []corev1.EndpointPort{{Port: 80}}}}
	chosen, some, err := policy.choose(t.Context(), "default", candidates(subsets, "", func(int) int { return 0 }))
	if err != nil || some != (len(all) > 0) {
		t.Errorf("error %v, candidates: %v", err, some)
	}
	if !chosen.IsValid() {
		return ""
	}
	return chosen.String()
}

func TestPodsVouch(t *testing.T) {
	for _, test := range []struct {
		what    string
		address corev1.EndpointAddress
		want    string
		asked   int
	}{
		{"a Pod's address", ofPodNamed("10.1.2.3", "default", "web"), "10.1.2.3:80", 1},
		{"its other address", ofPodNamed("fd00:1::3", "default", "web"), "[fd00:1::3]:80", 1},
		{"in another form", ofPodNamed("fd00:1:0::3", "default", "web"), "[fd00:1::3]:80", 1},
		{"as IPv6", ofPodNamed("::ffff:10.1.2.3", "default", "web"), "10.1.2.3:80", 1},
		{"as IPv6 in the Pod", ofPodNamed("10.1.2.4", "default", "mapped"), "10.1.2.4:80", 1},
		{"another address", ofPodNamed("10.1.2.99", "default", "web"), "", 1},
		{"a Pod that isn't there", ofPodNamed("10.1.2.3", "default", "nobody"), "", 1},
		{"a Pod that ended", ofPodNamed("10.1.2.5", "default", "ended"), "", 1},
		{"a Pod that failed", ofPodNamed("10.1.2.6", "default", "failed"), "", 1},
		{"only the field for one address", ofPodNamed("10.1.2.7", "default", "single"), "", 1},
		{"another namespace", ofPodNamed("10.1.2.3", "kube-system", "web"), "", 0},
		{"no namespace", ofPodNamed("10.1.2.3", "", "web"), "", 0},
		{"no target", corev1.EndpointAddress{IP: "10.1.2.3"}, "", 0},
		{"a target of another kind", corev1.EndpointAddress{IP: "10.1.2.3",
			TargetRef: &corev1.ObjectReference{Kind: "Node", Namespace: "default", Name: "web"}}, "", 0},
		{"loopback", ofPodNamed("127.0.0.1", "default", "local"), "", 0},
		{"loopback as IPv6", ofPodNamed("::ffff:127.0.0.1", "default", "local"), "", 0},
		{"the server's own", ofPodNamed("10.0.0.5", "default", "local"), "", 0},
		{"a name", ofPodNamed("localhost", "default", "local"), "", 0},
		{"nothing", ofPodNamed("", "default", "local"), "", 0},
		{"leading zeros", ofPodNamed("010.1.2.3", "default", "web"), "", 0},
		{"listed, without a Pod", corev1.EndpointAddress{IP: "10.2.0.1"}, "10.2.0.1:80", 0},
	} {
		asked := 0
		policy := &AddressPolicy{
			Allowed:        prefixes("10.2.0.0/16"),
			LocalAddresses: func() ([]netip.Addr, error) { return []netip.Addr{netip.MustParseAddr("10.0.0.5")}, nil },
			Pods:           cluster(&asked),
		}
		if got := choose(t, policy, test.address); got != test.want || asked != test.asked {
			t.Errorf("%s: %q, asked for %d Pods", test.what, got, asked)
		}
	}
}

func TestChoice(t *testing.T) {
	none := func() ([]netip.Addr, error) { return nil, nil }
	asked := 0
	policy := &AddressPolicy{LocalAddresses: none, Pods: cluster(&asked)}
	if got := choose(t, policy, addresses("10.1.2.8", "127.0.0.1")...); got != "" || asked != 0 {
		t.Errorf("no Pod has an address: %q, read %d Pods", got, asked)
	}
	if got := choose(t, policy, ofPodNamed("10.1.2.9", "default", "web"), ofPodNamed("10.1.2.3", "default", "web")); got != "10.1.2.3:80" ||
		asked != 2 {
		t.Errorf("the second is good: %q, asked for %d Pods", got, asked)
	}
	if got := choose(t, policy); got != "" {
		t.Errorf("of none: %q", got)
	}

	var liars []corev1.EndpointAddress
	for i := range 3 * maxPodLookups {
		liars = append(liars, ofPodNamed(fmt.Sprintf("10.9.0.%d", i), "default", "web"))
	}
	asked = 0
	if got := choose(t, policy, append(liars, ofPodNamed("10.1.2.3", "default", "web"))...); got != "" || asked != maxPodLookups {
		t.Errorf("after many that are not: %q, asked for %d Pods", got, asked)
	}
	policy.Allowed = prefixes("10.2.0.0/16")
	if got := choose(t, policy, append(liars, addresses("10.2.0.1")...)...); got != "10.2.0.1:80" {
		t.Errorf("a listed one after many that are not: %q", got)
	}

	alone := &AddressPolicy{LocalAddresses: none}
	if got := choose(t, alone, ofPodNamed("10.1.2.3", "default", "web")); got != "" {
		t.Errorf("without a cluster: %q", got)
	}
	blind := &AddressPolicy{LocalAddresses: func() ([]netip.Addr, error) { return nil, errors.New("no netlink") }, Pods: cluster(&asked)}
	subsets := []corev1.EndpointSubset{
		{Addresses: []corev1.EndpointAddress{ofPodNamed("10.1.2.3", "default", "web")}, Ports: []corev1.EndpointPort{{Port: 80}}},
	}
	if chosen, _, err := blind.choose(t.Context(), "default", candidates(subsets, "", func(int) int { return 0 })); err == nil ||
		chosen.IsValid() {
		t.Errorf("without its own addresses: %v, error %v", chosen, err)
	}
}
