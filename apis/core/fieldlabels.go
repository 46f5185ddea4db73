package core

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/runtime"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

// addFieldLabels registers the fields by which clients can select objects (upstream's
// pkg/apis/core/v1/conversion.go).
func addFieldLabels(scheme *runtime.Scheme) error {
	return errors.Join(
		scheme.AddFieldLabelConversionFunc(corev1.SchemeGroupVersion.WithKind("Service"), v1.ServiceFieldLabel),
		addLabels(scheme, "Namespace", "metadata.name", "status.phase"),
		addLabels(scheme, "Node", "metadata.name", "spec.unschedulable"),
		scheme.AddFieldLabelConversionFunc(corev1.SchemeGroupVersion.WithKind("Pod"), podFieldLabel),
		addLabels(scheme, "Event", append(slices.Collect(maps.Values(eventFields)), "source")...),
		addLabels(scheme, "Secret", "metadata.name", "metadata.namespace", "type"),
		scheme.AddFieldLabelConversionFunc(eventsv1.SchemeGroupVersion.WithKind("Event"), eventFieldLabel),
	)
}

// addLabels registers the field labels of a kind of core v1.
func addLabels(scheme *runtime.Scheme, kind string, fields ...string) error {
	return scheme.AddFieldLabelConversionFunc(corev1.SchemeGroupVersion.WithKind(kind), func(label, value string) (string, string, error) {
		if !slices.Contains(fields, label) {
			return "", "", unsupported(label)
		}
		return label, value, nil
	})
}

func unsupported(label string) error { return fmt.Errorf("field label not supported: %s", label) }

func podFieldLabel(label, value string) (string, string, error) {
	switch label {
	case "metadata.name", "metadata.namespace", "spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName",
		"spec.hostNetwork", "status.phase", "status.podIP", "status.podIPs", "status.nominatedNodeName":
		return label, value, nil
	case "spec.host":
		// The field's name before v1.
		return "spec.nodeName", value, nil
	default:
		return "", "", unsupported(label)
	}
}

// eventFields maps the field labels of Events in events.k8s.io to those in core v1.
var eventFields = map[string]string{
	"reason":                    "reason",
	"regarding.kind":            "involvedObject.kind",
	"regarding.namespace":       "involvedObject.namespace",
	"regarding.name":            "involvedObject.name",
	"regarding.uid":             "involvedObject.uid",
	"regarding.apiVersion":      "involvedObject.apiVersion",
	"regarding.resourceVersion": "involvedObject.resourceVersion",
	"regarding.fieldPath":       "involvedObject.fieldPath",
	"reportingController":       "reportingComponent",
	"type":                      "type",
	"metadata.namespace":        "metadata.namespace",
	"metadata.name":             "metadata.name",
}

func eventFieldLabel(label, value string) (string, string, error) {
	stored, ok := eventFields[label]
	if !ok {
		return "", "", unsupported(label)
	}
	return stored, value, nil
}
