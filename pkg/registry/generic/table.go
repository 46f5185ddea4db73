package generic

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/apiserver/pkg/registry/rest"
)

const (
	// None is upstream's text for an empty value.
	None = "<none>"
	// Unknown is upstream's text for a missing value.
	Unknown = "<unknown>"
)

// NewTable returns the table convertor of a kind. T is the type of its objects, such as
// *v1.Service. Objects of other types are not acceptable (406), as with upstream's default
// convertor.
//
// Rows have the whole object. The request handler reduces it to what the client asks for
// (includeObject). Cells are never truncated.
func NewTable[T runtime.Object](resource schema.GroupResource, columns []metav1.TableColumnDefinition,
	cells func(T) []any) rest.TableConvertor {
	return convertor[T]{columns: columns, cells: cells, other: rest.NewDefaultTableConvertor(resource)}
}

type convertor[T runtime.Object] struct {
	columns []metav1.TableColumnDefinition
	cells   func(T) []any
	// other rejects objects of other types.
	other rest.TableConvertor
}

// ConvertToTable implements rest.TableConvertor.
func (c convertor[T]) ConvertToTable(ctx context.Context, object, tableOptions runtime.Object) (*metav1.Table, error) {
	options, err := optionsOf(tableOptions)
	if err != nil {
		return nil, err
	}
	table := &metav1.Table{Rows: []metav1.TableRow{}}
	foreign := false
	addRow := func(item runtime.Object) error {
		typed, ok := item.(T)
		if !ok {
			foreign = true
			return nil
		}
		table.Rows = append(table.Rows, metav1.TableRow{Cells: c.cells(typed), Object: runtime.RawExtension{Object: item}})
		return nil
	}
	if meta.IsListType(object) {
		err = meta.EachListItem(object, addRow)
	} else {
		err = addRow(object)
	}
	if err != nil {
		return nil, err
	}
	if foreign {
		return c.other.ConvertToTable(ctx, object, tableOptions)
	}
	carryListMeta(table, object)
	if !options.NoHeaders {
		table.ColumnDefinitions = c.columns
	}
	return table, nil
}

func optionsOf(object runtime.Object) (metav1.TableOptions, error) {
	switch options := object.(type) {
	case nil:
		return metav1.TableOptions{}, nil
	case *metav1.TableOptions:
		if options == nil {
			return metav1.TableOptions{}, nil
		}
		return *options, nil
	default:
		return metav1.TableOptions{}, fmt.Errorf("unrecognized type %T for table options, can't display tabular output", object)
	}
}

func carryListMeta(table *metav1.Table, object runtime.Object) {
	if list, err := meta.ListAccessor(object); err == nil {
		table.ResourceVersion = list.GetResourceVersion()
		table.Continue = list.GetContinue()
		table.RemainingItemCount = list.GetRemainingItemCount()
	} else if single, err := meta.CommonAccessor(object); err == nil {
		table.ResourceVersion = single.GetResourceVersion()
	}
}

var metaDocs = metav1.ObjectMeta{}.SwaggerDoc()

// NameColumn is the first column of every table.
func NameColumn() metav1.TableColumnDefinition {
	return metav1.TableColumnDefinition{Name: "Name", Type: "string", Format: "name", Description: metaDocs["name"]}
}

// AgeColumn is the column for Age.
func AgeColumn() metav1.TableColumnDefinition {
	return metav1.TableColumnDefinition{Name: "Age", Type: "string", Description: metaDocs["creationTimestamp"]}
}

// Age returns the time since the creation of an object, in upstream's short form ("5m3s").
func Age(created metav1.Time) string {
	if created.IsZero() {
		return Unknown
	}
	return duration.HumanDuration(time.Since(created.Time))
}
