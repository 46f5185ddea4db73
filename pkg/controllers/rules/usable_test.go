package rules

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// TestUsable gives a Pod every value that the API rejects in endpoints, one at a time.
// All other values must stay.
func TestUsable(t *testing.T) {
	ips := func(ips ...string) func(*corev1.Pod) {
		return func(pod *corev1.Pod) {
			pod.Status.PodIP, pod.Status.PodIPs = "", nil
			for i, ip := range ips {
				if i == 0 {
					pod.Status.PodIP = ip
				}
				pod.Status.PodIPs = append(pod.Status.PodIPs, corev1.PodIP{IP: ip})
			}
		}
	}
	tests := map[string]struct {
		change func(*corev1.Pod)
		// left lists the Pod's addresses, node, hostname and ports.
		left string
		errs []string
	}{
		"all is well":         {func(*corev1.Pod) {}, "10.0.0.1 2001:db8::1 node host 80", nil},
		"irregular spellings": {ips("010.0.0.1", "::ffff:10.0.0.2"), "010.0.0.1 ::ffff:10.0.0.2 node host 80", nil},
		"a listed loopback":   {ips("127.0.0.1"), "127.0.0.1 node host 80", nil},
		"link-local":          {ips("169.254.0.1", "2001:db8::1"), "2001:db8::1 node host 80", []string{"status.podIPs[0].ip: "}},
		"loopback":            {ips("10.0.0.1", "::1"), "10.0.0.1 node host 80", []string{"status.podIPs[1].ip: "}},
		"mapped link-local":   {ips("::ffff:169.254.0.1"), " node host 80", []string{"status.podIPs[0].ip: "}},
		"unspecified":         {ips("0.0.0.0"), " node host 80", []string{"status.podIPs[0].ip: "}},
		"multicast":           {ips("224.0.0.1"), " node host 80", []string{"status.podIPs[0].ip: "}},
		"not an address":      {ips("here"), " node host 80", []string{"status.podIPs[0].ip: "}},
		"both":                {ips("127.0.0.2", "fe80::1"), " node host 80", []string{"status.podIPs[0].ip: ", "status.podIPs[1].ip: "}},
		"podIP alone": {
			func(p *corev1.Pod) { p.Status.PodIP, p.Status.PodIPs = "127.0.0.2", nil }, " node host 80", []string{"status.podIP: "},
		},
		"a node's name": {func(p *corev1.Pod) { p.Spec.NodeName = "A b" }, "10.0.0.1 2001:db8::1  host 80", []string{"spec.nodeName: "}},
		"a hostname":    {func(p *corev1.Pod) { p.Spec.Hostname = "a.b" }, "10.0.0.1 2001:db8::1 node  80", []string{"spec.hostname: "}},
		"ports": {func(p *corev1.Pod) {
			p.Spec.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: 0}, {ContainerPort: 80}, {ContainerPort: 65536}}
		}, "10.0.0.1 2001:db8::1 node host 80", []string{"spec.containers[0].ports[0].containerPort: ",
			"spec.containers[0].ports[2].containerPort: "}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			pod := newPod("a", true, func(p *corev1.Pod) {
				p.Spec.Hostname = "host"
				p.Spec.Containers = []corev1.Container{{Ports: []corev1.ContainerPort{{ContainerPort: 80}}}}
			}, "10.0.0.1", "2001:db8::1")
			test.change(pod)
			before := pod.DeepCopy()
			usable, errs := Usable(pod, []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")})
			if got := showPod(usable); got != test.left {
				t.Errorf("got %q, want %q", got, test.left)
			}
			if (usable == pod) != (len(test.errs) == 0) || !ignoringVersions.DeepEqual(before, pod) {
				t.Error("the Pod was changed, or copied without need")
			}
			if !slices.EqualFunc(errs, test.errs, func(err *field.Error, start string) bool { return strings.HasPrefix(err.Error(), start) }) {
				t.Errorf("the errors are %v, want %q", errs, test.errs)
			}
			if first := append(usable.Status.PodIPs, corev1.PodIP{})[0].IP; first != usable.Status.PodIP {
				t.Errorf("podIP is %q, the first of podIPs %q", usable.Status.PodIP, first)
			}
		})
	}
}

func showPod(pod *corev1.Pod) string {
	var ips, ports []string
	for _, ip := range pod.Status.PodIPs {
		ips = append(ips, ip.IP)
	}
	for _, container := range pod.Spec.Containers {
		for _, port := range container.Ports {
			ports = append(ports, strconv.Itoa(int(port.ContainerPort)))
		}
	}
	return strings.Join([]string{strings.Join(ips, " "), pod.Spec.NodeName, pod.Spec.Hostname, strings.Join(ports, " ")}, " ")
}
