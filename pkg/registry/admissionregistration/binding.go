package admissionregistration

import (
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/validate/content"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/portolan-dev/portolan/apis/portolan/validation"
)

func validateValidatingBinding(binding, _ *admissionregistrationv1.ValidatingAdmissionPolicyBinding) field.ErrorList {
	spec := binding.Spec
	errs := validateBinding(&binding.ObjectMeta, spec.PolicyName, spec.ParamRef, spec.MatchResources)
	return append(errs, validateActions(spec.ValidationActions, field.NewPath("spec", "validationActions"))...)
}

func validateMutatingBinding(binding, _ *admissionregistrationv1.MutatingAdmissionPolicyBinding) field.ErrorList {
	spec := binding.Spec
	errs := validateBinding(&binding.ObjectMeta, spec.PolicyName, spec.ParamRef, spec.MatchResources)
	return append(errs, validateMutatingOperations(spec.MatchResources, field.NewPath("spec", "matchResources"))...)
}

// validateBinding validates what bindings of both types have.
func validateBinding(meta *metav1.ObjectMeta, policy string, ref *admissionregistrationv1.ParamRef,
	match *admissionregistrationv1.MatchResources) field.ErrorList {
	path := field.NewPath("spec")
	errs := apivalidation.ValidateObjectMeta(meta, false, apivalidation.NameIsDNSSubdomain, field.NewPath("metadata"))
	if policy == "" {
		errs = append(errs, field.Required(path.Child("policyName"), ""))
	} else {
		errs = append(errs, validation.Invalid(path.Child("policyName"), policy, apivalidation.NameIsDNSSubdomain(policy, false))...)
	}
	if ref != nil {
		errs = append(errs, validateParamRef(ref, path.Child("paramRef"))...)
	}
	if match != nil {
		errs = append(errs, validateMatch(match, path.Child("matchResources"))...)
	}
	return errs
}

func validateParamRef(ref *admissionregistrationv1.ParamRef, path *field.Path) (errs field.ErrorList) {
	const exclusive = "name and selector are mutually exclusive"
	if ref.Name != "" {
		errs = append(errs, validation.Invalid(path.Child("name"), ref.Name, content.IsPathSegmentName(ref.Name))...)
	}
	if ref.Selector != nil {
		errs = append(errs, metav1validation.ValidateLabelSelector(ref.Selector, metav1validation.LabelSelectorValidationOptions{},
			path.Child("selector"))...)
	}
	switch {
	case ref.Name != "" && ref.Selector != nil:
		errs = append(errs, field.Forbidden(path.Child("name"), exclusive), field.Forbidden(path.Child("selector"), exclusive))
	case ref.Name == "" && ref.Selector == nil:
		errs = append(errs, field.Required(path, "one of name or selector must be specified"))
	}
	action := path.Child("parameterNotFoundAction")
	if ref.ParameterNotFoundAction == nil || *ref.ParameterNotFoundAction == "" {
		return append(errs, field.Required(action, ""))
	}
	return append(errs, supported(action, *ref.ParameterNotFoundAction, []string{
		string(admissionregistrationv1.DenyAction), string(admissionregistrationv1.AllowAction),
	})...)
}

func validateActions(given []admissionregistrationv1.ValidationAction, path *field.Path) (errs field.ErrorList) {
	seen := sets.New[admissionregistrationv1.ValidationAction]()
	for i, action := range given {
		errs = append(errs, supported(path.Index(i), action, actions)...)
		if seen.Has(action) {
			errs = append(errs, field.Duplicate(path.Index(i), action))
		}
		seen.Insert(action)
	}
	if seen.HasAll(admissionregistrationv1.Deny, admissionregistrationv1.Warn) {
		errs = append(errs, field.Invalid(path, given, "must not contain both Deny and Warn (repeating the same validation failure "+
			"information in the API response and headers serves no purpose)"))
	}
	if len(given) == 0 {
		errs = append(errs, field.Required(path, "at least one validation action is required"))
	}
	return errs
}
