package artifacts

import (
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/diff"
)

// certManager has helm see a cluster with cert-manager.
const certManager = "--api-versions=cert-manager.io/v1"

// ownEtcd are the values for an etcd of the user's, as in examples/cluster-own-etcd.
var ownEtcd = []string{
	"--set=etcd.enabled=false",
	`--set=etcd.servers={https://etcd-0.internal.example:2379,https://etcd-1.internal.example:2379,https://etcd-2.internal.example:2379}`,
	"--set=serviceClusterIPRange=10.112.0.0/16",
	"--set=image.repository=registry.internal.example/platform/portolan",
}

// gateway are the values for a gateway, as in examples/cluster-gateway.
var gateway = []string{
	"--set=gateway.enabled=true", "--set=gateway.frontProxySecret=portolan-front-proxy", "--set=gateway.mirror=true",
	"--set=writeBack.enabled=true",
}

// trusted are the values for a gateway that Pods trust.
var trusted = append([]string{"--set=gateway.kubernetesServingSecret=portolan-kubernetes-serving"}, gateway...)

func TestChartLint(t *testing.T) {
	t.Parallel()
	for _, values := range [][]string{nil, ownEtcd, gateway, trusted, {"--set=certificates=cert-manager"}} {
		args := []string{"lint", "--strict", "--namespace=portolan", filepath.Join(sources(t), "charts", "portolan")}
		program(t, "helm", append(args, values...)...)
	}
}

// TestChart wants the chart to install what the kustomizations do, but for
// Helm's labels, and the namespace, which Helm needs before it installs.
func TestChart(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, entry string
		values      []string
	}{
		{"defaults", "cluster", nil},
		{"portolan where cert-manager is", "cluster", []string{certManager, "--set=certificates=portolan"}},
		{"cert-manager found", "cluster/cert-manager", []string{certManager}},
		{"cert-manager by name", "cluster/cert-manager", []string{"--set=certificates=cert-manager"}},
		{"gateway", "examples/cluster-gateway", gateway},
		{"own etcd", "examples/cluster-own-etcd", ownEtcd},
		{"example", "examples/cluster", []string{
			`--set=serviceClusterIPRange=10.112.0.0/16\,fd00:10:112::/112`, `--set=serviceNodePortRange=443\,28000-29999`,
			"--set=image.repository=registry.internal.example/platform/portolan"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			chart, kustomization := Chart(t, tt.values...), Kustomize(t, tt.entry)
			want := map[string]Manifest{}
			for _, m := range kustomization {
				if m.GetKind() != "Namespace" {
					want[m.ID()] = m
				}
			}
			for _, m := range chart {
				if m.GroupVersionKind().Group != CertManager {
					Decode(t, m)
				}
				other, there := want[m.ID()]
				if !there {
					t.Errorf("%s is in the chart only", m.ID())
					continue
				}
				delete(want, m.ID())
				removeHelmLabels(t, m)
				if !reflect.DeepEqual(m.Object, other.Object) {
					t.Errorf("%s differs (- chart, + kustomization):\n%s", m.ID(), diff.Diff(m.Object, other.Object))
				}
			}
			for id := range want {
				t.Errorf("%s is not in the chart", id)
			}
		})
	}
}

func removeHelmLabels(t *testing.T, m Manifest) {
	t.Helper()
	labels := m.GetLabels()
	if labels["app.kubernetes.io/managed-by"] != "Helm" || !strings.HasPrefix(labels["helm.sh/chart"], "portolan-") {
		t.Errorf("%s doesn't say that it is Helm's: %v", m.ID(), labels)
	}
	delete(labels, "app.kubernetes.io/managed-by")
	delete(labels, "helm.sh/chart")
	if len(labels) == 0 {
		labels = nil
	}
	m.SetLabels(labels)
}

// TestChartValues wants every value that isn't in a kustomization to have an
// effect.
func TestChartValues(t *testing.T) {
	t.Parallel()
	digest := "sha256:" + strings.Repeat("0123456789abcdef", 4)
	manifests := Chart(t, "--set=replicas=5", "--set=image.digest="+digest, "--set=image.pullPolicy=Always", "--set=image.pullSecrets={mine}",
		"--set=resources.limits.memory=4Gi", "--set=goMemoryLimit=3600MiB", "--set=priorityClassName=", "--set=nodeSelector.a=b",
		"--set=tolerations[0].key=t", "--set=extraArgs={--audit-log-path=-,--v=4}", "--set=extraVolumes[0].name=policy",
		"--set=extraVolumes[0].configMap.name=policy", "--set=extraVolumeMounts[0].name=policy", "--set=extraVolumeMounts[0].mountPath=/policy",
		"--set=networkPolicy.enabled=false", "--set=etcd.image.digest="+digest, "--set=etcd.storage.size=50Gi",
		"--set=etcd.storage.className=fast",
		"--set=etcd.nodeSelector.c=d", "--set=etcd.tolerations[0].key=u", "--set=etcd.resources.limits.memory=8Gi")
	for _, m := range manifests {
		// Without a class there is nothing for a quota to count.
		if m.GetKind() == "NetworkPolicy" || m.GetKind() == "ResourceQuota" {
			t.Errorf("%s is there", m.ID())
		}
	}
	deployment := Decode(t, manifests.Get(t, "Deployment portolan/portolan")).(*appsv1.Deployment)
	pod := deployment.Spec.Template.Spec
	container := pod.Containers[0]
	args := manifests.ServeArgs(t)
	volumes, mounts := pod.Volumes, container.VolumeMounts
	for what, ok := range map[string]bool{
		"replicas":      *deployment.Spec.Replicas == 5,
		"digest":        container.Image == "registry.example/portolan@"+digest,
		"pull policy":   container.ImagePullPolicy == "Always",
		"pull secrets":  len(pod.ImagePullSecrets) == 1 && pod.ImagePullSecrets[0].Name == "mine",
		"memory":        container.Resources.Limits.Memory().String() == "4Gi" && container.Resources.Requests.Memory().String() == "512Mi",
		"memory of Go":  slices.ContainsFunc(container.Env, func(v corev1.EnvVar) bool { return v.Name == "GOMEMLIMIT" && v.Value == "3600MiB" }),
		"priority":      pod.PriorityClassName == "",
		"node selector": pod.NodeSelector["a"] == "b",
		"tolerations":   len(pod.Tolerations) == 1 && pod.Tolerations[0].Key == "t",
		"arguments":     slices.Equal(args[len(args)-2:], []string{"--audit-log-path=-", "--v=4"}),
		"volumes":       volumes[len(volumes)-1].ConfigMap.Name == "policy" && mounts[len(mounts)-1].MountPath == "/policy",
	} {
		if !ok {
			t.Errorf("the value for %s has no effect", what)
		}
	}
	etcd := Decode(t, manifests.Get(t, "StatefulSet portolan/portolan-etcd")).(*appsv1.StatefulSet)
	member, claim := etcd.Spec.Template.Spec, etcd.Spec.VolumeClaimTemplates[0].Spec
	for what, ok := range map[string]bool{
		"digest":        member.Containers[0].Image == "quay.io/coreos/etcd@"+digest,
		"size":          claim.Resources.Requests.Storage().String() == "50Gi",
		"class":         claim.StorageClassName != nil && *claim.StorageClassName == "fast",
		"node selector": member.NodeSelector["c"] == "d",
		"tolerations":   len(member.Tolerations) == 1 && member.Tolerations[0].Key == "u",
		"memory":        member.Containers[0].Resources.Limits.Memory().String() == "8Gi",
	} {
		if !ok {
			t.Errorf("the value for etcd's %s has no effect", what)
		}
	}
}

// TestChartRefuses wants values that can't be meant to be refused by name.
func TestChartRefuses(t *testing.T) {
	t.Parallel()
	for value, complaint := range map[string]string{
		"--set=replicaCount=3":                    "replicaCount",
		"--set=replicas=1":                        "replicas",
		"--set=certificates=letsencrypt":          "certificates",
		"--set=serviceClusterIPRange=10.0.0.0":    "serviceClusterIPRange",
		"--set=serviceClusterIPRange=":            "serviceClusterIPRange",
		"--set=serviceNodePortRange=a-b":          "serviceNodePortRange",
		"--set=goMemoryLimit=2Gi":                 "goMemoryLimit",
		"--set=image.repository=portolan":         "repository",
		"--set=image.digest=sha256:12":            "digest",
		"--set=image.pullPolicy=Sometimes":        "pullPolicy",
		"--set=extraArgs={-v}":                    "extraArgs",
		"--set=etcd.enabled=false":                "servers",
		"--set=etcd.servers={https://etcd:2379}":  "servers",
		"--set=etcd.storage.size=20":              "size",
		"--set=etcd.replicas=5":                   "replicas",
		"--set=resources.limit.memory=1Gi":        "limit",
		"--namespace=default":                     "the namespace is portolan",
		"--set=networkPolicy.enabled=sometimes":   "networkPolicy",
		"--set=gateway.enabled=sometimes":         "gateway",
		"--set=gateway.servingSecret=mine":        "servingSecret",
		"--set=gateway.frontProxy=mine":           "frontProxy",
		"--set=tolerations.key=value":             "tolerations",
		"--set=etcd.image.repository=etcd:v3.7.3": "repository",
	} {
		args := []string{"template", "portolan", filepath.Join(sources(t), "charts", "portolan"), "--namespace=portolan", value}
		if _, err := run(t, "helm", args...); err == nil || !strings.Contains(err.Error(), complaint) {
			t.Errorf("%s: %v", value, err)
		}
	}
	args := append([]string{"template", "portolan", filepath.Join(sources(t), "charts", "portolan"), "--namespace=portolan"},
		"--set=etcd.enabled=false", "--set=etcd.servers={http://etcd:2379}")
	if _, err := run(t, "helm", args...); err == nil || !strings.Contains(err.Error(), "servers") {
		t.Errorf("an etcd without TLS: %v", err)
	}
}
