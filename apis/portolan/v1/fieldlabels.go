package v1

import (
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
)

func addFieldLabels(scheme *runtime.Scheme) error {
	return scheme.AddFieldLabelConversionFunc(SchemeGroupVersion.WithKind("Service"), ServiceFieldLabel)
}

// ServiceFieldLabel accepts the fields by which Services can be selected, which are
// upstream's, and rejects others.
func ServiceFieldLabel(label, value string) (internalLabel, internalValue string, err error) {
	switch label {
	case "metadata.name", "metadata.namespace", "spec.clusterIP", "spec.type":
		return label, value, nil
	default:
		return "", "", fmt.Errorf("field label not supported: %s", label)
	}
}
