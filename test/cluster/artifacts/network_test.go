package artifacts

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
)

// outside is a peer without labels that a policy of the namespace could name:
// kube-apiserver, DNS, nodes, Pods of other namespaces.
const outside = "outside"

// network are the Pods of the namespace by what makes them, and the policies.
type network struct {
	t        *testing.T
	pods     map[string]*corev1.PodTemplateSpec
	policies []*networkingv1.NetworkPolicy
}

func newNetwork(t *testing.T, manifests Manifests) network {
	t.Helper()
	n := network{t: t, pods: map[string]*corev1.PodTemplateSpec{}}
	for _, m := range manifests {
		if template := podTemplate(t, m); template != nil {
			n.pods[m.ID()] = template
		}
		if m.GetKind() == "NetworkPolicy" {
			n.policies = append(n.policies, Decode(t, m).(*networkingv1.NetworkPolicy))
		}
	}
	return n
}

// allows is what a network makes of the policies (NetworkPolicySpec in
// k8s.io/api/networking/v1): a Pod that policies select for a direction may do there what one of them lists; a
// Pod that none selects may do everything.
func (n network) allows(from, to string, port int32, protocol corev1.Protocol) bool {
	return n.passes(networkingv1.PolicyTypeEgress, from, to, to, port, protocol) &&
		n.passes(networkingv1.PolicyTypeIngress, to, from, to, port, protocol)
}

// passes is whether the policies of one end let pass what goes to or comes from
// the other. The port is the target's.
func (n network) passes(direction networkingv1.PolicyType, end, other, target string, port int32, protocol corev1.Protocol) bool {
	pod := n.pods[end]
	if end == outside {
		return true
	}
	selected := false
	for _, policy := range n.policies {
		if !n.selects(&policy.Spec.PodSelector, pod) || !slices.Contains(policy.Spec.PolicyTypes, direction) {
			continue
		}
		selected = true
		if direction == networkingv1.PolicyTypeIngress {
			for _, rule := range policy.Spec.Ingress {
				if n.lists(rule.From, other) && n.hasPort(rule.Ports, target, port, protocol) {
					return true
				}
			}
			continue
		}
		for _, rule := range policy.Spec.Egress {
			if n.lists(rule.To, other) && n.hasPort(rule.Ports, target, port, protocol) {
				return true
			}
		}
	}
	return !selected
}

func (n network) lists(peers []networkingv1.NetworkPolicyPeer, other string) bool {
	return len(peers) == 0 || slices.ContainsFunc(peers, func(peer networkingv1.NetworkPolicyPeer) bool {
		if peer.PodSelector == nil || peer.NamespaceSelector != nil || peer.IPBlock != nil {
			n.t.Fatalf("this test knows nothing of %+v", peer)
		}
		return other != outside && n.selects(peer.PodSelector, n.pods[other])
	})
}

func (n network) selects(selector *metav1.LabelSelector, pod *corev1.PodTemplateSpec) bool {
	parsed, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		n.t.Fatal(err)
	}
	return parsed.Matches(labels.Set(pod.Labels))
}

func (n network) hasPort(ports []networkingv1.NetworkPolicyPort, target string, port int32, protocol corev1.Protocol) bool {
	return len(ports) == 0 || slices.ContainsFunc(ports, func(p networkingv1.NetworkPolicyPort) bool {
		if ptr.Deref(p.Protocol, corev1.ProtocolTCP) != protocol {
			return false
		}
		if p.Port == nil || p.Port.Type == intstr.Int {
			return p.Port == nil || p.Port.IntVal == port
		}
		return target != outside && slices.ContainsFunc(n.pods[target].Spec.Containers[0].Ports, func(named corev1.ContainerPort) bool {
			return named.Name == p.Port.StrVal && named.ContainerPort == port
		})
	})
}

// TestNetwork wants the NetworkPolicies to let through what is needed, also where
// a policy of the user's denies the namespace all, and to keep etcd to itself.
func TestNetwork(t *testing.T) {
	t.Parallel()
	const (
		server, etcd = "Deployment portolan/portolan", "StatefulSet portolan/portolan-etcd"
		job, cronJob = "Job portolan/portolan-certificates", "CronJob portolan/portolan-certificates"
		verify       = "Job portolan/portolan-verify"
		tcp, udp     = corev1.ProtocolTCP, corev1.ProtocolUDP
	)
	manifests := append(Kustomize(t, "cluster"), parse(t, example(t, "verify-job.yaml"))...)
	lax := newNetwork(t, manifests)
	strict := newNetwork(t, manifests)
	strict.policies = append(strict.policies, &networkingv1.NetworkPolicy{
		Spec: networkingv1.NetworkPolicySpec{
			PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress},
		},
	})
	for _, c := range []struct {
		from, to string
		port     int32
		protocol corev1.Protocol
		want     bool
	}{
		// kube-apiserver and the aggregation layer, and back.
		{outside, server, 6443, tcp, true},
		{outside, server, 6444, tcp, false},
		{server, outside, 443, tcp, true},
		{server, outside, 53, udp, true},
		// Through services/proxy, and webhooks.
		{server, outside, 8080, tcp, true},
		// Replicas don't talk to each other, but a Service leads any to any.
		{server, server, 6443, tcp, true},
		{server, etcd, 2379, tcp, true},
		{server, etcd, 2380, tcp, false},
		{server, etcd, 2381, tcp, false},
		// Members, and etcdctl --cluster on one of them.
		{etcd, etcd, 2379, tcp, true},
		{etcd, etcd, 2380, tcp, true},
		{etcd, outside, 53, udp, true},
		{etcd, outside, 53, tcp, true},
		{etcd, outside, 443, tcp, false},
		{etcd, server, 6443, tcp, false},
		{outside, etcd, 2379, tcp, false},
		{outside, etcd, 2380, tcp, false},
		{outside, etcd, 2381, tcp, false},
		// They ask kube-apiserver for Secrets.
		{job, outside, 443, tcp, true},
		{job, outside, 6443, tcp, true},
		{job, outside, 53, udp, true},
		{cronJob, outside, 443, tcp, true},
		{job, etcd, 2379, tcp, false},
		{outside, job, 8080, tcp, false},
		{verify, etcd, 2379, tcp, true},
		{verify, etcd, 2380, tcp, false},
	} {
		if got := lax.allows(c.from, c.to, c.port, c.protocol); got != c.want {
			t.Errorf("that %s reaches %s at %d/%s is %v", c.from, c.to, c.port, c.protocol, got)
		}
		// The example of a Job has no policy of its own.
		if got := strict.allows(c.from, c.to, c.port, c.protocol); got != c.want && c.from != verify {
			t.Errorf("in a namespace that denies by default, that %s reaches %s at %d/%s is %v", c.from, c.to, c.port, c.protocol, got)
		}
	}
}
