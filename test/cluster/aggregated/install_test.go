//go:build e2e

package aggregated

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/test/framework"
)

const (
	apiServiceName = "v1.portolan.dev"
	deployment     = "portolan"

	// overlay is what an administrator sets: where etcd is, the
	// certificate to show there, and what is to be audited.
	overlay = `apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources:
- ../artifacts/cluster/server
replicas:
- name: portolan
  count: 2
secretGenerator:
- name: portolan-etcd-client
  namespace: portolan
  files: [ca.crt, tls.crt, tls.key]
  options:
    disableNameSuffixHash: true
configMapGenerator:
- name: portolan-audit
  namespace: portolan
  files: [policy.yaml]
patches:
- patch: |
    apiVersion: v1
    kind: ConfigMap
    metadata:
      name: portolan
      namespace: portolan
    data:
      etcd-servers: https://` + etcdAddress + `:2379
- target:
    kind: Deployment
    name: portolan
  patch: |
    # No client here has to resume a watch without a list.
    - op: remove
      path: /spec/minReadySeconds
    - op: add
      path: /spec/template/spec/containers/0/args/-
      value: --audit-policy-file=/etc/portolan/audit/policy.yaml
    - op: add
      path: /spec/template/spec/containers/0/args/-
      value: --audit-log-path=-
    - op: add
      path: /spec/template/spec/containers/0/volumeMounts/-
      value:
        name: audit
        mountPath: /etc/portolan/audit
    - op: add
      path: /spec/template/spec/volumes/-
      value:
        name: audit
        configMap:
          name: portolan-audit
`
)

var apiServices = schema.GroupVersionResource{Group: "apiregistration.k8s.io", Version: "v1", Resource: "apiservices"}

// install applies the manifests and waits until the cluster has the group.
func (g *fixture) install(t *testing.T) {
	t.Helper()
	if err := os.CopyFS(filepath.Join(g.dir, "artifacts"), os.DirFS(framework.Path("artifacts"))); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(g.dir, "overlay"), 0o700); err != nil {
		t.Fatal(err)
	}
	g.write(t, "overlay/kustomization.yaml", overlay)
	g.write(t, "overlay/policy.yaml", auditPolicy(audited))
	for name, file := range map[string]string{"ca.crt": g.storeCA, "tls.crt": g.store.cert, "tls.key": g.store.key} {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		g.write(t, filepath.Join("overlay", name), string(data))
	}
	g.kubelet = startKubelet(t, g)
	framework.NewKubectl(t, g.kubeconfig).Run("apply", "-k", g.overlay())
	g.awaitAvailable(t, "True")
	g.awaitReady(t)
}

// overlay is the directory that is applied.
func (g *fixture) overlay() string { return filepath.Join(g.dir, "overlay") }

// testInstallAgain applies the same again, which changes nothing: not even what
// Portolan has written into what was applied.
func testInstallAgain(t *testing.T, g *fixture) {
	before := g.versions(t)
	framework.NewKubectl(t, g.kubeconfig).Run("apply", "-k", g.overlay())
	if after := g.versions(t); len(before) == 0 || !maps.Equal(before, after) {
		t.Errorf("there was %v and is %v", before, after)
	}
	if bundle, _, err := unstructured.NestedString(g.apiService(t).Object, "spec", "caBundle"); err != nil || bundle == "" {
		t.Errorf("the caBundle is %q, %v", bundle, err)
	}
}

// versions are those of all objects that are installed. For what has a
// generation it is that: its status has a life of its own.
func (g *fixture) versions(t *testing.T) map[string]string {
	t.Helper()
	var list unstructured.UnstructuredList
	if err := list.UnmarshalJSON([]byte(framework.NewKubectl(t, g.kubeconfig).Run("get", "-k", g.overlay(), "-o", "json"))); err != nil {
		t.Fatal(err)
	}
	versions := map[string]string{}
	for _, object := range list.Items {
		version := object.GetResourceVersion()
		if generation := object.GetGeneration(); generation != 0 {
			version = fmt.Sprint("generation ", generation)
		}
		versions[object.GetKind()+" "+object.GetNamespace()+"/"+object.GetName()] = version
	}
	return versions
}

// apiService is how Portolan is registered.
func (g *fixture) apiService(t *testing.T) *unstructured.Unstructured {
	t.Helper()
	service, err := g.dynamic.Resource(apiServices).Get(t.Context(), apiServiceName, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return service
}

// testUninstall takes away what was installed in the order of
// artifacts/cluster/README.md, and finds nothing that is left.
func testUninstall(t *testing.T, g *fixture) {
	k := framework.NewKubectl(t, g.kubeconfig)
	k.Run("delete", "apiservice", apiServiceName)
	k.Run("delete", "-k", g.overlay(), "--ignore-not-found", "--wait=false")
	g.awaitNoNamespace(t, namespace)
	for _, kinds := range []string{"clusterroles,clusterrolebindings", "rolebindings,leases,secrets,configmaps", "apiservices"} {
		for line := range strings.Lines(k.Run("get", kinds, "-A", "-o", "name")) {
			if strings.Contains(line, "portolan") {
				t.Errorf("left: %s", line)
			}
		}
	}
	k.Expect(k.Fail("get", "services.portolan.dev", "-A"), `the server doesn't have a resource type "services"`)
}

// awaitAvailable waits until the cluster says of the APIService whether it is
// there.
func (g *fixture) awaitAvailable(t *testing.T, want string) {
	t.Helper()
	framework.Eventually(t, "Available="+want, func(ctx context.Context) (bool, error) {
		service, err := g.dynamic.Resource(apiServices).Get(ctx, apiServiceName, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		conditions, _, err := unstructured.NestedSlice(service.Object, "status", "conditions")
		if err != nil {
			return false, err
		}
		for _, c := range conditions {
			condition, _ := c.(map[string]any)
			if condition["type"] == "Available" && condition["status"] == want {
				return true, nil
			}
		}
		return false, fmt.Errorf("the conditions are %v; the replicas: %v", conditions, g.kubelet.troubles())
	})
}

// awaitDiscovered waits until kube-apiserver's aggregated discovery has the API group. It has
// read the group's document some time after the APIService is available.
func (g *fixture) awaitDiscovered(t *testing.T) {
	t.Helper()
	framework.Eventually(t, "the group is discovered", func(context.Context) (bool, error) {
		// Clients keep what they have discovered.
		discover, err := discovery.NewDiscoveryClientForConfig(g.admin)
		if err != nil {
			return false, err
		}
		groups, resources, _, err := discover.GroupsAndMaybeResources()
		if err != nil {
			return false, err
		}
		list := resources[v1.SchemeGroupVersion]
		return list != nil && len(list.APIResources) > 0, fmt.Errorf("of %d groups it has the resources %v", len(groups.Groups), list)
	})
}

// awaitReady waits until all replicas are.
func (g *fixture) awaitReady(t *testing.T) {
	t.Helper()
	framework.Eventually(t, "all replicas are ready", func(ctx context.Context) (bool, error) {
		d, err := g.client.AppsV1().Deployments(namespace).Get(ctx, deployment, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		status := d.Status
		if status.ObservedGeneration < d.Generation || status.ReadyReplicas != *d.Spec.Replicas || status.Replicas != *d.Spec.Replicas {
			return false, fmt.Errorf("the status is %v", status)
		}
		return true, nil
	})
}
