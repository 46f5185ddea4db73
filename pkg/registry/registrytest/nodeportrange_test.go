package registrytest

import (
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/utils/ptr"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/registry"
	"github.com/portolan-dev/portolan/pkg/registry/generic"
	"github.com/portolan-dev/portolan/pkg/registry/nodeportrange"
)

type portRangeUsage struct{}

func (portRangeUsage) PortUsage(name string) (capacity, allocated, free int32) {
	if name == "low" {
		return 10, 3, 7
	}
	return 0, 0, 0
}

func newRange(ports ...string) *v1.NodePortRange {
	return &v1.NodePortRange{
		ObjectMeta: metav1.ObjectMeta{Name: "low"},
		Spec:       v1.NodePortRangeSpec{Ports: ports, AutoAssign: ptr.To(false)},
		Status: v1.NodePortRangeStatus{
			Conditions: []metav1.Condition{{Type: "Ready", Status: "True", Reason: "Ready", LastTransitionTime: metav1.Now()}}, Capacity: 1,
		},
	}
}

func checkPortRangeUsage(t *testing.T, what string, obj any, err error) *v1.NodePortRange {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	ports, ok := obj.(*v1.NodePortRange)
	if !ok || ports.Status.Capacity != 10 || ports.Status.Allocated != 3 || ports.Status.Free != 7 {
		t.Fatalf("%s: got %#v", what, obj)
	}
	return ports
}

func newPortRangeStore(t *testing.T) (generic.Store, *generic.Status) {
	t.Helper()
	return newStore(t, "nodeportranges", registry.Inputs{PortUsage: portRangeUsage{}})
}

func TestNodePortRangeUsage(t *testing.T) {
	store, status := newPortRangeStore(t)
	ctx := clusterScoped(t)
	w, err := store.Watch(ctx, &metainternalversion.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	checkWatch := func(what string) {
		t.Helper()
		select {
		case event := <-w.ResultChan():
			checkPortRangeUsage(t, what, event.Object, nil)
		case <-time.After(30 * time.Second):
			t.Fatalf("%s: no event", what)
		}
	}

	created, err := store.Create(ctx, newRange("80-89"), rest.ValidateAllObjectFunc, &metav1.CreateOptions{})
	if ports := checkPortRangeUsage(t, "create", created, err); ports.Status.Conditions != nil {
		t.Errorf("create set conditions: %v", ports.Status.Conditions)
	}
	checkWatch("watch of the create")

	shrunk := newRange("80", "443")
	shrunk.Spec.AutoAssign = ptr.To(true)
	updated, _, err := store.Update(ctx, "low", rest.DefaultUpdatedObjectInfo(shrunk), rest.ValidateAllObjectFunc,
		rest.ValidateAllObjectUpdateFunc, false, &metav1.UpdateOptions{})
	if ports := checkPortRangeUsage(t, "update", updated, err); len(ports.Spec.Ports) != 2 || !*ports.Spec.AutoAssign {
		t.Errorf("update: got %+v", ports.Spec)
	}
	checkWatch("watch of the update")

	updated, _, err = status.Update(ctx, "low", rest.DefaultUpdatedObjectInfo(newRange("1-1000")), rest.ValidateAllObjectFunc,
		rest.ValidateAllObjectUpdateFunc, false, &metav1.UpdateOptions{})
	if ports := checkPortRangeUsage(t, "update of the status", updated, err); len(ports.Spec.Ports) != 2 || len(ports.Status.Conditions) != 1 {
		t.Errorf("update of the status: got %+v", ports)
	}
	checkWatch("watch of the status")

	list, err := store.List(ctx, &metainternalversion.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	checkPortRangeUsage(t, "list", &list.(*v1.NodePortRangeList).Items[0], nil)
	got, err := status.Get(ctx, "low", &metav1.GetOptions{})
	checkPortRangeUsage(t, "get of the status", got, err)

	stored := &v1.NodePortRange{}
	key, _ := store.KeyFunc(ctx, "low")
	if err := store.Storage.Get(ctx, key, storage.GetOptions{}, stored); err != nil {
		t.Fatal(err)
	}
	if stored.Status.Capacity != 0 || stored.Status.Allocated != 0 || stored.Status.Free != 0 {
		t.Errorf("the storage holds %+v", stored.Status)
	}
}

func TestNodePortRangePutDoesNotCreate(t *testing.T) {
	store, status := newPortRangeStore(t)
	ctx := clusterScoped(t)
	info := rest.DefaultUpdatedObjectInfo(newRange("80"))
	if _, _, err := store.Update(ctx, "low", info, rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc, false,
		&metav1.UpdateOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("got %v, want 404", err)
	}
	if _, _, err := status.Update(ctx, "low", info, rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc, true,
		&metav1.UpdateOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("status: got %v, want 404", err)
	}
}

func TestNodePortRangeTable(t *testing.T) {
	ports := newRange("443", "30000-32767")
	ports.Status = v1.NodePortRangeStatus{Capacity: 10, Allocated: 3, Free: 7}
	table, err := nodeportrange.TableConvertor.ConvertToTable(t.Context(), ports, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []any{"low", "443,30000-32767", false, int64(10), int64(3), int64(7), "<unknown>", "OnRequest", int64(0), "<all>", "<all>"}
	cells := table.Rows[0].Cells
	if len(cells) != len(want) || len(table.ColumnDefinitions) != len(want) {
		t.Fatalf("got %v", cells)
	}
	for i := range want {
		if cells[i] != want[i] {
			t.Errorf("got %v, want %v", cells[i], want[i])
		}
	}
}
