package registrytest

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/registry/rest"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/registry"
	"github.com/portolan-dev/portolan/pkg/registry/generic"
	"github.com/portolan-dev/portolan/pkg/registry/nodeport"
)

func newPort(name string, uid types.UID, protocols ...corev1.Protocol) *v1.NodePort {
	return &v1.NodePort{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: v1.NodePortSpec{
			Protocols: protocols,
			ParentRef: &v1.ParentReference{Resource: "services", Namespace: "default", Name: "web", UID: uid},
		},
	}
}

func newPortStore(t *testing.T) generic.Store {
	t.Helper()
	store, _ := newStore(t, "nodeports", registry.Inputs{})
	return store
}

func TestNodePortHeld(t *testing.T) {
	r, ctx := newPortStore(t), clusterScoped(t)
	key, err := r.KeyFunc(ctx, "30080")
	if err != nil {
		t.Fatal(err)
	}
	held := newPort("30080", "holder", "TCP")
	held.UID = "uid"
	if err := r.Storage.Create(ctx, key, held, &v1.NodePort{}, 0, false); err != nil {
		t.Fatal(err)
	}
	checkHeld := func(what string, err error) {
		t.Helper()
		if !apierrors.IsConflict(err) || !strings.Contains(err.Error(), "the port is held by services/default/web") {
			t.Errorf("%s: got %v, want a conflict that names the holder", what, err)
		}
	}
	for _, dryRun := range [][]string{nil, {metav1.DryRunAll}} {
		_, _, err = r.Delete(ctx, "30080", rest.ValidateAllObjectFunc, &metav1.DeleteOptions{DryRun: dryRun})
		checkHeld("delete", err)
		_, err = r.DeleteCollection(ctx, rest.ValidateAllObjectFunc, &metav1.DeleteOptions{DryRun: dryRun}, &metainternalversion.ListOptions{})
		checkHeld("deletecollection", err)
		for name, change := range map[string]*v1.NodePort{"protocols": newPort("30080", "", "UDP"),
			"holder's UID": newPort("30080", "other", "TCP")} {
			_, _, err := r.Update(ctx, "30080", rest.DefaultUpdatedObjectInfo(change), rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc,
				false, &metav1.UpdateOptions{DryRun: dryRun})
			if !apierrors.IsInvalid(err) {
				t.Errorf("%s: got %v, want 422", name, err)
			}
		}
	}
}

func TestNodePortReservation(t *testing.T) {
	r, ctx := newPortStore(t), clusterScoped(t)
	update := func(port *v1.NodePort) error {
		_, _, err := r.Update(ctx, port.Name, rest.DefaultUpdatedObjectInfo(port), rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc,
			false, &metav1.UpdateOptions{})
		return err
	}
	if err := update(newPort("80", "", "TCP")); !apierrors.IsNotFound(err) {
		t.Errorf("put of a missing one: got %v, want 404", err)
	}
	if _, err := r.Create(ctx, newPort("80", "", "TCP"), rest.ValidateAllObjectFunc, &metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := update(newPort("80", "", "TCP", "UDP")); err != nil {
		t.Errorf("protocols: %v", err)
	}
	if _, _, err := r.Delete(ctx, "80", rest.ValidateAllObjectFunc, &metav1.DeleteOptions{}); err != nil {
		t.Errorf("delete: %v", err)
	}
}

func expiring(port *v1.NodePort, in time.Duration) *v1.NodePort {
	port.Spec.ExpirationTimestamp = &metav1.Time{Time: time.Now().Add(in)}
	return port
}

func TestNodePortTable(t *testing.T) {
	table, err := nodeport.TableConvertor.ConvertToTable(t.Context(),
		&v1.NodePortList{Items: []v1.NodePort{*newPort("80", "", "TCP", "UDP"), {}, *expiring(newPort("81", ""), -time.Hour),
			*expiring(newPort("82", ""), 50*time.Hour+time.Minute), *expiring(newPort("83", "u"), time.Hour)}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range [][]any{
		{"80", "TCP,UDP", "services/default/web", "default/web", "<none>", "<unknown>"},
		{"", "<none>", "<none>", "<none>", "<none>", "<unknown>"},
		{"81", "<none>", "services/default/web", "default/web", "expired", "<unknown>"},
		{"82", "<none>", "services/default/web", "default/web", "2d2h", "<unknown>"},
		{"83", "<none>", "services/default/web", "<none>", "<none>", "<unknown>"},
	} {
		cells := table.Rows[i].Cells
		if len(cells) != len(want) || len(table.ColumnDefinitions) != len(want) {
			t.Fatalf("row %d: %v", i, cells)
		}
		for j := range want {
			if cells[j] != want[j] {
				t.Errorf("row %d: got %v, want %v", i, cells[j], want[j])
			}
		}
	}
}
