package v1

import (
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
)

func addFieldLabels(scheme *runtime.Scheme) error {
	return scheme.AddFieldLabelConversionFunc(SchemeGroupVersion.WithKind("Service"), ServiceFieldLabel)
}

// ServiceFieldLabel passes on the fields that Services can be selected by, as
// upstream's can, and refuses others.
func ServiceFieldLabel(label, value string) (internalLabel, internalValue string, err error) {
	switch label {
	case "metadata.name", "metadata.namespace", "spec.clusterIP", "spec.type":
		return label, value, nil
	default:
		return "", "", fmt.Errorf("field label not supported: %s", label)
	}
}
