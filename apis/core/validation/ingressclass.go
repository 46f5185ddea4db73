package validation

import (
	"slices"

	networkingv1 "k8s.io/api/networking/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	portolanvalidation "github.com/portolan-dev/portolan/apis/portolan/validation"
)

// maxControllerLength is upstream's.
const maxControllerLength = 250

var parameterScopes = []string{
	networkingv1.IngressClassParametersReferenceScopeCluster, networkingv1.IngressClassParametersReferenceScopeNamespace,
}

// ValidateIngressClass validates an IngressClass.
func ValidateIngressClass(class *networkingv1.IngressClass) field.ErrorList {
	errs := portolanvalidation.ValidateObjectMeta(&class.ObjectMeta, false, apivalidation.NameIsDNSSubdomain, metadataPath)
	path := specPath.Child("controller")
	if len(class.Spec.Controller) > maxControllerLength {
		errs = append(errs, field.TooLong(path, "", maxControllerLength))
	}
	errs = append(errs, utilvalidation.IsDomainPrefixedPath(path, class.Spec.Controller)...)
	if class.Spec.Parameters != nil {
		errs = append(errs, validateParameters(class.Spec.Parameters, specPath.Child("parameters"))...)
	}
	return portolanvalidation.Bounded(errs)
}

// ValidateIngressClassUpdate validates an update of an IngressClass.
func ValidateIngressClassUpdate(class, old *networkingv1.IngressClass) field.ErrorList {
	errs := portolanvalidation.ValidateObjectMetaUpdate(&class.ObjectMeta, &old.ObjectMeta, metadataPath)
	errs = append(errs, apivalidation.ValidateImmutableField(class.Spec.Controller, old.Spec.Controller, specPath.Child("controller"))...)
	return portolanvalidation.Bounded(append(errs, ValidateIngressClass(class)...))
}

func validateParameters(parameters *networkingv1.IngressClassParametersReference, path *field.Path) field.ErrorList {
	errs := validateReference(parameters.APIGroup, parameters.Kind, parameters.Name, path)
	namespace := path.Child("namespace")
	switch scope := ptr.Deref(parameters.Scope, ""); {
	case parameters.Scope == nil:
		errs = append(errs, field.Required(path.Child("scope"), ""))
	case !slices.Contains(parameterScopes, scope):
		errs = append(errs, field.NotSupported(path.Child("scope"), scope, parameterScopes))
	case scope == networkingv1.IngressClassParametersReferenceScopeCluster && parameters.Namespace != nil:
		errs = append(errs, field.Forbidden(namespace, "`parameters.scope` is set to 'Cluster'"))
	case scope == networkingv1.IngressClassParametersReferenceScopeNamespace && parameters.Namespace == nil:
		errs = append(errs, field.Required(namespace, "`parameters.scope` is set to 'Namespace'"))
	case scope == networkingv1.IngressClassParametersReferenceScopeNamespace:
		errs = append(errs, portolanvalidation.Invalid(namespace, *parameters.Namespace,
			apivalidation.ValidateNamespaceName(*parameters.Namespace, false))...)
	}
	return errs
}
