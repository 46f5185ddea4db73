package registrytest

import (
	"context"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/registry/rest"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/registry"
	"github.com/portolan-dev/portolan/pkg/registry/generic"
	"github.com/portolan-dev/portolan/pkg/registry/ipaddress"
)

func newAddress(name string, uid types.UID, finalizers ...string) *v1.IPAddress {
	return &v1.IPAddress{
		ObjectMeta: metav1.ObjectMeta{Name: name, Finalizers: finalizers},
		Spec:       v1.IPAddressSpec{ParentRef: &v1.ParentReference{Resource: "services", Namespace: "default", Name: "web", UID: uid}},
	}
}

// hold stores a claim that a Service holds. It bypasses the registry, as the Service's
// transaction does.
func hold(t *testing.T, ctx context.Context, r generic.Store, name string, finalizers ...string) {
	t.Helper()
	key, err := r.KeyFunc(ctx, name)
	if err != nil {
		t.Fatal(err)
	}
	address := newAddress(name, "holder", finalizers...)
	address.UID = "uid-of-" + types.UID(name)
	if err := r.Storage.Create(ctx, key, address, &v1.IPAddress{}, 0, false); err != nil {
		t.Fatal(err)
	}
}

func newAddressStore(t *testing.T) generic.Store {
	t.Helper()
	store, _ := newStore(t, "ipaddresses", registry.Inputs{})
	return store
}

func checkAddressHeld(t *testing.T, what string, err error) {
	t.Helper()
	if !apierrors.IsConflict(err) || !strings.Contains(err.Error(), "the address is held by services/default/web") {
		t.Errorf("%s: got %v, want a conflict that names the holder", what, err)
	}
}

func TestIPAddressHeld(t *testing.T) {
	r, ctx := newAddressStore(t), clusterScoped(t)
	hold(t, ctx, r, "10.96.0.10")
	hold(t, ctx, r, "10.96.0.11", "example.com/wait")
	for _, name := range []string{"10.96.0.10", "10.96.0.11"} {
		_, _, err := r.Delete(ctx, name, rest.ValidateAllObjectFunc, &metav1.DeleteOptions{})
		checkAddressHeld(t, "delete of "+name, err)
		_, _, err = r.Delete(ctx, name, rest.ValidateAllObjectFunc, &metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}})
		checkAddressHeld(t, "dry run of the delete of "+name, err)
		_, err = r.DeleteCollection(ctx, rest.ValidateAllObjectFunc, &metav1.DeleteOptions{}, &metainternalversion.ListOptions{})
		checkAddressHeld(t, "deletecollection", err)
		got, err := r.Get(ctx, name, &metav1.GetOptions{})
		if err != nil || got.(*v1.IPAddress).DeletionTimestamp != nil {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}

	labeled := newAddress("10.96.0.10", "")
	labeled.Labels = map[string]string{"a": "b"}
	got, _, err := r.Update(ctx, labeled.Name, rest.DefaultUpdatedObjectInfo(labeled), rest.ValidateAllObjectFunc,
		rest.ValidateAllObjectUpdateFunc, false, &metav1.UpdateOptions{})
	if err != nil {
		t.Fatalf("label of a claim whose holder's UID the client does not know: %v", err)
	}
	if address := got.(*v1.IPAddress); address.Labels["a"] != "b" || address.Spec.ParentRef.UID != "holder" {
		t.Errorf("got %+v", address)
	}
}

func TestIPAddressDeleteCollectionStopsAtAHeldAddress(t *testing.T) {
	r, ctx := newAddressStore(t), clusterScoped(t)
	for _, name := range []string{"10.96.0.1", "10.96.0.3"} {
		if _, err := r.Create(ctx, newAddress(name, ""), rest.ValidateAllObjectFunc, &metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	hold(t, ctx, r, "10.96.0.2")
	_, err := r.DeleteCollection(ctx, rest.ValidateAllObjectFunc, &metav1.DeleteOptions{}, &metainternalversion.ListOptions{})
	checkAddressHeld(t, "deletecollection", err)
	for name, want := range map[string]bool{"10.96.0.1": false, "10.96.0.2": true, "10.96.0.3": true} {
		if _, err := r.Get(ctx, name, &metav1.GetOptions{}); (err == nil) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestIPAddressReservations(t *testing.T) {
	r, ctx := newAddressStore(t), clusterScoped(t)
	if _, err := r.Create(ctx, newAddress("10.96.0.1", "forged"), rest.ValidateAllObjectFunc,
		&metav1.CreateOptions{}); !apierrors.IsInvalid(err) {
		t.Errorf("a client's UID: got %v", err)
	}
	address := newAddress("10.96.0.1", "")
	if _, _, err := r.Update(ctx, address.Name, rest.DefaultUpdatedObjectInfo(address), rest.ValidateAllObjectFunc,
		rest.ValidateAllObjectUpdateFunc, false, &metav1.UpdateOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("put of a missing one: got %v, want 404", err)
	}
	if _, err := r.Create(ctx, address, rest.ValidateAllObjectFunc, &metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.Delete(ctx, address.Name, rest.ValidateAllObjectFunc, &metav1.DeleteOptions{}); err != nil {
		t.Errorf("delete: %v", err)
	}
}

func TestIPAddressTable(t *testing.T) {
	list := &v1.IPAddressList{Items: []v1.IPAddress{*newAddress("10.96.0.1", ""), {}}}
	list.Items[0].Spec.ParentRef.Group = "example.com"
	table, err := ipaddress.TableConvertor.ConvertToTable(t.Context(), list, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(table.ColumnDefinitions) != len(table.Rows[0].Cells) {
		t.Errorf("%d columns, %d cells", len(table.ColumnDefinitions), len(table.Rows[0].Cells))
	}
	if got := table.Rows[0].Cells[1]; got != "services.example.com/default/web" {
		t.Errorf("got %v", got)
	}
	if got := table.Rows[1].Cells[1]; got != "<none>" {
		t.Errorf("no holder: got %v", got)
	}
}
