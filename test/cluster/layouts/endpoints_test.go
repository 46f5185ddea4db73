//go:build e2e

package layouts

import (
	"strconv"
	"testing"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/portolan-dev/portolan/test/framework"
	"github.com/portolan-dev/portolan/test/framework/layouts"
)

// settled is how long nothing is written once the controllers agree. Each looks again at
// writes of others after a second.
const settled = 4 * time.Second

// TestEndpointControllers has kube-controller-manager at the gateway make slices: instead
// of Portolan, or beside it. Side by side they replace each other's slices when a Pod
// changes, and then agree on one.
func TestEndpointControllers(t *testing.T) {
	for name, own := range map[string]bool{"alone": false, "beside Portolan's": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &fixture{layouts.Start(t, layouts.Config{WithoutControllers: !own}), true}
			f.awaitDiscovery(t)
			f.StartControllers(t, f.Server.Config.Host, framework.DeletionControllers, framework.EndpointControllers)
			f.addNode(t)
			ns := f.newNamespace(t, "slices")
			f.createService(t, ns, "web")
			addresses := ""
			for i := range 3 {
				address := "192.0.2." + strconv.Itoa(10+i)
				f.startPod(t, ns, "web", address)
				addresses += address
				f.awaitSlice(t, ns, "web", addresses)
			}
			slice := f.awaitSettled(t, ns, "web", addresses)
			if owner := slice.OwnerReferences[0]; !own && owner.APIVersion != "v1" {
				t.Errorf("the slice belongs to %v: kube-controller-manager writes no other", owner)
			}
			f.delete(t, ns, "web", metav1.DeletePropagationBackground)
			f.awaitNoSlices(t, ns, "web")
		})
	}
}

// awaitSettled waits until nobody writes the slice of a Service, which has these
// addresses.
func (f *fixture) awaitSettled(t *testing.T, ns, service, addresses string) *discoveryv1.EndpointSlice {
	t.Helper()
	for started := time.Now(); time.Since(started) < framework.Patience; {
		before := f.awaitSlice(t, ns, service, addresses)
		time.Sleep(settled)
		after := f.awaitSlice(t, ns, service, addresses)
		if after.Name == before.Name && after.ResourceVersion == before.ResourceVersion {
			return after
		}
		t.Logf("%s of %s became %s of %s", before.Name, before.OwnerReferences[0].APIVersion, after.Name, after.OwnerReferences[0].APIVersion)
	}
	t.Fatal("the slice is written again and again")
	return nil
}
