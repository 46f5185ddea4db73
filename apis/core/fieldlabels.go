package core

import (
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
)

// addFieldLabels registers the fields that objects can be selected by
// (upstream's pkg/apis/core/v1/conversion.go).
func addFieldLabels(scheme *runtime.Scheme) error {
	return errors.Join(
		scheme.AddFieldLabelConversionFunc(corev1.SchemeGroupVersion.WithKind("Service"), v1.ServiceFieldLabel),
		addLabels(scheme, "Namespace", "metadata.name", "status.phase"),
	)
}

// addLabels lets a kind of the core group be selected by the given fields alone.
func addLabels(scheme *runtime.Scheme, kind string, fields ...string) error {
	return scheme.AddFieldLabelConversionFunc(corev1.SchemeGroupVersion.WithKind(kind), func(label, value string) (string, string, error) {
		if !slices.Contains(fields, label) {
			return "", "", fmt.Errorf("field label not supported: %s", label)
		}
		return label, value, nil
	})
}
