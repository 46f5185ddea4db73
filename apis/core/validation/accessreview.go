package validation

import (
	"fmt"

	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	portolanvalidation "github.com/portolan-dev/portolan/apis/portolan/validation"
)

var resourceAttributesPath = specPath.Child("resourceAttributes")

// ValidateSubjectAccessReview validates a review of what a user may do.
func ValidateSubjectAccessReview(review *authorizationv1.SubjectAccessReview) field.ErrorList {
	errs := validateAccessSpec(review.Spec)
	return portolanvalidation.Bounded(append(errs, validateNoMetadata(review.ObjectMeta, "must be empty")...))
}

// ValidateSelfSubjectAccessReview validates a review of what the caller may do.
func ValidateSelfSubjectAccessReview(review *authorizationv1.SelfSubjectAccessReview) field.ErrorList {
	errs := validateEitherAttributes(review.Spec.ResourceAttributes, review.Spec.NonResourceAttributes)
	errs = append(errs, validateSelectors(review.Spec.ResourceAttributes)...)
	return portolanvalidation.Bounded(append(errs, validateNoMetadata(review.ObjectMeta, "must be empty")...))
}

// ValidateLocalSubjectAccessReview validates a review of what a user may do in a namespace.
func ValidateLocalSubjectAccessReview(review *authorizationv1.LocalSubjectAccessReview) field.ErrorList {
	errs := validateAccessSpec(review.Spec)
	metadata := review.ObjectMeta
	metadata.Namespace = ""
	if len(validateNoMetadata(metadata, "")) > 0 {
		errs = append(errs, field.Invalid(metadataPath, review.ObjectMeta, "must be empty except for namespace"))
	}
	if resource := review.Spec.ResourceAttributes; resource != nil && resource.Namespace != review.Namespace {
		errs = append(errs, field.Invalid(resourceAttributesPath.Child("namespace"), resource.Namespace, "must match metadata.namespace"))
	}
	if other := review.Spec.NonResourceAttributes; other != nil {
		errs = append(errs, field.Invalid(specPath.Child("nonResourceAttributes"), shown(other), "disallowed on this kind of request"))
	}
	return portolanvalidation.Bounded(errs)
}

func validateAccessSpec(spec authorizationv1.SubjectAccessReviewSpec) field.ErrorList {
	errs := validateEitherAttributes(spec.ResourceAttributes, spec.NonResourceAttributes)
	if spec.User == "" && len(spec.Groups) == 0 {
		errs = append(errs, field.Invalid(specPath.Child("user"), spec.User, "at least one of user or group must be specified"))
	}
	return append(errs, validateSelectors(spec.ResourceAttributes)...)
}

func validateEitherAttributes(resource *authorizationv1.ResourceAttributes, other *authorizationv1.NonResourceAttributes) field.ErrorList {
	switch {
	case resource != nil && other != nil:
		return field.ErrorList{
			field.Invalid(specPath.Child("nonResourceAttributes"), shown(other), "cannot be specified in combination with resourceAttributes"),
		}
	case resource == nil && other == nil:
		return field.ErrorList{
			field.Invalid(resourceAttributesPath, other, "exactly one of nonResourceAttributes or resourceAttributes must be specified"),
		}
	}
	return nil
}

// internalForm is attributes as kube-apiserver shows them in errors: in its internal form,
// whose fields have other names.
type internalForm struct{ Path, Verb string }

func shown(a *authorizationv1.NonResourceAttributes) internalForm { return internalForm(*a) }

func validateNoMetadata(metadata metav1.ObjectMeta, message string) field.ErrorList {
	relevant := metadata
	relevant.ManagedFields = nil
	if equality.Semantic.DeepEqual(metav1.ObjectMeta{}, relevant) {
		return nil
	}
	return field.ErrorList{field.Invalid(metadataPath, metadata, message)}
}

// validateSelectors validates the selectors of a request. Operators that the server does
// not know are valid: newer clients may send them, and the decision ignores them.
func validateSelectors(resource *authorizationv1.ResourceAttributes) field.ErrorList {
	if resource == nil {
		return nil
	}
	var errs field.ErrorList
	if selector := resource.FieldSelector; selector != nil {
		path := resourceAttributesPath.Child("fieldSelector")
		errs = append(errs, validateEitherSelector(selector.RawSelector, len(selector.Requirements), path)...)
		options := metav1validation.FieldSelectorValidationOptions{AllowUnknownOperatorInRequirement: true}
		for i, requirement := range selector.Requirements {
			errs = append(errs, metav1validation.ValidateFieldSelectorRequirement(requirement, options, path.Child("requirements").Index(i))...)
		}
	}
	if selector := resource.LabelSelector; selector != nil {
		path := resourceAttributesPath.Child("labelSelector")
		errs = append(errs, validateEitherSelector(selector.RawSelector, len(selector.Requirements), path)...)
		options := metav1validation.LabelSelectorValidationOptions{AllowUnknownOperatorInRequirement: true}
		for i, requirement := range selector.Requirements {
			errs = append(errs, metav1validation.ValidateLabelSelectorRequirement(requirement, options, path.Child("requirements").Index(i))...)
		}
	}
	return errs
}

func validateEitherSelector(raw string, requirements int, path *field.Path) field.ErrorList {
	switch {
	case raw != "" && requirements > 0:
		return field.ErrorList{field.Invalid(path.Child("rawSelector"), raw, "may not specified at the same time as requirements")}
	case raw == "" && requirements == 0:
		return field.ErrorList{
			field.Required(path.Child("requirements"), fmt.Sprintf("when %s is specified, requirements or rawSelector is required", path)),
		}
	}
	return nil
}
