//go:build e2e

package aggregated

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/test/framework"
)

// testOwners follows owner references from objects of the cluster to ours and
// the other way round, with the real garbage collector.
func testOwners(t *testing.T, g *fixture) {
	ctx := t.Context()
	ns := g.newNamespace(t, "owners")
	background := metav1.DeletePropagationBackground

	owner := g.createConfigMap(t, ns, metav1.ObjectMeta{Name: "owner"})
	owned := g.createService(t, ns, newService("owned", nodePort(0), func(svc *v1.Service) {
		svc.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "ConfigMap", Name: owner.Name, UID: owner.UID}}
	}))
	if err := g.client.CoreV1().ConfigMaps(ns).Delete(ctx, "owner", metav1.DeleteOptions{PropagationPolicy: &background}); err != nil {
		t.Fatal(err)
	}
	framework.AwaitGone(t, g.portolan.PortolanV1().Services(ns), owned.Name)
	g.checkClaims(t, owned, false)

	svc := g.createService(t, ns, newService("web"))
	g.createConfigMap(t, ns, metav1.ObjectMeta{Name: "dependent", OwnerReferences: ownedByService(svc)})
	if err := g.portolan.PortolanV1().Services(ns).Delete(ctx, "web", metav1.DeleteOptions{PropagationPolicy: &background}); err != nil {
		t.Fatal(err)
	}
	framework.AwaitGone(t, g.client.CoreV1().ConfigMaps(ns), "dependent")

	// A Service takes along its own slices with its label. Others are left to their
	// owner references: here to a Service that is no more, and to one that is
	// another's although it has the name.
	again := g.createService(t, ns, newService("web"))
	left := ownedByService(svc)
	for name, owners := range map[string][]metav1.OwnerReference{"left": left, "kept": ownedByService(again)} {
		slice := &v1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Name: name, OwnerReferences: owners}, AddressType: discoveryv1.AddressTypeIPv4}
		if _, err := g.portolan.PortolanV1().EndpointSlices(ns).Create(ctx, slice, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	// Its Service is gone.
	framework.AwaitGone(t, g.portolan.PortolanV1().EndpointSlices(ns), "left")
	if _, err := g.portolan.PortolanV1().EndpointSlices(ns).Get(ctx, "kept", metav1.GetOptions{}); err != nil {
		t.Errorf("the slice of a Service that is there: %v", err)
	}
}

// testReservationOwners has a reservation, which belongs to no namespace, go with
// an owner that doesn't either.
func testReservationOwners(t *testing.T, g *fixture) {
	ctx := t.Context()
	role, err := g.client.RbacV1().ClusterRoles().Create(ctx, &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "owner-of-a-port"}},
		metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	// From the part of the range that no Service is given by itself.
	const port = "28001"
	ports := g.portolan.PortolanV1().NodePorts()
	_, err = ports.Create(ctx, &v1.NodePort{
		ObjectMeta: metav1.ObjectMeta{Name: port, OwnerReferences: []metav1.OwnerReference{{
			APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "ClusterRole", Name: role.Name, UID: role.UID,
		}}},
		Spec: v1.NodePortSpec{
			Protocols: []corev1.Protocol{corev1.ProtocolTCP},
			ParentRef: &v1.ParentReference{Resource: "reservations", Name: "owned"},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := g.client.RbacV1().ClusterRoles().Delete(ctx, role.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	framework.AwaitGone(t, ports, port)
}

// awaitCollector returns when the garbage collector watches what is ours. It
// looks for new resources every 30 seconds, and until then doesn't know of
// dependents that are ours.
func (g *fixture) awaitCollector(t *testing.T, namespace string) {
	t.Helper()
	g.createService(t, namespace, newService("garbage", func(svc *v1.Service) {
		svc.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "ConfigMap", Name: "gone", UID: "gone"}}
	}))
	framework.AwaitGone(t, g.portolan.PortolanV1().Services(namespace), "garbage")
}

// testForeground deletes a Service only after what it owns, and keeps its
// claims until then.
func testForeground(t *testing.T, g *fixture) {
	ns := g.newNamespace(t, "foreground")
	g.awaitCollector(t, ns)
	svc := g.createService(t, ns, newService("web", nodePort(0)))
	g.createConfigMap(t, ns, metav1.ObjectMeta{Name: "stays", OwnerReferences: ownedByService(svc), Finalizers: []string{"example.com/stays"}})
	framework.NewKubectl(t, g.kubeconfig).Run("delete", "psvc", "web", "-n", ns, "--cascade=foreground", "--wait=false")
	framework.ExpectForeground(t, g.portolan.PortolanV1().Services(ns), "web", g.client.CoreV1().ConfigMaps(ns), "stays")
	g.checkClaims(t, svc, true)
	removeFinalizers(t, g, ns, "stays")
	framework.AwaitGone(t, g.portolan.PortolanV1().Services(ns), "web")
	framework.AwaitGone(t, g.client.CoreV1().ConfigMaps(ns), "stays")
	g.checkClaims(t, svc, false)
}

// testOrphans deletes owners and leaves alone what they owned.
func testOrphans(t *testing.T, g *fixture) {
	ctx := t.Context()
	ns := g.newNamespace(t, "orphans")
	g.awaitCollector(t, ns)
	k := framework.NewKubectl(t, g.kubeconfig)
	svc := g.createService(t, ns, newService("owner"))
	g.createConfigMap(t, ns, metav1.ObjectMeta{Name: "left", OwnerReferences: ownedByService(svc)})
	config := g.createConfigMap(t, ns, metav1.ObjectMeta{Name: "owner"})
	g.createService(t, ns, newService("left", func(svc *v1.Service) {
		svc.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "ConfigMap", Name: config.Name, UID: config.UID}}
	}))
	k.Run("delete", "psvc/owner", "configmap/owner", "-n", ns, "--cascade=orphan")
	framework.AwaitGone(t, g.portolan.PortolanV1().Services(ns), "owner")
	g.checkClaims(t, svc, false)
	framework.AwaitGone(t, g.client.CoreV1().ConfigMaps(ns), "owner")

	left, err := g.client.CoreV1().ConfigMaps(ns).Get(ctx, "left", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	leftService, err := g.portolan.PortolanV1().Services(ns).Get(ctx, "left", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, object := range []metav1.Object{left, leftService} {
		if owners := object.GetOwnerReferences(); len(owners) > 0 || object.GetDeletionTimestamp() != nil {
			t.Errorf("%T %s still has owners: %v", object, object.GetName(), owners)
		}
	}
	g.checkClaims(t, leftService, true)
}
