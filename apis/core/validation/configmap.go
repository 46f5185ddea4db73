package validation

import (
	"maps"
	"reflect"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	portolanvalidation "github.com/portolan-dev/portolan/apis/portolan/validation"
)

var binaryDataPath = field.NewPath("binaryData")

// ValidateConfigMap validates a ConfigMap (upstream's pkg/apis/core/validation). Like
// upstream's, the error about the size names no field.
func ValidateConfigMap(config *corev1.ConfigMap) field.ErrorList {
	errs := portolanvalidation.ValidateObjectMeta(&config.ObjectMeta, true, apivalidation.NameIsDNSSubdomain, metadataPath)
	size := 0
	for _, key := range slices.Sorted(maps.Keys(config.Data)) {
		errs = append(errs, portolanvalidation.Invalid(dataPath.Key(key), key, utilvalidation.IsConfigMapKey(key))...)
		if _, found := config.BinaryData[key]; found {
			errs = append(errs, field.Invalid(dataPath.Key(key), key, "duplicate of key present in binaryData"))
		}
		size += len(config.Data[key])
	}
	for _, key := range slices.Sorted(maps.Keys(config.BinaryData)) {
		errs = append(errs, portolanvalidation.Invalid(binaryDataPath.Key(key), key, utilvalidation.IsConfigMapKey(key))...)
		size += len(config.BinaryData[key])
	}
	if size > corev1.MaxSecretSize {
		errs = append(errs, field.TooLong(field.NewPath(""), "", corev1.MaxSecretSize))
	}
	return portolanvalidation.Bounded(errs)
}

// ValidateConfigMapUpdate validates an update of a ConfigMap.
func ValidateConfigMapUpdate(config, old *corev1.ConfigMap) field.ErrorList {
	errs := portolanvalidation.ValidateObjectMetaUpdate(&config.ObjectMeta, &old.ObjectMeta, metadataPath)
	if ptr.Deref(old.Immutable, false) {
		if !ptr.Deref(config.Immutable, false) {
			errs = append(errs, field.Forbidden(immutablePath, immutable))
		}
		if !reflect.DeepEqual(config.Data, old.Data) {
			errs = append(errs, field.Forbidden(dataPath, immutable))
		}
		if !reflect.DeepEqual(config.BinaryData, old.BinaryData) {
			errs = append(errs, field.Forbidden(binaryDataPath, immutable))
		}
	}
	return portolanvalidation.Bounded(append(errs, ValidateConfigMap(config)...))
}
