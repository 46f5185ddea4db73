package registrytest

import (
	"context"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/utils/ptr"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/pkg/registry"
	"github.com/portolan-dev/portolan/pkg/registry/generic"
	"github.com/portolan-dev/portolan/pkg/registry/servicecidr"
)

type cidrUsage struct{}

func (cidrUsage) CIDRUsage(cidr string) (capacity, allocated, free int64) {
	if cidr == "10.0.0.0/24" {
		return 254, 4, 250
	}
	return 65535, 5, 65530
}

func newCIDR(cidrs ...string) *v1.ServiceCIDR {
	return &v1.ServiceCIDR{
		ObjectMeta: metav1.ObjectMeta{Name: "extra"},
		Spec:       v1.ServiceCIDRSpec{CIDRs: cidrs},
		Status: v1.ServiceCIDRStatus{
			Conditions: []metav1.Condition{{Type: "Ready", Status: "False", Reason: "Full", LastTransitionTime: metav1.Now()}},
			CIDRs:      []v1.CIDRUsage{{CIDR: "10.0.0.0/24", Capacity: 1}},
		},
	}
}

func newCIDRStore(t *testing.T) (generic.Store, *generic.Status) {
	t.Helper()
	return newStore(t, "servicecidrs", registry.Inputs{CIDRUsage: cidrUsage{}})
}

func checkCIDRUsage(t *testing.T, what string, obj any) {
	t.Helper()
	cidr, ok := obj.(*v1.ServiceCIDR)
	if !ok {
		t.Fatalf("%s: got a %T", what, obj)
	}
	if got := cidr.Status.CIDRs; len(got) != len(cidr.Spec.CIDRs) ||
		got[0] != (v1.CIDRUsage{CIDR: "10.0.0.0/24", Capacity: 254, Allocated: 4, Free: 250}) {
		t.Errorf("%s: got usage %v", what, got)
	}
}

func nextEvent(t *testing.T, w watch.Interface, want watch.EventType) any {
	t.Helper()
	select {
	case event := <-w.ResultChan():
		if event.Type != want {
			t.Fatalf("got %s of %v, want %s", event.Type, event.Object, want)
		}
		return event.Object
	case <-time.After(30 * time.Second):
		t.Fatalf("no %s", want)
		return nil
	}
}

func checkCIDRReads(t *testing.T, ctx context.Context, store generic.Store, status *generic.Status) {
	t.Helper()
	for range 2 {
		list, err := store.List(ctx, &metainternalversion.ListOptions{ResourceVersion: "0"})
		if err != nil {
			t.Fatal(err)
		}
		checkCIDRUsage(t, "list", &list.(*v1.ServiceCIDRList).Items[0])
		got, err := status.Get(ctx, "extra", &metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		checkCIDRUsage(t, "get of the status", got)
	}
	for _, version := range []string{"", "0"} {
		stored := &v1.ServiceCIDR{}
		key, _ := store.KeyFunc(ctx, "extra")
		if err := store.Storage.Get(ctx, key, storage.GetOptions{ResourceVersion: version}, stored); err != nil {
			t.Fatal(err)
		}
		if stored.Status.CIDRs != nil {
			t.Errorf("at %q the storage holds %v", version, stored.Status.CIDRs)
		}
	}
}

// TestServiceCIDRUsage wants the usage in every response and in no stored object.
func TestServiceCIDRUsage(t *testing.T) {
	store, status := newCIDRStore(t)
	ctx := clusterScoped(t)
	w, err := store.Watch(ctx, &metainternalversion.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	second, err := store.Watch(ctx, &metainternalversion.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer second.Stop()

	created, err := store.Create(ctx, newCIDR("10.0.0.0/24"), rest.ValidateAllObjectFunc, &metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	checkCIDRUsage(t, "create", created)
	checkCIDRUsage(t, "watch of the create", nextEvent(t, w, watch.Added))
	checkCIDRUsage(t, "second watch", nextEvent(t, second, watch.Added))
	// The condition of the client's request is ignored.
	if conditions := created.(*v1.ServiceCIDR).Status.Conditions; len(conditions) != 1 || conditions[0].Type != v1.ServiceCIDRConditionReady ||
		conditions[0].Status != metav1.ConditionTrue || conditions[0].Message != "Kubernetes Service CIDR is ready" ||
		conditions[0].LastTransitionTime.IsZero() {
		t.Errorf("create set conditions: %v", conditions)
	}

	updated, _, err := store.Update(ctx, "extra", rest.DefaultUpdatedObjectInfo(newCIDR("10.0.0.0/24", "fd00::/112")),
		rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc, false, &metav1.UpdateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	checkCIDRUsage(t, "update", updated)
	checkCIDRUsage(t, "watch of the update", nextEvent(t, w, watch.Modified))

	changed := newCIDR("10.9.0.0/24")
	changed.Labels = map[string]string{"a": "b"}
	updated, _, err = status.Update(ctx, "extra", rest.DefaultUpdatedObjectInfo(changed), rest.ValidateAllObjectFunc,
		rest.ValidateAllObjectUpdateFunc, true, &metav1.UpdateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	checkCIDRUsage(t, "update of the status", updated)
	if cidr := updated.(*v1.ServiceCIDR); len(cidr.Spec.CIDRs) != 2 || cidr.Labels != nil || len(cidr.Status.Conditions) != 1 {
		t.Errorf("update of the status: got %+v", cidr)
	}
	checkCIDRUsage(t, "watch of the status", nextEvent(t, w, watch.Modified))

	checkCIDRReads(t, ctx, store, status)

	// The first events of a watch that starts late take another path than live ones.
	late, err := store.Watch(ctx, &metainternalversion.ListOptions{ResourceVersion: "0"})
	if err != nil {
		t.Fatal(err)
	}
	defer late.Stop()
	checkCIDRUsage(t, "late watch", nextEvent(t, late, watch.Added))
	if _, _, err := store.Delete(ctx, "extra", rest.ValidateAllObjectFunc, &metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	checkCIDRUsage(t, "watch of the delete", nextEvent(t, w, watch.Deleted))
}

func TestServiceCIDRPutDoesNotCreate(t *testing.T) {
	store, status := newCIDRStore(t)
	ctx := clusterScoped(t)
	info := rest.DefaultUpdatedObjectInfo(newCIDR("10.0.0.0/24"))
	if _, _, err := store.Update(ctx, "extra", info, rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc, false,
		&metav1.UpdateOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("got %v, want 404", err)
	}
	if _, _, err := status.Update(ctx, "extra", info, rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc, true,
		&metav1.UpdateOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("status: got %v, want 404", err)
	}
}

func TestServiceCIDRResetFields(t *testing.T) {
	for version, set := range servicecidr.Rules(nil, cidrUsage{}).Strategy.(rest.ResetFieldsStrategy).GetResetFields() {
		if got := set.String(); got != "status" && got != ".status" {
			t.Errorf("%s: got %s", version, got)
		}
	}
	if got := len(servicecidr.Rules(nil, cidrUsage{}).Status.GetResetFields()); got != 2 {
		t.Errorf("status: %d versions", got)
	}
}

func TestServiceCIDRTable(t *testing.T) {
	dual := newCIDR("10.0.0.0/24", "fd00::/112")
	dual.Status.CIDRs = []v1.CIDRUsage{
		{CIDR: "fd00::/112", Capacity: 65535, Allocated: 5, Free: 65530}, {CIDR: "10.0.0.0/24", Capacity: 254, Allocated: 4, Free: 250},
	}
	partly := newCIDR("10.0.0.0/24", "fd00::/112")
	partly.Spec.Allocation, partly.Spec.Priority = ptr.To(v1.AllocationOnRequest), ptr.To[int32](7)
	partly.Spec.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"team": "a"}}
	table, err := servicecidr.TableConvertor.ConvertToTable(t.Context(), &v1.ServiceCIDRList{Items: []v1.ServiceCIDR{*dual, *partly}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range [][]any{
		{"extra", "10.0.0.0/24,fd00::/112", "254,65535", "4,5", "250,65530", "<unknown>", "Automatic", int64(0), "<all>", "<all>"},
		{"extra", "10.0.0.0/24,fd00::/112", "1,<unknown>", "0,<unknown>", "0,<unknown>", "<unknown>", "OnRequest", int64(7), "team=a", "<all>"},
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
