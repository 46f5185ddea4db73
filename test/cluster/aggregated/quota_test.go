//go:build e2e

package aggregated

import (
	"context"
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/portolan-dev/portolan/test/framework"
)

// countedServices is how quotas name Portolan's Services.
const countedServices = corev1.ResourceName("count/services.portolan.dev")

// createQuota limits a namespace to two Services.
func (g *fixture) createQuota(t *testing.T, namespace string) {
	t.Helper()
	quota := &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Name: "limits"},
		Spec: corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{
			countedServices: resource.MustParse("2"), corev1.ResourceServices: resource.MustParse("5"),
		}},
	}
	if _, err := g.client.CoreV1().ResourceQuotas(namespace).Create(t.Context(), quota, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// awaitCounted waits until the quota of a namespace counts so many Services.
func (g *fixture) awaitCounted(t *testing.T, namespace string, want int64) {
	t.Helper()
	framework.Eventually(t, fmt.Sprintf("%d are counted", want), func(ctx context.Context) (bool, error) {
		current, err := g.client.CoreV1().ResourceQuotas(namespace).Get(ctx, "limits", metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		used, counts := current.Status.Used[countedServices]
		if own := current.Status.Used[corev1.ResourceServices]; !own.IsZero() {
			return false, fmt.Errorf("%s of the cluster's own Services are counted", &own)
		}
		return counts && used.Value() == want, fmt.Errorf("%s are counted", &used)
	})
}

// testResourceQuota has Portolan charge a quota and the real controller count
// again.
func testResourceQuota(t *testing.T, g *fixture) {
	ctx := t.Context()
	team := g.newNamespace(t, "team")
	services := g.portolan.PortolanV1().Services(team)
	g.createService(t, team, newService("first"))
	g.createQuota(t, team)

	// The controller counts what was there before.
	g.awaitCounted(t, team, 1)
	g.createService(t, team, newService("second"))
	g.awaitCounted(t, team, 2)
	_, err := services.Create(ctx, newService("third"), metav1.CreateOptions{})
	const exceeded = `services.portolan.dev "third" is forbidden: exceeded quota: limits, requested: count/services.portolan.dev=1, used: count/services.portolan.dev=2, limited: count/services.portolan.dev=2`
	if !apierrors.IsForbidden(err) || err.Error() != exceeded {
		t.Errorf("over quota: got %v, want %s", err, exceeded)
	}
	// Deleting charges nothing back: only the controller sees that it is gone.
	if err := services.Delete(ctx, "first", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	g.awaitCounted(t, team, 1)
	framework.Eventually(t, "what was replenished can be had", func(ctx context.Context) (bool, error) {
		_, err := services.Create(ctx, newService("third"), metav1.CreateOptions{})
		return err == nil, err
	})
	g.awaitCounted(t, team, 2)
}
