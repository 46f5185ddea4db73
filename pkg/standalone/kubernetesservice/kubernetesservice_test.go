package kubernetesservice

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/record"
)

// TestParse parses the keys of servers on one port and on several, and of servers of
// earlier releases, whose keys have no port.
func TestParse(t *testing.T) {
	for name, test := range map[string]struct {
		keys []string
		want string
	}{
		"none":                       {nil, "[]"},
		"one":                        {[]string{"192.0.2.1", "192.0.2.1:6443"}, "[192.0.2.1:6443]"},
		"of an earlier release":      {[]string{"192.0.2.2", "192.0.2.1", "192.0.2.1:6444"}, "[192.0.2.2:6443 192.0.2.1:6444]"},
		"two ports of one address":   {[]string{"192.0.2.1", "192.0.2.1:6444", "192.0.2.1:6443"}, "[192.0.2.1:6443 192.0.2.1:6444]"},
		"both families":              {[]string{"[2001:db8::1]:6443", "2001:db8::1", "192.0.2.1:6443"}, "[192.0.2.1:6443 [2001:db8::1]:6443]"},
		"as text, like before":       {[]string{"192.0.2.9:6443", "192.0.2.10:6443"}, "[192.0.2.10:6443 192.0.2.9:6443]"},
		"something else's":           {[]string{"here", "192.0.2.1:6443"}, "[192.0.2.1:6443]"},
		"an address and no port yet": {[]string{"192.0.2.1"}, "[192.0.2.1:6443]"},
	} {
		if got := fmt.Sprint(parse(test.keys, 6443)); got != test.want {
			t.Errorf("%s: got %s, want %s", name, got, test.want)
		}
	}
}

// TestSlicesOfServers expects a slice and a subset for each port.
func TestSlicesOfServers(t *testing.T) {
	servers := parse([]string{"192.0.2.1:6443", "192.0.2.2:6443", "192.0.2.1:7443"}, 6443)
	var texts []string
	for _, slice := range slicesOf(servers, discoveryv1.AddressTypeIPv4) {
		text := fmt.Sprintf("%s %d", slice.Name, *slice.Ports[0].Port)
		for _, endpoint := range slice.Endpoints {
			text += " " + endpoint.Addresses[0]
		}
		texts = append(texts, text)
	}
	want := "kubernetes 6443 192.0.2.1 192.0.2.2, kubernetes-7443 7443 192.0.2.1"
	if got := strings.Join(texts, ", "); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if len(subsetsOf(servers)) != 2 || len(ofFamily(servers, false)) != 0 || len(ofFamily([]netip.AddrPort{}, true)) != 0 {
		t.Error("subsets or families are wrong")
	}
}

// TestFailuresAreRecordedOnce expects one event for a repeated failure, and growing
// delays.
func TestFailuresAreRecordedOnce(t *testing.T) {
	recorder := record.NewFakeRecorder(10)
	f := failures{recorder: recorder}
	full := errors.New("no address")
	var waits []time.Duration
	for range 8 {
		waits = append(waits, f.next(context.Background(), full))
	}
	if got := fmt.Sprint(waits); got != "[1s 2s 4s 8s 16s 32s 1m0s 1m0s]" {
		t.Errorf("the waits are %s", got)
	}
	if got := f.next(context.Background(), nil); got != period {
		t.Errorf("after a success it waits for %v", got)
	}
	conflict := markConflict(apierrors.NewConflict(schema.GroupResource{Resource: "endpoints"}, name, errors.New("changed")))
	for range 3 {
		if got := f.next(context.Background(), conflict); got != firstRetry {
			t.Errorf("after a conflict it waits for %v", got)
		}
	}
	close(recorder.Events)
	var events []string
	for event := range recorder.Events {
		events = append(events, event)
	}
	if len(events) != 1 || events[0] != "Warning ServiceNotKept no address" {
		t.Errorf("the events are %q", events)
	}
}
