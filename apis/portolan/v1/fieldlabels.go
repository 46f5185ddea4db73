package v1

import (
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
)

// serviceFieldLabels are the fields that Services can be selected by, as
// upstream's can.
var serviceFieldLabels = map[string]bool{
	"metadata.name":      true,
	"metadata.namespace": true,
	"spec.clusterIP":     true,
	"spec.type":          true,
}

func addFieldLabels(scheme *runtime.Scheme) error {
	return scheme.AddFieldLabelConversionFunc(SchemeGroupVersion.WithKind("Service"), func(label, value string) (string, string, error) {
		if !serviceFieldLabels[label] {
			return "", "", fmt.Errorf("field label not supported: %s", label)
		}
		return label, value, nil
	})
}
