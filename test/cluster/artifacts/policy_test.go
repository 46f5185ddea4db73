package artifacts

import (
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/utils/ptr"
)

// TestContainers wants every container to be as the Pod Security Standard
// "restricted" has it, and stricter: no writable root, a user by number, limits.
func TestContainers(t *testing.T) {
	t.Parallel()
	for name, manifests := range whole(t) {
		found := 0
		for _, m := range manifests {
			template := podTemplate(t, m)
			if template == nil {
				continue
			}
			found++
			for _, problem := range podProblems(template.Spec) {
				t.Errorf("%s: %s: %s", name, m.ID(), problem)
			}
		}
		if found < 2 {
			t.Errorf("%s: only %d objects with Pods were found", name, found)
		}
	}
}

func podProblems(pod corev1.PodSpec) []string {
	var problems []string
	want := func(ok bool, problem string) {
		if !ok {
			problems = append(problems, problem)
		}
	}
	security := ptr.Deref(pod.SecurityContext, corev1.PodSecurityContext{})
	want(ptr.Deref(security.RunAsNonRoot, false) && ptr.Deref(security.RunAsUser, 0) == 65532 && ptr.Deref(security.RunAsGroup, 0) == 65532,
		"runs as root, or as the user of the image")
	want(security.SeccompProfile != nil && security.SeccompProfile.Type == corev1.SeccompProfileTypeRuntimeDefault, "no seccomp profile")
	want(!pod.HostNetwork && !pod.HostPID && !pod.HostIPC, "shares a namespace with its node")
	want(!ptr.Deref(pod.EnableServiceLinks, true), "has the addresses of Services in its environment")
	want(pod.ServiceAccountName != "" || !ptr.Deref(pod.AutomountServiceAccountToken, true), "has a token that it doesn't need")
	for _, volume := range pod.Volumes {
		want(volume.HostPath == nil, "mounts "+volume.Name+" of its node")
		want(volume.Secret == nil || ptr.Deref(volume.Secret.DefaultMode, 0644)&07 == 0, "everybody may read "+volume.Name)
		want(volume.EmptyDir == nil || volume.EmptyDir.SizeLimit != nil, volume.Name+" may grow without a bound")
	}
	for _, container := range slices.Concat(pod.InitContainers, pod.Containers) {
		security := ptr.Deref(container.SecurityContext, corev1.SecurityContext{})
		capabilities := ptr.Deref(security.Capabilities, corev1.Capabilities{})
		want(ptr.Deref(security.ReadOnlyRootFilesystem, false), container.Name+": the root file system can be written to")
		want(!ptr.Deref(security.AllowPrivilegeEscalation, true), container.Name+": may gain privileges")
		want(!ptr.Deref(security.Privileged, false), container.Name+": is privileged")
		want(slices.Equal(capabilities.Drop, []corev1.Capability{"ALL"}) && len(capabilities.Add) == 0, container.Name+": has capabilities")
		want(!container.Resources.Requests.Cpu().IsZero() && !container.Resources.Requests.Memory().IsZero(), container.Name+": requests nothing")
		want(!container.Resources.Limits.Memory().IsZero(), container.Name+": has no limit of memory")
		for _, port := range container.Ports {
			want(port.HostPort == 0, container.Name+": takes a port of its node")
		}
	}
	return problems
}

// TestContainersSeesProblems wants each of the problems above to be found.
func TestContainersSeesProblems(t *testing.T) {
	t.Parallel()
	good := podTemplate(t, Kustomize(t, "cluster").Get(t, "Deployment portolan/portolan")).Spec
	if problems := podProblems(good); len(problems) > 0 {
		t.Fatalf("to begin with: %q", problems)
	}
	for name, spoil := range map[string]func(*corev1.PodSpec){
		"root":         func(p *corev1.PodSpec) { p.SecurityContext.RunAsNonRoot = nil },
		"user":         func(p *corev1.PodSpec) { p.SecurityContext.RunAsUser = ptr.To[int64](0) },
		"seccomp":      func(p *corev1.PodSpec) { p.SecurityContext.SeccompProfile = nil },
		"host network": func(p *corev1.PodSpec) { p.HostNetwork = true },
		"token":        func(p *corev1.PodSpec) { p.ServiceAccountName = "" },
		"host path": func(p *corev1.PodSpec) {
			p.Volumes = append(p.Volumes, corev1.Volume{VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{}}})
		},
		"mode":         func(p *corev1.PodSpec) { p.Volumes[1].Secret.DefaultMode = nil },
		"size":         func(p *corev1.PodSpec) { p.Volumes[0].EmptyDir.SizeLimit = nil },
		"root files":   func(p *corev1.PodSpec) { p.Containers[0].SecurityContext.ReadOnlyRootFilesystem = nil },
		"escalation":   func(p *corev1.PodSpec) { p.Containers[0].SecurityContext.AllowPrivilegeEscalation = nil },
		"privileged":   func(p *corev1.PodSpec) { p.Containers[0].SecurityContext.Privileged = ptr.To(true) },
		"capabilities": func(p *corev1.PodSpec) { p.Containers[0].SecurityContext.Capabilities = nil },
		"requests":     func(p *corev1.PodSpec) { p.Containers[0].Resources.Requests = nil },
		"limits":       func(p *corev1.PodSpec) { p.Containers[0].Resources.Limits = nil },
		"host port":    func(p *corev1.PodSpec) { p.Containers[0].Ports[0].HostPort = 6443 },
		"init":         func(p *corev1.PodSpec) { p.InitContainers = []corev1.Container{{Name: "init"}} },
	} {
		pod := good.DeepCopy()
		spoil(pod)
		if len(podProblems(*pod)) == 0 {
			t.Errorf("nothing is said of %s", name)
		}
	}
}

// TestNamespace wants the namespace to enforce the standard that the Pods meet.
func TestNamespace(t *testing.T) {
	t.Parallel()
	namespace := Kustomize(t, "cluster").Get(t, "Namespace /portolan")
	for _, mode := range []string{"enforce", "audit", "warn"} {
		if got := namespace.GetLabels()["pod-security.kubernetes.io/"+mode]; got != "restricted" {
			t.Errorf("%s: %q", mode, got)
		}
	}
}

// TestPriority wants the quota to count the Pods of the class that they have, and
// more of them than an update needs.
func TestPriority(t *testing.T) {
	t.Parallel()
	all := whole(t)
	all["another class"] = Chart(t, "--set=priorityClassName=mine")
	for name, manifests := range all {
		quota := Decode(t, manifests.Get(t, "ResourceQuota portolan/portolan-critical-pods")).(*corev1.ResourceQuota)
		scope := quota.Spec.ScopeSelector.MatchExpressions[0]
		if pods := quota.Spec.Hard[corev1.ResourcePods]; len(quota.Spec.Hard) != 1 || pods.Value() < 50 ||
			scope.ScopeName != corev1.ResourceQuotaScopePriorityClass || scope.Operator != corev1.ScopeSelectorOpIn {
			t.Errorf("%s: %+v", name, quota.Spec)
		}
		for _, id := range []string{"Deployment portolan/portolan", "StatefulSet portolan/portolan-etcd"} {
			class := podTemplate(t, manifests.Get(t, id)).Spec.PriorityClassName
			if class == "" || !slices.Equal(scope.Values, []string{class}) {
				t.Errorf("%s: %s has the class %q, and the quota is for %q", name, id, class, scope.Values)
			}
		}
	}
}

// TestSelectors wants what selects Pods to select those it is for, by the name
// that they have in common.
func TestSelectors(t *testing.T) {
	t.Parallel()
	for name, manifests := range whole(t) {
		templates := map[string]*corev1.PodTemplateSpec{}
		for _, m := range manifests {
			if template := podTemplate(t, m); template != nil {
				templates[m.ID()] = template
			}
		}
		checked := 0
		for _, m := range manifests {
			selector, ok := selector(t, m)
			if !ok {
				continue
			}
			checked++
			for owner, template := range templates {
				if selects := selector.Matches(labels.Set(template.Labels)); selects != strings.HasSuffix(owner, "/"+m.GetName()) {
					t.Errorf("%s: that %s selects the Pods of %s is %v", name, m.ID(), owner, selects)
				}
			}
		}
		// Certificates are cert-manager's, or those of a Job and a CronJob with a
		// policy.
		wantTemplates, wantSelectors := 4, 9
		if name == "cluster/cert-manager" {
			wantTemplates, wantSelectors = 2, 8
		}
		if len(templates) != wantTemplates || checked != wantSelectors {
			t.Errorf("%s: %d selectors and %d kinds of Pods were found", name, checked, len(templates))
		}
	}
}

func selector(t *testing.T, m Manifest) (labels.Selector, bool) {
	t.Helper()
	if m.GroupVersionKind().Group == CertManager {
		return nil, false
	}
	var found *metav1.LabelSelector
	switch obj := Decode(t, m).(type) {
	case *corev1.Service:
		return labels.SelectorFromSet(obj.Spec.Selector), true
	case *appsv1.Deployment:
		found = obj.Spec.Selector
	case *appsv1.StatefulSet:
		found = obj.Spec.Selector
	case *policyv1.PodDisruptionBudget:
		found = obj.Spec.Selector
	case *networkingv1.NetworkPolicy:
		found = &obj.Spec.PodSelector
	default:
		return nil, false
	}
	selector, err := metav1.LabelSelectorAsSelector(found)
	if err != nil {
		t.Fatal(err)
	}
	return selector, true
}

// TestWildcards wants every right in a role to be spelled out, Secrets to be named
// where that is possible, and no right that leads to others.
func TestWildcards(t *testing.T) {
	t.Parallel()
	for name, manifests := range whole(t) {
		found := 0
		for _, m := range manifests {
			for _, rule := range rules(t, m) {
				found++
				all := slices.Concat(rule.APIGroups, rule.Resources, rule.Verbs, rule.ResourceNames, rule.NonResourceURLs)
				if strings.Contains(strings.Join(all, " "), "*") {
					t.Errorf("%s: %s: %v", name, m.ID(), rule)
				}
				if slices.Contains(rule.Resources, "secrets") && !slices.Equal(rule.Verbs, []string{"create"}) && len(rule.ResourceNames) == 0 {
					t.Errorf("%s: %s: any Secret: %v", name, m.ID(), rule)
				}
				if slices.Contains(rule.Resources, "secrets") && m.GetKind() != "Role" {
					t.Errorf("%s: %s: Secrets of every namespace", name, m.ID())
				}
				for _, verb := range []string{"escalate", "bind", "impersonate"} {
					if slices.Contains(rule.Verbs, verb) {
						t.Errorf("%s: %s: %v", name, m.ID(), rule)
					}
				}
			}
		}
		if found < 15 {
			t.Errorf("%s: only %d rules were found", name, found)
		}
	}
}
