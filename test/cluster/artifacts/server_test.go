package artifacts

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/portolan-dev/portolan/test/framework"
)

// server is what the Deployment runs.
type server struct {
	deployment *appsv1.Deployment
	pod        corev1.PodSpec
	container  corev1.Container
	args       []string
}

func serverOf(t *testing.T, manifests Manifests) server {
	t.Helper()
	deployment := Decode(t, manifests.Get(t, "Deployment portolan/portolan")).(*appsv1.Deployment)
	pod := deployment.Spec.Template.Spec
	return server{deployment, pod, pod.Containers[0], manifests.ServeArgs(t)}
}

// TestRollingUpdate wants an update to take away no replica before another is
// there, and no rule on where it goes to be in its way.
func TestRollingUpdate(t *testing.T) {
	t.Parallel()
	s := serverOf(t, Kustomize(t, "cluster"))
	update := s.deployment.Spec.Strategy.RollingUpdate
	if update.MaxUnavailable.IntValue() != 0 || update.MaxSurge.IntValue() != 1 || *s.deployment.Spec.Replicas < 2 {
		t.Errorf("%d replicas are updated with %+v", *s.deployment.Spec.Replicas, update)
	}
	if required := s.pod.Affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution; len(required) > 0 {
		t.Errorf("with as many nodes as replicas an update never ends: %+v", required)
	}
	for _, spread := range s.pod.TopologySpreadConstraints {
		if !slices.Contains(spread.MatchLabelKeys, "pod-template-hash") {
			t.Errorf("the replicas of one version are in the way of those of another: %+v", spread)
		}
	}
}

// TestMemory wants Go's collector to know of a limit below that of the container.
func TestMemory(t *testing.T) {
	t.Parallel()
	s := serverOf(t, Kustomize(t, "cluster"))
	limit := s.container.Resources.Limits.Memory().Value()
	for _, env := range s.container.Env {
		if env.Name == "GOMEMLIMIT" {
			var mebibytes int64
			if _, err := fmt.Sscanf(env.Value, "%dMiB", &mebibytes); err != nil {
				t.Fatal(err)
			}
			if share := float64(mebibytes<<20) / float64(limit); share < 0.8 || share > 0.95 {
				t.Errorf("%s is %.2f of %d", env.Value, share, limit)
			}
			return
		}
	}
	t.Error("there is no GOMEMLIMIT")
}

// TestProbes asks a real server what the kubelet asks, with no credentials.
func TestProbes(t *testing.T) {
	t.Parallel()
	s := serverOf(t, Kustomize(t, "cluster"))
	running := framework.Start(t, nil)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	defer client.CloseIdleConnections()
	for name, probe := range map[string]*corev1.Probe{"startup": s.container.StartupProbe, "liveness": s.container.LivenessProbe,
		"readiness": s.container.ReadinessProbe} {
		get := probe.HTTPGet
		if get.Scheme != corev1.URISchemeHTTPS || get.Port.StrVal != "https" {
			t.Errorf("%s: %+v", name, get)
		}
		asked, err := url.Parse(running.Config.Host + get.Path)
		if err != nil {
			t.Fatal(err)
		}
		query := asked.Query()
		query.Set("verbose", "")
		asked.RawQuery = query.Encode()
		response, err := client.Get(asked.String())
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || response.StatusCode != http.StatusOK || strings.Contains(string(body), "warn") {
			t.Errorf("%s: %s, %v:\n%s", name, response.Status, err, body)
		}
		// Nothing but readiness depends on etcd.
		if excluded := strings.Contains(string(body), "[+]etcd excluded: ok"); excluded != (name != "readiness") {
			t.Errorf("%s: that etcd is left out is %v:\n%s", name, excluded, body)
		}
	}
}
