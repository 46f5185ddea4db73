//go:build e2e

package aggregated

import (
	"context"
	"fmt"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/test/framework"
)

// doomed is what is deleted in the cluster while Portolan is away, with Services
// that belong to it.
type doomed struct {
	// namespace goes with the Service held.
	namespace string
	held      *v1.Service
	// elsewhere has a ConfigMap that owns the Service owned.
	elsewhere string
	owned     *v1.Service
}

func (g *fixture) newDoomed(t *testing.T) *doomed {
	t.Helper()
	d := &doomed{namespace: g.newNamespace(t, "away"), elsewhere: g.newNamespace(t, "away-owner")}
	d.held = g.createService(t, d.namespace, newService("web", nodePort(0)))
	owner := g.createConfigMap(t, d.elsewhere, metav1.ObjectMeta{Name: "owner"})
	d.owned = g.createService(t, d.elsewhere, newService("owned", nodePort(0), func(svc *v1.Service) {
		svc.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "ConfigMap", Name: owner.Name, UID: owner.UID}}
	}))
	return d
}

// remove deletes the namespace, which stays for as long as nobody can tell what
// is left in it, and the ConfigMap, for which nobody has to be asked.
func (d *doomed) remove(t *testing.T, g *fixture) {
	t.Helper()
	if err := g.client.CoreV1().ConfigMaps(d.elsewhere).Delete(t.Context(), "owner", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	framework.AwaitGone(t, g.client.CoreV1().ConfigMaps(d.elsewhere), "owner")
	if err := g.client.CoreV1().Namespaces().Delete(t.Context(), d.namespace, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	framework.Eventually(t, "the namespace says that Portolan is away", func(ctx context.Context) (bool, error) {
		left, err := g.client.CoreV1().Namespaces().Get(ctx, d.namespace, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		return slices.ContainsFunc(left.Status.Conditions, func(c corev1.NamespaceCondition) bool {
			failed := c.Type == corev1.NamespaceDeletionDiscoveryFailure || c.Type == corev1.NamespaceDeletionContentFailure
			return failed && c.Status == corev1.ConditionTrue
		}), fmt.Errorf("its status is %v", left.Status)
	})
}

// awaitGone waits until what belonged to them has gone after them.
func (d *doomed) awaitGone(t *testing.T, g *fixture) {
	t.Helper()
	g.awaitNoNamespace(t, d.namespace)
	g.checkClaims(t, d.held, false)
	framework.AwaitGone(t, g.portolan.PortolanV1().Services(d.elsewhere), d.owned.Name)
	g.checkClaims(t, d.owned, false)
}
