package generic

import (
	"net/http"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

var convertorOfPorts = NewTable(v1.Resource("nodeports"), []metav1.TableColumnDefinition{NameColumn()}, func(port *v1.NodePort) []any {
	return []any{port.Name}
})

func TestConvertList(t *testing.T) {
	list := &v1.NodePortList{
		ListMeta: metav1.ListMeta{ResourceVersion: "7", Continue: "more", RemainingItemCount: ptr.To[int64](3)},
		Items:    []v1.NodePort{{ObjectMeta: metav1.ObjectMeta{Name: "80"}}, {ObjectMeta: metav1.ObjectMeta{Name: "443"}}},
	}
	table, err := convertorOfPorts.ConvertToTable(t.Context(), list, nil)
	if err != nil {
		t.Fatal(err)
	}
	if table.ResourceVersion != "7" || table.Continue != "more" || *table.RemainingItemCount != 3 {
		t.Errorf("list metadata: %+v", table.ListMeta)
	}
	if len(table.ColumnDefinitions) != 1 || len(table.Rows) != 2 {
		t.Fatalf("%d columns, %d rows", len(table.ColumnDefinitions), len(table.Rows))
	}
	for i, row := range table.Rows {
		if row.Cells[0] != list.Items[i].Name || row.Object.Object != &list.Items[i] {
			t.Errorf("row %d: %+v", i, row)
		}
	}
}

func TestConvertOne(t *testing.T) {
	port := &v1.NodePort{ObjectMeta: metav1.ObjectMeta{Name: "80", ResourceVersion: "5"}}
	table, err := convertorOfPorts.ConvertToTable(t.Context(), port, &metav1.TableOptions{NoHeaders: true})
	if err != nil {
		t.Fatal(err)
	}
	if table.ResourceVersion != "5" || len(table.Rows) != 1 || table.ColumnDefinitions != nil {
		t.Errorf("got %+v", table)
	}
}

func TestConvertEmptyList(t *testing.T) {
	table, err := convertorOfPorts.ConvertToTable(t.Context(), &v1.NodePortList{}, (*metav1.TableOptions)(nil))
	if err != nil || table.Rows == nil || len(table.Rows) != 0 {
		t.Errorf("got %+v, %v", table, err)
	}
}

func TestConvertOther(t *testing.T) {
	_, err := convertorOfPorts.ConvertToTable(t.Context(), &metav1.Status{}, nil)
	if status, ok := err.(apierrors.APIStatus); !ok || status.Status().Code != http.StatusNotAcceptable {
		t.Errorf("a Status: got %v, want 406", err)
	}
	if _, err := convertorOfPorts.ConvertToTable(t.Context(), &v1.NodePort{}, &metav1.Status{}); err == nil {
		t.Error("foreign options were accepted")
	}
}

func TestAge(t *testing.T) {
	if got := Age(metav1.Time{}); got != Unknown {
		t.Errorf("unset: got %s", got)
	}
	if got := Age(metav1.NewTime(time.Now().Add(-5 * time.Hour))); got != "5h" {
		t.Errorf("got %s", got)
	}
}
