//go:build e2e

package cluster

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

const (
	apiServiceName = "v1.portolan.dev"
	deployment     = "portolan"

	// overlay is what whoever installs Portolan sets: where etcd is, and the
	// certificate to show there.
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
patches:
- patch: |
    apiVersion: v1
    kind: ConfigMap
    metadata:
      name: portolan
      namespace: portolan
    data:
      etcd-servers: https://` + etcdAddress + `:2379
`
)

var apiServices = schema.GroupVersionResource{Group: "apiregistration.k8s.io", Version: "v1", Resource: "apiservices"}

// install applies the manifests and waits until the cluster has the group.
func (g *ground) install(t *testing.T) {
	t.Helper()
	if err := os.CopyFS(filepath.Join(g.dir, "artifacts"), os.DirFS(filepath.Join(root, "artifacts"))); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(g.dir, "overlay"), 0o700); err != nil {
		t.Fatal(err)
	}
	g.write(t, "overlay/kustomization.yaml", overlay)
	for name, file := range map[string]string{"ca.crt": g.storeCA, "tls.crt": g.store.cert, "tls.key": g.store.key} {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		g.write(t, filepath.Join("overlay", name), string(data))
	}
	g.kubelet = startKubelet(t, g)
	g.as(t, g.kubeconfig).run("apply", "-k", filepath.Join(g.dir, "overlay"))
	g.awaitAvailable(t, "True")
	g.awaitReady(t)
}

// awaitAvailable waits until the cluster says of the APIService whether it is
// there.
func (g *ground) awaitAvailable(t *testing.T, want string) {
	t.Helper()
	eventually(t, "Available="+want, func(ctx context.Context) (bool, error) {
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

// awaitReady waits until all replicas are.
func (g *ground) awaitReady(t *testing.T) {
	t.Helper()
	eventually(t, "all replicas are ready", func(ctx context.Context) (bool, error) {
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
