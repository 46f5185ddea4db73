package validation

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	portolanvalidation "github.com/portolan-dev/portolan/apis/portolan/validation"
)

const (
	maxEventWord = 128
	maxEventNote = 1024
)

// ValidateEvent validates an Event (upstream's pkg/apis/core/validation/events.go).
// Strict adds the rules of events.k8s.io. As in upstream, core v1 keeps its laxer rules.
func ValidateEvent(event *corev1.Event, strict bool) field.ErrorList {
	errs := validateEvent(event, strict)
	if !strict {
		return portolanvalidation.Bounded(errs)
	}
	errs = append(errs, portolanvalidation.ValidateObjectMeta(&event.ObjectMeta, true, apivalidation.NameIsDNSSubdomain, metadataPath)...)
	errs = append(errs, validateSeries(event.Series)...)
	if event.EventTime.IsZero() {
		errs = append(errs, field.Required(field.NewPath("eventTime"), ""))
	}
	if event.Type != corev1.EventTypeNormal && event.Type != corev1.EventTypeWarning {
		errs = append(errs, field.Invalid(field.NewPath("type"), "", fmt.Sprintf("has invalid value: %v", event.Type)))
	}
	for _, old := range []struct {
		name string
		set  bool
	}{
		{"firstTimestamp", !event.FirstTimestamp.IsZero()},
		{"lastTimestamp", !event.LastTimestamp.IsZero()},
		{"count", event.Count != 0},
		{"source", event.Source != corev1.EventSource{}},
	} {
		if old.set {
			errs = append(errs, field.Invalid(field.NewPath(old.name), "", "needs to be unset"))
		}
	}
	return portolanvalidation.Bounded(errs)
}

// ValidateEventUpdate validates an update of an Event. If strict, as in events.k8s.io,
// only the series can change.
func ValidateEventUpdate(event, old *corev1.Event, strict bool) field.ErrorList {
	errs := validateEvent(event, strict)
	if !strict {
		return portolanvalidation.Bounded(errs)
	}
	errs = append(errs, portolanvalidation.ValidateObjectMetaUpdate(&event.ObjectMeta, &old.ObjectMeta, metadataPath)...)
	if !equality.Semantic.DeepEqual(event.Series, old.Series) {
		errs = append(errs, validateSeries(event.Series)...)
	}
	// Clients send times with a higher precision than is stored.
	oldTime := old.EventTime
	if event.EventTime.Truncate(time.Microsecond).Equal(oldTime.Truncate(time.Microsecond)) {
		oldTime = event.EventTime
	}
	for _, fixed := range []struct {
		name     string
		new, old any
	}{
		{"involvedObject", event.InvolvedObject, old.InvolvedObject},
		{"reason", event.Reason, old.Reason},
		{"message", event.Message, old.Message},
		{"source", event.Source, old.Source},
		{"firstTimestamp", event.FirstTimestamp, old.FirstTimestamp},
		{"lastTimestamp", event.LastTimestamp, old.LastTimestamp},
		{"count", event.Count, old.Count},
		{"type", event.Type, old.Type},
		{"eventTime", event.EventTime, oldTime},
		{"action", event.Action, old.Action},
		{"related", event.Related, old.Related},
		{"reportingController", event.ReportingController, old.ReportingController},
		{"reportingInstance", event.ReportingInstance, old.ReportingInstance},
	} {
		errs = append(errs, apivalidation.ValidateImmutableField(fixed.new, fixed.old, field.NewPath(fixed.name))...)
	}
	return portolanvalidation.Bounded(errs)
}

func validateSeries(series *corev1.EventSeries) field.ErrorList {
	var errs field.ErrorList
	if series != nil && series.Count < 2 {
		errs = append(errs, field.Invalid(field.NewPath("series.count"), "", "should be at least 2"))
	}
	if series != nil && series.LastObservedTime.IsZero() {
		errs = append(errs, field.Required(field.NewPath("series.lastObservedTime"), ""))
	}
	return errs
}

// validateEvent has the rules of both groups. An Event with an eventTime is of the new
// form and must name its reporter and the action.
func validateEvent(event *corev1.Event, strict bool) field.ErrorList {
	var errs field.ErrorList
	about, own := event.InvolvedObject.Namespace, event.Namespace
	elsewhere := field.Invalid(field.NewPath("involvedObject", "namespace"), about, "does not match event.namespace")
	if event.EventTime.IsZero() {
		if about == "" && own != metav1.NamespaceNone && own != metav1.NamespaceDefault || about != "" && about != own {
			errs = append(errs, elsewhere)
		}
	} else {
		if about == "" && own != metav1.NamespaceDefault && own != metav1.NamespaceSystem {
			errs = append(errs, elsewhere)
		}
		errs = append(errs, validateReport(event, strict)...)
	}
	return append(errs, portolanvalidation.Invalid(field.NewPath("namespace"), own, utilvalidation.IsDNS1123Subdomain(own))...)
}

func validateReport(event *corev1.Event, strict bool) field.ErrorList {
	var errs field.ErrorList
	controller := field.NewPath("reportingComponent")
	if strict {
		controller = field.NewPath("reportingController")
	}
	if event.ReportingController == "" {
		errs = append(errs, field.Required(controller, ""))
	}
	errs = append(errs, portolanvalidation.Invalid(controller, event.ReportingController,
		utilvalidation.IsQualifiedName(event.ReportingController))...)
	for _, word := range []struct {
		name, value string
		required    bool
		limit       int
	}{
		{"reportingInstance", event.ReportingInstance, true, maxEventWord},
		{"action", event.Action, true, maxEventWord},
		{"reason", event.Reason, true, maxEventWord},
		{"message", event.Message, false, maxEventNote},
	} {
		if word.required && word.value == "" {
			errs = append(errs, field.Required(field.NewPath(word.name), ""))
		}
		if len(word.value) > word.limit {
			errs = append(errs, field.Invalid(field.NewPath(word.name), "", fmt.Sprintf("can have at most %v characters", word.limit)))
		}
	}
	return errs
}
