package event

import (
	"cmp"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/portolan-dev/portolan/pkg/registry/generic"
)

var docs = corev1.Event{}.SwaggerDoc()

// TableConvertor has the columns of upstream's Event table
// (pkg/printers/internalversion).
var TableConvertor = generic.NewTable(corev1.Resource("events"), []metav1.TableColumnDefinition{
	{Name: "Last Seen", Type: "string", Description: docs["lastTimestamp"]},
	{Name: "Type", Type: "string", Description: docs["type"]},
	{Name: "Reason", Type: "string", Description: docs["reason"]},
	{Name: "Object", Type: "string", Description: docs["involvedObject"]},
	{Name: "Subobject", Type: "string", Priority: 1, Description: corev1.ObjectReference{}.SwaggerDoc()["fieldPath"]},
	{Name: "Source", Type: "string", Priority: 1, Description: docs["source"]},
	{Name: "Message", Type: "string", Description: docs["message"]},
	{Name: "First Seen", Type: "string", Priority: 1, Description: docs["firstTimestamp"]},
	{Name: "Count", Type: "string", Priority: 1, Description: docs["count"]},
	hidden(generic.NameColumn()),
}, func(event *corev1.Event) []any {
	first, last, count := seen(event)
	return []any{
		last, event.Type, event.Reason, target(&event.InvolvedObject), event.InvolvedObject.FieldPath, source(event),
		strings.TrimSpace(event.Message), first, count, event.Name,
	}
})

// hidden makes a column show in wide tables only.
func hidden(column metav1.TableColumnDefinition) metav1.TableColumnDefinition {
	column.Priority = 1
	return column
}

// seen returns the ages of an Event's first and last occurrence, and the number of
// occurrences. Without a count or a series, an Event has occurred once.
func seen(event *corev1.Event) (first, last string, count int64) {
	first = generic.Age(event.FirstTimestamp)
	if event.FirstTimestamp.IsZero() {
		first = generic.Age(metav1.Time(event.EventTime))
	}
	last = generic.Age(event.LastTimestamp)
	if event.LastTimestamp.IsZero() {
		last = first
	}
	if series := event.Series; series != nil {
		return first, generic.Age(metav1.Time(series.LastObservedTime)), int64(series.Count)
	}
	return first, last, int64(cmp.Or(event.Count, 1))
}

func target(about *corev1.ObjectReference) string {
	kind := strings.ToLower(about.Kind)
	if about.Name == "" {
		return kind
	}
	return kind + "/" + about.Name
}

func source(event *corev1.Event) string {
	component := cmp.Or(event.Source.Component, event.ReportingController)
	if instance := cmp.Or(event.Source.Host, event.ReportingInstance); instance != "" {
		return component + ", " + instance
	}
	return component
}
