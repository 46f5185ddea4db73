package validation

import (
	"encoding/json"
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

// immutable is the message about a change of a Secret or a ConfigMap that is immutable.
const immutable = "field is immutable when `immutable` is set"

var dataPath, immutablePath = field.NewPath("data"), field.NewPath("immutable")

// ValidateSecret validates a Secret (upstream's pkg/apis/core/validation). Its errors
// name keys and never contain values.
func ValidateSecret(secret *corev1.Secret) field.ErrorList {
	errs := portolanvalidation.ValidateObjectMeta(&secret.ObjectMeta, true, apivalidation.NameIsDNSSubdomain, metadataPath)
	size := 0
	for _, key := range slices.Sorted(maps.Keys(secret.Data)) {
		errs = append(errs, portolanvalidation.Invalid(dataPath.Key(key), key, utilvalidation.IsConfigMapKey(key))...)
		size += len(secret.Data[key])
	}
	if size > corev1.MaxSecretSize {
		errs = append(errs, field.TooLong(dataPath, "", corev1.MaxSecretSize))
	}
	return portolanvalidation.Bounded(append(errs, validateSecretType(secret)...))
}

// ValidateSecretUpdate validates an update of a Secret.
func ValidateSecretUpdate(secret, old *corev1.Secret) field.ErrorList {
	errs := portolanvalidation.ValidateObjectMetaUpdate(&secret.ObjectMeta, &old.ObjectMeta, metadataPath)
	errs = append(errs, apivalidation.ValidateImmutableField(secret.Type, old.Type, field.NewPath("type"))...)
	if ptr.Deref(old.Immutable, false) {
		if !ptr.Deref(secret.Immutable, false) {
			errs = append(errs, field.Forbidden(immutablePath, immutable))
		}
		if !reflect.DeepEqual(secret.Data, old.Data) {
			errs = append(errs, field.Forbidden(dataPath, immutable))
		}
	}
	return portolanvalidation.Bounded(append(errs, ValidateSecret(secret)...))
}

// validateSecretType checks the required keys of the types that Kubernetes defines.
func validateSecretType(secret *corev1.Secret) field.ErrorList {
	var errs field.ErrorList
	has := func(key string) bool { _, found := secret.Data[key]; return found }
	require := func(keys ...string) {
		for _, key := range keys {
			errs = append(errs, field.Required(dataPath.Key(key), ""))
		}
	}
	switch secret.Type {
	case corev1.SecretTypeServiceAccountToken:
		if secret.Annotations[corev1.ServiceAccountNameKey] == "" {
			errs = append(errs, field.Required(metadataPath.Child("annotations").Key(corev1.ServiceAccountNameKey), ""))
		}
	case corev1.SecretTypeDockercfg:
		errs = append(errs, validateJSON(secret, corev1.DockerConfigKey)...)
	case corev1.SecretTypeDockerConfigJson:
		errs = append(errs, validateJSON(secret, corev1.DockerConfigJsonKey)...)
	case corev1.SecretTypeBasicAuth:
		// One of the two suffices, and it can be empty.
		if !has(corev1.BasicAuthUsernameKey) && !has(corev1.BasicAuthPasswordKey) {
			require(corev1.BasicAuthUsernameKey, corev1.BasicAuthPasswordKey)
		}
	case corev1.SecretTypeSSHAuth:
		if len(secret.Data[corev1.SSHAuthPrivateKey]) == 0 {
			require(corev1.SSHAuthPrivateKey)
		}
	case corev1.SecretTypeTLS:
		for _, key := range []string{corev1.TLSCertKey, corev1.TLSPrivateKeyKey} {
			if !has(key) {
				require(key)
			}
		}
	}
	return errs
}

// validateJSON wants a JSON object under the key.
func validateJSON(secret *corev1.Secret, key string) field.ErrorList {
	data, found := secret.Data[key]
	if !found {
		return field.ErrorList{field.Required(dataPath.Key(key), "")}
	}
	if err := json.Unmarshal(data, &map[string]any{}); err != nil {
		return field.ErrorList{field.Invalid(dataPath.Key(key), "<secret contents redacted>", err.Error())}
	}
	return nil
}
