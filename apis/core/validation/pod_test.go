package validation

import (
	"os"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"
)

// newPod returns a valid Pod with all defaults that validation wants.
func newPod(changes ...func(*corev1.Pod)) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "default", ResourceVersion: "1"},
		Spec: corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyAlways, DNSPolicy: corev1.DNSClusterFirst, TerminationGracePeriodSeconds: ptr.To[int64](30),
			Containers: []corev1.Container{newContainer("c")},
		},
	}
	for _, change := range changes {
		change(pod)
	}
	return pod
}

func newContainer(name string, ports ...corev1.ContainerPort) corev1.Container {
	return corev1.Container{
		Name: name, Image: "i", ImagePullPolicy: corev1.PullAlways, TerminationMessagePolicy: corev1.TerminationMessageReadFile, Ports: ports,
	}
}

// TestValidatePod checks one example of each subject. test/differential/replay compares
// hundreds with kube-apiserver.
func TestValidatePod(t *testing.T) {
	t.Parallel()
	tcp := func(port, host int32) corev1.ContainerPort {
		return corev1.ContainerPort{ContainerPort: port, HostPort: host, Protocol: corev1.ProtocolTCP}
	}
	for name, test := range map[string]struct {
		change func(*corev1.Pod)
		want   []string
	}{
		"valid": {func(*corev1.Pod) {}, nil},
		"a name of two containers": {func(pod *corev1.Pod) {
			pod.Spec.Containers = append(pod.Spec.Containers, newContainer("c"))
			pod.Spec.InitContainers = []corev1.Container{newContainer("c")}
		}, []string{`spec.containers[1].name: Duplicate value: "c"`, `spec.initContainers[0].name: Duplicate value: "c"`}},
		"a port of the node twice": {func(pod *corev1.Pod) {
			pod.Spec.Containers = []corev1.Container{newContainer("c", tcp(80, 80)), newContainer("d", tcp(81, 80))}
		}, []string{`spec.containers[1].ports[0].hostPort: Duplicate value: "TCP//80"`}},
		"another port in the node's network": {func(pod *corev1.Pod) {
			pod.Spec.HostNetwork = true
			pod.Spec.Containers = []corev1.Container{newContainer("c", tcp(80, 81))}
			pod.Spec.InitContainers = []corev1.Container{newContainer("i", tcp(80, 81))}
		}, []string{"spec.containers[0].ports[0].hostPort: Invalid value: 81: must match `containerPort` when `hostNetwork` is true"}},
		"a volume twice": {func(pod *corev1.Pod) {
			pod.Spec.Volumes = []corev1.Volume{{Name: "v"}, {Name: "v"}}
		}, []string{`spec.volumes[1].name: Duplicate value: "v"`}},
		"a mount of no volume": {func(pod *corev1.Pod) {
			pod.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "nope", MountPath: "/x"}}
		}, []string{`spec.containers[0].volumeMounts[0].name: Not found: "nope"`}},
		"a deadline that has passed": {func(pod *corev1.Pod) { pod.Spec.ActiveDeadlineSeconds = ptr.To[int64](0) },
			[]string{"spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive"}},
		"ephemeral containers": {func(pod *corev1.Pod) { pod.Spec.EphemeralContainers = []corev1.EphemeralContainer{{}} },
			[]string{"spec.ephemeralContainers: Forbidden: cannot be set on create"}},
		"no server of names": {func(pod *corev1.Pod) { pod.Spec.DNSPolicy = corev1.DNSNone },
			[]string{"spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None"}},
		"a gate without a name": {func(pod *corev1.Pod) { pod.Spec.ReadinessGates = []corev1.PodReadinessGate{{}} },
			[]string{`spec.readinessGates[0].conditionType: Invalid value: "": name part must be non-empty`,
				`spec.readinessGates[0].conditionType: Invalid value: "": name part must consist of alphanumeric characters`}},
	} {
		expectPrefixes(t, name, ValidatePod(newPod(test.change)), test.want)
	}
}

// TestStoredPod checks that a Pod that an older release stored can be changed, except for
// its specification.
func TestStoredPod(t *testing.T) {
	t.Parallel()
	invalid := func(pod *corev1.Pod) { pod.Spec.Volumes = []corev1.Volume{{Name: "v"}, {Name: "v"}} }
	old, labeled := newPod(invalid), newPod(invalid, func(pod *corev1.Pod) { pod.Labels = map[string]string{"a": "b"} })
	expectPrefixes(t, "another label", ValidatePodUpdate(labeled, old), nil)
	labeled.Spec.Containers[0].Image = "other"
	expectPrefixes(t, "another image", ValidatePodUpdate(labeled, old), []string{`spec.volumes[1].name: Duplicate value: "v"`})
}

// expectPrefixes wants errors that begin with the given texts.
func expectPrefixes(t *testing.T, what string, got field.ErrorList, want []string) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: got %v, want %q", what, got, want)
		return
	}
	for i := range want {
		if !strings.HasPrefix(got[i].Error(), want[i]) {
			t.Errorf("%s: got %v, want %s", what, got[i], want[i])
		}
	}
}

// TestUncheckedFields checks that the page about differences lists the fields.
func TestUncheckedFields(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../../artifacts/docs/compatibility.md")
	if err != nil {
		t.Fatal(err)
	}
	c := newContainer("c")
	c.Env = []corev1.EnvVar{{Name: "A", ValueFrom: &corev1.EnvVarSource{}}}
	c.EnvFrom = []corev1.EnvFromSource{{}}
	c.Lifecycle = &corev1.Lifecycle{StopSignal: ptr.To(corev1.SIGTERM)}
	c.ResizePolicy, c.RestartPolicyRules = []corev1.ContainerResizePolicy{{}}, []corev1.ContainerRestartRule{{}}
	c.Resources.Claims = []corev1.ResourceClaim{{}}
	c.SecurityContext = &corev1.SecurityContext{Privileged: ptr.To(true)}
	c.VolumeDevices = []corev1.VolumeDevice{{}}
	names := UncheckedFields(&corev1.PodSpec{
		Containers: []corev1.Container{c}, Affinity: &corev1.Affinity{}, ResourceClaims: []corev1.PodResourceClaim{{}},
		Resources: &corev1.ResourceRequirements{Limits: corev1.ResourceList{}}, SchedulingGroup: &corev1.PodSchedulingGroup{},
		SecurityContext:           &corev1.PodSecurityContext{RunAsNonRoot: ptr.To(true)},
		TopologySpreadConstraints: []corev1.TopologySpreadConstraint{{}}, Volumes: []corev1.Volume{{}},
	})
	if want := 15; len(names) != want {
		t.Errorf("%d fields of %d: %q", len(names), want, names)
	}
	for _, name := range names {
		if !strings.Contains(string(page), "`"+name+"`") {
			t.Errorf("the page does not list %s", name)
		}
	}
	if names := UncheckedFields(&newPod().Spec); len(names) > 0 {
		t.Errorf("a plain Pod uses %q", names)
	}
}

// TestPodWarnings checks the warnings about ports, and that there are not too many.
func TestPodWarnings(t *testing.T) {
	t.Parallel()
	port := corev1.ContainerPort{Name: "web", ContainerPort: 80, Protocol: corev1.ProtocolTCP}
	pod := newPod(func(pod *corev1.Pod) {
		pod.Spec.Containers = []corev1.Container{newContainer("c", port), newContainer("d", port)}
		pod.Spec.Affinity = &corev1.Affinity{}
	})
	want := []string{
		"spec.containers[1].ports[0]: duplicate port definition with spec.containers[0].ports[0]",
		`spec.containers[1].ports[0]: duplicate port name "web" with spec.containers[0].ports[0], services and probes that select ports by name will use spec.containers[0].ports[0]`,
		"stored without validation, because this server runs no Pods: affinity",
	}
	if got := PodWarnings(pod); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got %q, want %q", got, want)
	}
	many := make([]corev1.ContainerPort, 100_000)
	for i := range many {
		many[i] = port
	}
	pod.Spec.Containers[0].Ports = many
	if got := PodWarnings(pod); len(got) != maxWarnings+1 {
		t.Errorf("%d warnings", len(got))
	}
}
