package garbage

import (
	"context"
	"fmt"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/portolan-dev/portolan/pkg/server/options"
	"github.com/portolan-dev/portolan/test/framework"
)

// TestRestart deletes owners while no collector runs. The next server finishes the deletions.
func TestRestart(t *testing.T) {
	t.Parallel()
	first := framework.Start(t, nil)
	c := clientOf(t, first.Config)
	c.define(t, boats)
	c.create(t, configMaps, "kept", nil, owner(c.create(t, boats, "stays", nil)))
	gone := c.create(t, boats, "background", nil)
	c.create(t, configMaps, "of-background", nil, owner(gone))
	c.delete(t, boats, "background", metav1.DeletePropagationBackground)
	for _, finalizer := range []string{metav1.FinalizerDeleteDependents, metav1.FinalizerOrphanDependents} {
		// A server without a collector adds no such finalizer, and removes none.
		o := c.create(t, services, "owner-"+finalizerName(finalizer), []string{finalizer})
		c.create(t, configMaps, "of-"+finalizerName(finalizer), nil, owner(o))
		c.delete(t, services, o.GetName(), metav1.DeletePropagationBackground)
	}
	if err := first.Stop(); err != nil {
		t.Fatal(err)
	}

	c = clientOf(t, framework.StartAll(t, first.Again(t)).Config)
	c.awaitGone(t, configMaps, "of-background")
	c.awaitGone(t, services, "owner-foreground")
	c.awaitGone(t, configMaps, "of-foreground")
	c.awaitGone(t, services, "owner-orphan")
	c.awaitOwners(t, configMaps, "of-orphan")
	c.awaitOwners(t, configMaps, "kept", "stays")
}

func finalizerName(finalizer string) string {
	return map[string]string{metav1.FinalizerDeleteDependents: "foreground", metav1.FinalizerOrphanDependents: "orphan"}[finalizer]
}

// TestOff deletes an owner of a server whose collector is off.
func TestOff(t *testing.T) {
	t.Parallel()
	s := framework.StartAll(t, func(o *options.Options) { o.Etcd.EnableGarbageCollection = false })
	c := clientOf(t, s.Config)
	for _, policy := range []metav1.DeletionPropagation{metav1.DeletePropagationForeground, metav1.DeletePropagationOrphan} {
		o := c.create(t, configMaps, "owner", nil)
		c.create(t, configMaps, fmt.Sprintf("of-%d", len(policy)), nil, owner(o))
		c.delete(t, configMaps, "owner", policy)
		if _, err := c.of(configMaps).Get(t.Context(), "owner", metav1.GetOptions{}); err == nil {
			t.Errorf("%s: the owner waits for a collector", policy)
		}
		c.awaitOwners(t, configMaps, fmt.Sprintf("of-%d", len(policy)), "owner")
	}
}

// TestLeaderKilled kills the replica that collects while it deletes what owners leave behind.
// The other one goes on, and deletes nothing whose owner exists.
func TestLeaderKilled(t *testing.T) {
	t.Parallel()
	const owners = 40
	store := framework.StartEtcd(t)
	flags := []string{
		"--etcd-servers=" + store.URL, "--leader-elect-lease-duration=3s", "--leader-elect-renew-deadline=2s",
		"--leader-elect-retry-period=200ms", "--concurrent-endpoint-syncs=1", "--controllers=true",
	}
	leader := framework.Spawn(t, t.TempDir(), flags...)
	leader.WaitReady(t)
	clientOf(t, leader.Config(t)).awaitTurn(t, configMaps, "turn-of-leader")
	other := framework.Spawn(t, t.TempDir(), flags...)
	other.WaitReady(t)
	c := clientOf(t, other.Config(t))
	made := map[string]*unstructured.Unstructured{}
	for i := range owners {
		name := fmt.Sprint("owner-", i)
		made[name] = c.create(t, configMaps, name, nil)
		for j := range 3 {
			c.create(t, configMaps, fmt.Sprintf("of-%s-%d", name, j), nil, owner(made[name]))
		}
	}
	policies := []metav1.DeletionPropagation{
		metav1.DeletePropagationBackground, metav1.DeletePropagationForeground, metav1.DeletePropagationOrphan,
	}
	for i := range owners {
		if i%4 < len(policies) {
			c.delete(t, configMaps, fmt.Sprint("owner-", i), policies[i%4])
		}
		if i == owners/2 {
			leader.Kill(t)
		}
	}
	framework.Eventually(t, "all owners and dependents are as they should be", func(ctx context.Context) (bool, error) {
		for i := range owners {
			kept, want := i%4 >= len(policies), 1
			if err := c.expect(ctx, fmt.Sprint("owner-", i), kept, 0); err != nil {
				return false, err
			}
			if !kept {
				want = 0
			}
			for j := range 3 {
				if err := c.expect(ctx, fmt.Sprintf("of-owner-%d-%d", i, j), i%4 >= 2, want); err != nil {
					return false, err
				}
			}
		}
		return true, nil
	})
}

// expect wants a ConfigMap to exist, with a number of owners, or not to exist.
func (c collector) expect(ctx context.Context, name string, exists bool, owners int) error {
	obj, err := c.of(configMaps).Get(ctx, name, metav1.GetOptions{})
	switch {
	case err != nil && (exists || !apierrors.IsNotFound(err)):
		return err
	case err == nil && !exists:
		return fmt.Errorf("%s still exists: %v", name, obj.Object["metadata"])
	case exists && len(obj.GetOwnerReferences()) != owners:
		return fmt.Errorf("%s has the owners %v", name, obj.GetOwnerReferences())
	}
	return nil
}
