package serviceproxy

import (
	"fmt"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

func TestParseTarget(t *testing.T) {
	for id, want := range map[string]target{
		"px":           {"http", "px", ""},
		"px:":          {"http", "px", ""},
		"px:web":       {"http", "px", "web"},
		"px:80":        {"http", "px", "80"},
		"http:px:web":  {"http", "px", "web"},
		"https:px:443": {"https", "px", "443"},
		"https:px:":    {"https", "px", ""},
		":px:web":      {"http", "px", "web"},
	} {
		if got, err := parseTarget(id); err != nil || got != want {
			t.Errorf("%q: %+v, error %v", id, got, err)
		}
	}
	for _, id := range []string{"", ":", ":80", "ftp:px:80", "HTTP:px:80", "https::443", "http:px:80:90"} {
		_, err := parseTarget(id)
		if !apierrors.IsBadRequest(err) || err.Error() != fmt.Sprintf("invalid service request %q", id) {
			t.Errorf("%q: %v", id, err)
		}
	}
}

func TestPortName(t *testing.T) {
	ports := []corev1.ServicePort{{Name: "web", Port: 80}, {Name: "dns", Port: 53, Protocol: "UDP"}, {Name: "dns-tcp", Port: 53}}
	for number, want := range map[int64]string{80: "web", 53: "dns"} {
		if got, err := portName("px", ports, number); err != nil || got != want {
			t.Errorf("%d: %q, error %v", number, got, err)
		}
	}
	for _, number := range []int64{81, 0, -80, 1<<32 + 80} {
		_, err := portName("px", ports, number)
		if !apierrors.IsServiceUnavailable(err) || err.Error() != fmt.Sprintf(`no service port %d found for service "px"`, number) {
			t.Errorf("%d: %v", number, err)
		}
	}
}

func addresses(ips ...string) (all []corev1.EndpointAddress) {
	for _, ip := range ips {
		all = append(all, corev1.EndpointAddress{IP: ip})
	}
	return all
}

func TestCandidates(t *testing.T) {
	subsets := []corev1.EndpointSubset{
		{Addresses: addresses("a", "b", "c"), Ports: []corev1.EndpointPort{{Name: "web", Port: 8080}, {Name: "tls", Port: 8443}}},
		{NotReadyAddresses: addresses("waiting"), Ports: []corev1.EndpointPort{{Name: "web", Port: 8080}}},
		{Addresses: addresses("d"), Ports: []corev1.EndpointPort{{Name: "web", Port: 9090}, {Name: "huge", Port: 65536 + 80},
			{Name: "none", Port: 0}}},
		{Addresses: addresses("e"), Ports: []corev1.EndpointPort{{Port: 7070}}},
		{Addresses: addresses("f")},
	}
	for _, test := range []struct {
		what, port string
		random     func(int) int
		want       []string
	}{
		{"from the first on", "web", func(int) int { return 0 }, []string{"a:8080", "b:8080", "c:8080", "d:9090"}},
		{"from the last on", "web", func(n int) int { return n - 1 }, []string{"c:8080", "a:8080", "b:8080", "d:9090"}},
		{"from the middle on", "web", func(n int) int { return n / 2 }, []string{"d:9090", "b:8080", "c:8080", "a:8080"}},
		{"of one subset", "tls", func(int) int { return 0 }, []string{"a:8443", "b:8443", "c:8443"}},
		{"of the port without a name", "", func(int) int { return 0 }, []string{"e:7070"}},
		{"of a port that isn't there", "metrics", func(int) int { return 0 }, nil},
		{"of a port that can't be", "huge", func(int) int { return 0 }, nil},
		{"of no port", "none", func(int) int { return 0 }, nil},
	} {
		var got []string
		for address, port := range candidates(subsets, test.port, test.random) {
			got = append(got, fmt.Sprintf("%s:%d", address.IP, port))
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v", test.what, got, test.want)
		}
	}
	for range candidates(subsets, "web", func(int) int { return 0 }) {
		break // the iterator must allow an early exit
	}
	for range candidates(nil, "web", func(int) int { t.Error("asked for one of none"); return 0 }) {
		t.Error("a candidate of nothing")
	}
}
