//go:build e2e

package layouts

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/test/framework"
	"github.com/portolan-dev/portolan/test/framework/layouts"
)

// TestMirrored has the cluster's controllers keep the endpoints of mirrored Services, and
// delete a namespace with Services of both sides. At the gateway runs the garbage
// collector at most.
func TestMirrored(t *testing.T) {
	for name, atGateway := range map[string]bool{"at kube-apiserver": false, "garbage collector at the gateway": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &fixture{layouts.Start(t, layouts.Config{
				Mirror: true, KubeFlags: []string{"--service-cluster-ip-range=203.0.113.0/24"},
			}), atGateway}
			f.awaitDiscovery(t)
			if atGateway {
				f.StartControllers(t, f.Server.Config.Host, "garbage-collector-controller")
				f.StartControllers(t, f.Kube.Config.Host, "namespace-controller", framework.EndpointControllers)
			} else {
				f.StartControllers(t, f.Kube.Config.Host, framework.DeletionControllers, framework.EndpointControllers)
			}
			f.addNode(t)
			ns := f.newNamespace(t, "mirrored")
			f.createService(t, ns, "own")
			source, err := f.Direct.CoreV1().Services(ns).Create(t.Context(), &corev1.Service{
				ObjectMeta: metav1.ObjectMeta{Name: "web"},
				Spec:       corev1.ServiceSpec{Selector: map[string]string{"app": "web"}, Ports: []corev1.ServicePort{{Port: 80}}},
			}, metav1.CreateOptions{})
			if err != nil {
				t.Fatal(err)
			}
			f.startPod(t, ns, "web", "192.0.2.7")
			slice := f.awaitSlice(t, ns, "web", "192.0.2.7")
			if owner := slice.OwnerReferences[0]; owner.UID != source.UID {
				t.Errorf("the slice belongs to %v", owner)
			}
			f.awaitCollector(t, ns)
			if after := f.awaitSlice(t, ns, "web", "192.0.2.7"); after.UID != slice.UID {
				t.Errorf("the copy %s was replaced with %s", slice.Name, after.Name)
			}
			if copied, err := f.Client.CoreV1().Services(ns).Get(t.Context(), "web", metav1.GetOptions{}); err != nil || copied.UID != source.UID {
				t.Errorf("the copy of the Service: %v, %v", copied, err)
			} else if _, mirrored := v1.MirroredFrom(copied); !mirrored {
				t.Errorf("it is no copy: %v", copied.Annotations)
			}
			f.deleteNamespace(t, ns)
		})
	}
}

// deleteNamespace waits until both sides have nothing left in a namespace. There is no
// kubelet, for which its Pods would wait.
func (f *fixture) deleteNamespace(t *testing.T, ns string) {
	t.Helper()
	now := int64(0)
	err := f.Direct.CoreV1().Pods(ns).DeleteCollection(t.Context(), metav1.DeleteOptions{GracePeriodSeconds: &now}, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Client.CoreV1().Namespaces().Delete(t.Context(), ns, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	framework.AwaitGone(t, f.Direct.CoreV1().Namespaces(), ns)
	for name, client := range map[string]interface {
		List(context.Context, metav1.ListOptions) (*corev1.ServiceList, error)
	}{"kube-apiserver": f.Direct.CoreV1().Services(ns), "the gateway": f.Client.CoreV1().Services(ns)} {
		left, err := client.List(t.Context(), metav1.ListOptions{})
		if err != nil || len(left.Items) > 0 {
			t.Errorf("%s still has %v, %v", name, left, err)
		}
	}
}
