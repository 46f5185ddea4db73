package rules

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// showGroups formats the IP family, ports and addresses of groups. A minus marks
// addresses that are not ready.
func showGroups(groups []Group) string {
	var lines []string
	for _, group := range groups {
		line := string(group.AddressType)
		for _, port := range group.Ports {
			line += fmt.Sprintf(" %s:%d", *port.Name, *port.Port)
		}
		for _, endpoint := range group.Endpoints {
			line += map[bool]string{true: " ", false: " -"}[*endpoint.Conditions.Ready] + ptr.Deref(endpoint.Hostname, "") + endpoint.Addresses[0]
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "; ")
}

func TestMirror(t *testing.T) {
	http, https := tcp("http", 80), tcp("https", 443)
	tests := map[string]struct {
		subsets          []corev1.EndpointSubset
		want             string
		invalid, skipped int
	}{
		"nothing": {},
		"both families, ready and not": {
			subsets: []corev1.EndpointSubset{
				{Addresses: addresses(at("10.0.0.2"), at("2001:DB8::1")), NotReadyAddresses: addresses(at("10.0.0.1")), Ports: ports(http)},
			},
			want: "IPv4 http:80 -10.0.0.1 10.0.0.2; IPv6 http:80 2001:db8::1",
		},
		"a slice for each set of ports": {
			subsets: []corev1.EndpointSubset{
				{Addresses: addresses(at("10.0.0.1")), Ports: ports(https, http)},
				{Addresses: addresses(at("10.0.0.2")), Ports: ports(https)},
			},
			want: "IPv4 http:80 10.0.0.1; IPv4 https:443 10.0.0.1 10.0.0.2",
		},
		"no ports": {
			subsets: []corev1.EndpointSubset{{Addresses: addresses(at("10.0.0.1"))}},
			want:    "IPv4 10.0.0.1",
		},
		"odd addresses": {
			subsets: []corev1.EndpointSubset{{Addresses: addresses(at("010.000.000.001"), at("here"), at("::ffff:10.0.0.2")), Ports: ports(http)}},
			want:    "IPv4 http:80 10.0.0.1 10.0.0.2",
			invalid: 1,
		},
		"what no slice may have": {
			subsets: []corev1.EndpointSubset{{
				Addresses: addresses(at("169.254.0.1"), at("127.0.0.2"), at("0.0.0.0"),
					corev1.EndpointAddress{IP: "10.0.0.1", Hostname: "A b", NodeName: ptr.To("A b")}, at("127.0.0.1")),
				Ports: ports(http),
			}},
			want:    "IPv4 http:80 10.0.0.1 127.0.0.1",
			invalid: 3,
		},
		"one name of two ports": {
			subsets: []corev1.EndpointSubset{{Addresses: addresses(at("10.0.0.1")), Ports: ports(http, https, tcp("http", 8080))}},
			want:    "IPv4 http:80 https:443 10.0.0.1; IPv4 http:8080 10.0.0.1",
		},
		"too many": {
			subsets: []corev1.EndpointSubset{{
				Addresses:         addresses(at("10.0.0.2"), at("10.0.0.1"), at("10.0.0.9")),
				NotReadyAddresses: addresses(at("10.0.0.3"), at("10.0.0.4")), Ports: ports(http),
			}},
			want:    "IPv4 http:80 10.0.0.1 10.0.0.2 -10.0.0.3 10.0.0.9",
			skipped: 1,
		},
		"hostnames": {
			subsets: []corev1.EndpointSubset{{Addresses: addresses(corev1.EndpointAddress{IP: "10.0.0.1", Hostname: "a"}, at("10.0.0.1", "x"))}},
			want:    "IPv4 10.0.0.1",
		},
	}
	tests["hostnames"].subsets[0].Addresses[0].TargetRef = &corev1.ObjectReference{Name: "y", UID: "y"}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			m := Mirror(test.subsets, 4, []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")})
			if name == "hostnames" {
				// One address with two targets makes two endpoints.
				if len(m.Groups) != 1 || len(m.Groups[0].Endpoints) != 2 || *m.Groups[0].Endpoints[1].Hostname != "a" {
					t.Errorf("got %v", showGroups(m.Groups))
				}
				return
			}
			if got := showGroups(m.Groups); got != test.want || m.Invalid != test.invalid || m.Skipped != test.skipped {
				t.Errorf("got %q with %d invalid and %d skipped; want %q, %d, %d", got, m.Invalid, m.Skipped, test.want, test.invalid, test.skipped)
			}
		})
	}
}

func TestMirrorChanges(t *testing.T) {
	http, https := tcp("http", 80), tcp("https", 443)
	web := &corev1.Endpoints{
		ObjectMeta: metav1.ObjectMeta{
			Name: "web", Namespace: "shop", UID: "1", Labels: map[string]string{"team": "a"},
			Annotations: map[string]string{"note": "x", corev1.LastAppliedConfigAnnotation: "{}", corev1.EndpointsLastChangeTriggerTime: "now"},
		},
		Subsets: []corev1.EndpointSubset{{Addresses: addresses(at("10.0.0.1"), at("2001:db8::1")), Ports: ports(http)}},
	}
	made := mirrorOf(web, nil)
	if len(made.Create) != 2 || len(made.Update)+len(made.Delete) != 0 {
		t.Fatalf("at first: %v", made)
	}
	stored := made.Create
	for i, slice := range stored {
		if slice.Labels["team"] != "a" || slice.Labels[discoveryv1.LabelServiceName] != "web" ||
			slice.Labels[discoveryv1.LabelManagedBy] != MirroredBy ||
			len(slice.Annotations) != 1 || slice.GenerateName != "web-" || slice.Namespace != "shop" {
			t.Errorf("metadata %v", slice.ObjectMeta)
		}
		if owner := metav1.GetControllerOf(slice); owner == nil || owner.Kind != "Endpoints" || owner.UID != "1" {
			t.Errorf("owner %v", owner)
		}
		slice.Name, slice.ResourceVersion = fmt.Sprint("web-", i), "7"
		slice.CreationTimestamp = metav1.Now()
	}
	tests := map[string]struct {
		change  func(*corev1.Endpoints)
		stored  func([]*discoveryv1.EndpointSlice) []*discoveryv1.EndpointSlice
		changes string
	}{
		"nothing":            {},
		"the trigger's time": {change: func(e *corev1.Endpoints) { e.Annotations[corev1.EndpointsLastChangeTriggerTime] = "then" }},
		"an address":         {change: func(e *corev1.Endpoints) { e.Subsets[0].Addresses[0].IP = "10.0.0.2" }, changes: "update web-0"},
		"a label":            {change: func(e *corev1.Endpoints) { e.Labels["team"] = "b" }, changes: "update web-0, update web-1"},
		"an annotation":      {change: func(e *corev1.Endpoints) { e.Annotations["note"] = "y" }, changes: "update web-0, update web-1"},
		"made anew":          {change: func(e *corev1.Endpoints) { e.UID = "2" }, changes: "update web-0, update web-1"},
		"no address":         {change: func(e *corev1.Endpoints) { e.Subsets = nil }, changes: "delete web-0, delete web-1"},
		"other ports":        {change: func(e *corev1.Endpoints) { e.Subsets[0].Ports[0].Port = 81 }, changes: "update web-0, update web-1"},
		"a family goes": {change: func(e *corev1.Endpoints) { e.Subsets[0].Addresses = e.Subsets[0].Addresses[:1] },
			changes: "delete web-1"},
		"a second set of ports": {change: func(e *corev1.Endpoints) {
			e.Subsets = append(e.Subsets, corev1.EndpointSubset{Addresses: addresses(at("10.0.0.2")), Ports: ports(https)})
		}, changes: "create IPv4"},
		"a slice too many": {stored: func(s []*discoveryv1.EndpointSlice) []*discoveryv1.EndpointSlice {
			twin := s[0].DeepCopy()
			twin.Name = "twin"
			return append(s, twin)
		}, changes: "delete twin"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			changed := web.DeepCopy()
			if test.change != nil {
				test.change(changed)
			}
			existing := slices.Clone(stored)
			if test.stored != nil {
				existing = test.stored(existing)
			}
			changes := mirrorOf(changed, existing)
			if got := showChanges(changes); got != test.changes {
				t.Errorf("got %q, want %q", got, test.changes)
			}
			for _, slice := range changes.Update {
				if slice.ResourceVersion != "7" {
					t.Errorf("an update has the version %q", slice.ResourceVersion)
				}
			}
		})
	}
}

func mirrorOf(endpoints *corev1.Endpoints, existing []*discoveryv1.EndpointSlice) Changes {
	return MirrorChanges(endpoints, Mirror(endpoints.Subsets, 1000, nil).Groups, existing)
}

func showChanges(changes Changes) string {
	var words []string
	for _, slice := range changes.Create {
		words = append(words, "create "+string(slice.AddressType))
	}
	for _, slice := range changes.Update {
		words = append(words, "update "+slice.Name)
	}
	for _, slice := range changes.Delete {
		words = append(words, "delete "+slice.Name)
	}
	return strings.Join(words, ", ")
}
