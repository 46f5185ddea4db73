package garbage

import (
	"context"
	"fmt"
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/portolan-dev/portolan/test/framework"
)

// ownerKinds are the kinds that own something in the tests.
func ownerKinds() []kind {
	const (
		rbac, networking, portolan = "rbac.authorization.k8s.io/v1", "networking.k8s.io/v1", "portolan.dev/v1"
	)
	ref := map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"}
	return []kind{
		configMaps, services, clusterRoles, boats, fleets,
		{version: portolan, kind: "Service", resource: "services", fields: service},
		{version: "v1", kind: "Endpoints", resource: "endpoints"},
		{version: "v1", kind: "Secret", resource: "secrets"},
		{version: "v1", kind: "ServiceAccount", resource: "serviceaccounts"},
		{version: "v1", kind: "Node", resource: "nodes", cluster: true},
		{version: "v1", kind: "Namespace", resource: "namespaces", cluster: true},
		{version: "v1", kind: "Pod", resource: "pods", fields: map[string]any{"spec": map[string]any{
			"containers": []any{map[string]any{"name": "c", "image": "i"}},
		}}},
		{version: "discovery.k8s.io/v1", kind: "EndpointSlice", resource: "endpointslices",
			fields: map[string]any{"addressType": "IPv4", "endpoints": []any{}}},
		{version: "coordination.k8s.io/v1", kind: "Lease", resource: "leases", fields: map[string]any{"spec": map[string]any{}}},
		{version: networking, kind: "Ingress", resource: "ingresses", fields: map[string]any{"spec": map[string]any{
			"defaultBackend": map[string]any{"service": map[string]any{"name": "web", "port": map[string]any{"number": int64(80)}}},
		}}},
		{version: networking, kind: "IngressClass", resource: "ingressclasses", cluster: true, fields: map[string]any{
			"spec": map[string]any{"controller": "example.com/none"}}},
		{version: rbac, kind: "Role", resource: "roles"},
		{version: rbac, kind: "RoleBinding", resource: "rolebindings", fields: map[string]any{"roleRef": ref}},
		{version: rbac, kind: "ClusterRoleBinding", resource: "clusterrolebindings", cluster: true, fields: map[string]any{"roleRef": ref}},
		{version: networking, kind: "IPAddress", resource: "ipaddresses", cluster: true, name: "10.96.0.1%d", fields: map[string]any{
			"spec": map[string]any{"parentRef": map[string]any{"resource": "reservations", "name": "x"}}}},
		{version: portolan, kind: "NodePort", resource: "nodeports", cluster: true, name: "3000%d", fields: map[string]any{
			"spec": map[string]any{"protocols": []any{"TCP"}, "parentRef": map[string]any{"resource": "reservations", "name": "x"}}}},
		{version: portolan, kind: "LoadBalancerPool", resource: "loadbalancerpools", cluster: true, fields: map[string]any{
			"spec": map[string]any{"cidrs": []any{"192.0.2.0/28"}}}},
	}
}

// TestPolicies deletes an owner of each kind with each policy.
func TestPolicies(t *testing.T) {
	t.Parallel()
	s := framework.StartAll(t, nil)
	c := clientOf(t, s.Config)
	c.define(t, boats)
	c.define(t, fleets)
	for _, k := range ownerKinds() {
		t.Run(k.version+" "+k.kind, func(t *testing.T) {
			t.Parallel()
			for i, test := range []func(*testing.T, collector, kind, string, string){testBackground, testForeground, testOrphan} {
				name := fmt.Sprintf("owner-%s-%d", k.resource, i)
				if k.version == "portolan.dev/v1" {
					name += "-own"
				}
				dependent := "of-" + name
				if k.name != "" {
					name = fmt.Sprintf(k.name, i)
				}
				test(t, c, k, name, dependent)
			}
		})
	}
}

func testBackground(t *testing.T, c collector, k kind, name, dependent string) {
	o := c.create(t, k, name, nil)
	c.create(t, configMaps, dependent, nil, owner(o))
	c.delete(t, k, name, metav1.DeletePropagationBackground)
	c.awaitGone(t, configMaps, dependent)
	c.awaitGone(t, k, name)
}

func testForeground(t *testing.T, c collector, k kind, name, dependent string) {
	o := c.create(t, k, name, nil)
	c.create(t, configMaps, dependent, []string{stays}, owner(o))
	c.awaitTurn(t, configMaps, "turn-"+dependent)
	c.delete(t, k, name, metav1.DeletePropagationForeground)
	framework.Eventually(t, dependent+" is being deleted", func(ctx context.Context) (bool, error) {
		obj, err := c.of(configMaps).Get(ctx, dependent, metav1.GetOptions{})
		return err == nil && obj.GetDeletionTimestamp() != nil, err
	})
	waits, err := c.of(k).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil || waits.GetDeletionTimestamp() == nil || !slices.Contains(waits.GetFinalizers(), metav1.FinalizerDeleteDependents) {
		t.Errorf("the owner does not wait: %v, error %v", waits, err)
	}
	c.patch(t, configMaps, dependent, `{"metadata":{"finalizers":null}}`)
	c.awaitGone(t, configMaps, dependent)
	c.awaitGone(t, k, name)
}

func testOrphan(t *testing.T, c collector, k kind, name, dependent string) {
	o := c.create(t, k, name, nil)
	c.create(t, configMaps, dependent, nil, owner(o))
	c.awaitTurn(t, configMaps, "turn-"+dependent)
	c.delete(t, k, name, metav1.DeletePropagationOrphan)
	c.awaitGone(t, k, name)
	c.awaitOwners(t, configMaps, dependent)
}
