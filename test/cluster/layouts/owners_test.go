//go:build e2e

package layouts

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/test/framework"
	"github.com/portolan-dev/portolan/test/framework/layouts"
)

func TestMain(m *testing.M) { framework.Main(m) }

// fixture is a cluster in one of the layouts.
type fixture struct {
	*layouts.Cluster
	// atGateway is set if kube-controller-manager talks to the gateway.
	atGateway bool
}

// TestOwners follows owner references with the real garbage collector.
func TestOwners(t *testing.T) {
	for name, atGateway := range map[string]bool{"at kube-apiserver": false, "at the gateway": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &fixture{layouts.Start(t, layouts.Config{}), atGateway}
			server := f.Kube.Config.Host
			if atGateway {
				server = f.Server.Config.Host
			}
			f.awaitDiscovery(t)
			f.StartControllers(t, server, framework.DeletionControllers)
			f.addNode(t)
			t.Run("cases", func(t *testing.T) {
				for name, test := range map[string]func(*testing.T, *fixture, string){
					"slices": testSlices, "background": testBackground, "foreground": testForeground, "orphan": testOrphan,
					"core": testCoreOwners, "namespace": testNamespace, "discovery": testDiscovery,
				} {
					t.Run(name, func(t *testing.T) {
						t.Parallel()
						test(t, f, f.newNamespace(t, name))
					})
				}
			})
		})
	}
}

// testSlices keeps the slices of a Service as long as it is there.
func testSlices(t *testing.T, f *fixture, ns string) {
	svc := f.createService(t, ns, "web")
	f.startPod(t, ns, "web", "192.0.2.7")
	slice := f.awaitSlice(t, ns, "web", "192.0.2.7")
	if owner := slice.OwnerReferences[0]; owner.UID != svc.UID {
		t.Errorf("the slice belongs to %v", owner)
	}
	stored, err := f.Portolan.PortolanV1().EndpointSlices(ns).Get(t.Context(), slice.Name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if owner := stored.OwnerReferences[0]; owner.APIVersion != v1.SchemeGroupVersion.String() || owner.Kind != "Service" {
		t.Errorf("in portolan.dev the slice belongs to %v", owner)
	}
	f.awaitCollector(t, ns)
	if after := f.awaitSlice(t, ns, "web", "192.0.2.7"); after.UID != slice.UID {
		t.Errorf("the slice %s was replaced with %s", slice.Name, after.Name)
	}
	f.delete(t, ns, "web", metav1.DeletePropagationBackground)
	f.awaitNoSlices(t, ns, "web")
}

// testBackground deletes what belongs to a Service that is gone.
func testBackground(t *testing.T, f *fixture, ns string) {
	svc := f.createService(t, ns, "web")
	f.createConfigMap(t, ns, "dependent", owner(v1.SchemeGroupVersion.String(), svc))
	f.awaitCollector(t, ns)
	f.expectConfigMap(t, ns, "dependent")
	f.delete(t, ns, "web", metav1.DeletePropagationBackground)
	framework.AwaitGone(t, f.Direct.CoreV1().ConfigMaps(ns), "dependent")
}

// testForeground deletes a Service only after what belongs to it.
func testForeground(t *testing.T, f *fixture, ns string) {
	svc := f.createService(t, ns, "web")
	owned := owner(v1.SchemeGroupVersion.String(), svc)
	block := true
	owned.BlockOwnerDeletion = &block
	f.createFinalized(t, ns, "stays", []string{"example.com/stays"}, owned)
	f.awaitCollector(t, ns)
	f.delete(t, ns, "web", metav1.DeletePropagationForeground)
	framework.ExpectForeground(t, f.Client.CoreV1().Services(ns), "web", f.Direct.CoreV1().ConfigMaps(ns), "stays")
	framework.NewKubectl(t, f.Kubeconfig).Run("patch", "configmap", "stays", "-n", ns, "--type=merge", `-p={"metadata":{"finalizers":[]}}`)
	framework.AwaitGone(t, f.Direct.CoreV1().ConfigMaps(ns), "stays")
	framework.AwaitGone(t, f.Client.CoreV1().Services(ns), "web")
}

// testOrphan leaves what belongs to a Service without an owner.
func testOrphan(t *testing.T, f *fixture, ns string) {
	svc := f.createService(t, ns, "web")
	f.createConfigMap(t, ns, "left", owner(v1.SchemeGroupVersion.String(), svc))
	f.awaitCollector(t, ns)
	f.delete(t, ns, "web", metav1.DeletePropagationOrphan)
	framework.AwaitGone(t, f.Client.CoreV1().Services(ns), "web")
	if left := f.expectConfigMap(t, ns, "left"); len(left.OwnerReferences) > 0 {
		t.Errorf("it still belongs to %v", left.OwnerReferences)
	}
}

// testCoreOwners has objects of clients that know the Service as v1. They survive only
// where the collector looks their owner up at the gateway.
func testCoreOwners(t *testing.T, f *fixture, ns string) {
	svc := f.createService(t, ns, "web")
	f.createConfigMap(t, ns, "lb", owner("v1", svc))
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{Name: "by-hand", OwnerReferences: []metav1.OwnerReference{owner("v1", svc)},
			Labels: map[string]string{discoveryv1.LabelServiceName: "web"}},
		AddressType: discoveryv1.AddressTypeIPv4, Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"192.0.2.8"}}},
	}
	if _, err := f.Client.DiscoveryV1().EndpointSlices(ns).Create(t.Context(), slice, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	f.awaitCollector(t, ns)
	if f.atGateway {
		f.expectConfigMap(t, ns, "lb")
		if _, err := f.Client.DiscoveryV1().EndpointSlices(ns).Get(t.Context(), "by-hand", metav1.GetOptions{}); err != nil {
			t.Errorf("the slice of a client: %v", err)
		}
		f.delete(t, ns, "web", metav1.DeletePropagationBackground)
	}
	framework.AwaitGone(t, f.Direct.CoreV1().ConfigMaps(ns), "lb")
	framework.AwaitGone(t, f.Client.DiscoveryV1().EndpointSlices(ns), "by-hand")
}

// testNamespace deletes a namespace with all that both servers store in it.
func testNamespace(t *testing.T, f *fixture, ns string) {
	svc := f.createService(t, ns, "web")
	f.createConfigMap(t, ns, "config")
	f.awaitSlice(t, ns, "web", "")
	framework.NewKubectl(t, f.Kubeconfig).Run("delete", "namespace", ns)
	if _, err := f.Direct.CoreV1().Namespaces().Get(t.Context(), ns, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the namespace: %v", err)
	}
	framework.AwaitGone(t, f.Client.CoreV1().Services(ns), "web")
	left, err := f.Client.DiscoveryV1().EndpointSlices(ns).List(t.Context(), metav1.ListOptions{})
	if err != nil || len(left.Items) > 0 {
		t.Errorf("slices are left: %v, %v", left.Items, err)
	}
	address := svc.Spec.ClusterIP
	if _, err := f.Client.NetworkingV1().IPAddresses().Get(t.Context(), address, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the address %s is still taken: %v", address, err)
	}
}

// awaitCollector returns when the garbage collector has looked at everything that was
// there: at an object of the cluster and one of Portolan that were created later and whose
// owners are gone.
func (f *fixture) awaitCollector(t *testing.T, ns string) {
	t.Helper()
	gone := metav1.OwnerReference{APIVersion: "v1", Kind: "ConfigMap", Name: "gone", UID: "gone"}
	f.createConfigMap(t, ns, "garbage", gone)
	slice := &v1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{Name: "garbage", OwnerReferences: []metav1.OwnerReference{gone}}, AddressType: discoveryv1.AddressTypeIPv4,
	}
	if _, err := f.Portolan.PortolanV1().EndpointSlices(ns).Create(t.Context(), slice, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	framework.AwaitGone(t, f.Direct.CoreV1().ConfigMaps(ns), "garbage")
	framework.AwaitGone(t, f.Portolan.PortolanV1().EndpointSlices(ns), "garbage")
}

func owner(version string, svc *corev1.Service) metav1.OwnerReference {
	return metav1.OwnerReference{APIVersion: version, Kind: "Service", Name: svc.Name, UID: svc.UID}
}
