package admissionregistration

import (
	"fmt"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/sets"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/client-go/util/jsonpath"
)

const maxAuditAnnotations = 20

// validateValidatingPolicy validates a policy, which updates old if that is not nil.
func validateValidatingPolicy(policy, old *admissionregistrationv1.ValidatingAdmissionPolicy) field.ErrorList {
	spec, path := policy.Spec, field.NewPath("spec")
	errs := validatePolicy(&policy.ObjectMeta, spec.ParamKind, spec.FailurePolicy, spec.MatchConstraints)
	compiler := newExpressions(spec.ParamKind != nil, validatingExpressions(old))
	errs = append(errs, compiler.validateMatchConditions(spec.MatchConditions, path.Child("matchConditions"))...)
	if len(spec.Variables) > 0 {
		composed, invalid := compiler.declare(spec.Variables, path.Child("variables"))
		compiler, errs = composed, append(errs, invalid...)
	}
	annotations := path.Child("auditAnnotations")
	if len(spec.Validations) == 0 && len(spec.AuditAnnotations) == 0 {
		const none = "validations or auditAnnotations must contain at least one item"
		return append(errs, field.Required(path.Child("validations"), none), field.Required(annotations, none))
	}
	for i, v := range spec.Validations {
		errs = append(errs, compiler.validateValidation(v, path.Child("validations").Index(i))...)
	}
	if len(spec.AuditAnnotations) > maxAuditAnnotations {
		errs = append(errs, field.Invalid(annotations, spec.AuditAnnotations, fmt.Sprintf("must not have more than %d auditAnnotations",
			maxAuditAnnotations)))
	}
	keys := sets.New[string]()
	for i, annotation := range spec.AuditAnnotations {
		errs = append(errs, compiler.validateAuditAnnotation(policy.Name, annotation, annotations.Index(i))...)
		if keys.Has(annotation.Key) {
			errs = append(errs, field.Duplicate(annotations.Index(i).Child("key"), annotation.Key))
		}
		keys.Insert(annotation.Key)
	}
	return errs
}

// validatingExpressions returns the expressions of a policy, which may be nil.
func validatingExpressions(policy *admissionregistrationv1.ValidatingAdmissionPolicy) (expressions []string) {
	if policy == nil {
		return nil
	}
	expressions = conditionExpressions(policy.Spec.MatchConditions)
	for _, v := range policy.Spec.Validations {
		expressions = append(expressions, v.Expression, v.MessageExpression)
	}
	for _, variable := range policy.Spec.Variables {
		expressions = append(expressions, variable.Expression)
	}
	for _, annotation := range policy.Spec.AuditAnnotations {
		expressions = append(expressions, strings.TrimSpace(annotation.ValueExpression))
	}
	return expressions
}

func conditionExpressions(conditions []admissionregistrationv1.MatchCondition) (expressions []string) {
	for _, condition := range conditions {
		expressions = append(expressions, strings.TrimSpace(condition.Expression))
	}
	return expressions
}

// validatePolicyStatus validates the status of a policy.
func validatePolicyStatus(policy *admissionregistrationv1.ValidatingAdmissionPolicy) (errs field.ErrorList) {
	path := field.NewPath("status")
	if checked := policy.Status.TypeChecking; checked != nil {
		for i, warning := range checked.ExpressionWarnings {
			path := path.Child("typeChecking", "expressionWarnings").Index(i)
			if warning.Warning == "" {
				errs = append(errs, field.Required(path.Child("warning"), ""))
			}
			errs = append(errs, validateFieldRef(strings.TrimSpace(warning.FieldRef), path.Child("fieldRef"))...)
		}
	}
	return append(errs, metav1validation.ValidateConditions(policy.Status.Conditions, path.Child("conditions"))...)
}

func validateFieldRef(ref string, path *field.Path) field.ErrorList {
	if ref == "" {
		return field.ErrorList{field.Required(path, "")}
	}
	if err := jsonpath.New("spec").Parse("{" + ref + "}"); err != nil {
		return field.ErrorList{field.Invalid(path, ref, fmt.Sprintf("invalid JSONPath: %v", err))}
	}
	return nil
}

// validateMutatingPolicy validates a policy, which updates old if that is not nil.
func validateMutatingPolicy(policy, old *admissionregistrationv1.MutatingAdmissionPolicy) field.ErrorList {
	spec, path := policy.Spec, field.NewPath("spec")
	errs := validatePolicy(&policy.ObjectMeta, spec.ParamKind, spec.FailurePolicy, spec.MatchConstraints)
	errs = append(errs, validateMutatingOperations(spec.MatchConstraints, path.Child("matchConstraints"))...)
	compiler := newExpressions(spec.ParamKind != nil, mutatingExpressions(old))
	errs = append(errs, compiler.validateMatchConditions(spec.MatchConditions, path.Child("matchConditions"))...)
	compiler, invalid := compiler.declare(spec.Variables, path.Child("variables"))
	errs = append(errs, invalid...)
	if len(spec.Mutations) == 0 {
		errs = append(errs, field.Required(path.Child("mutations"), "mutations must contain at least one item"))
	}
	for i, mutation := range spec.Mutations {
		errs = append(errs, compiler.validateMutation(mutation, path.Child("mutations").Index(i))...)
	}
	if spec.ReinvocationPolicy == "" {
		return append(errs, field.Required(path.Child("reinvocationPolicy"), ""))
	}
	return append(errs, supported(path.Child("reinvocationPolicy"), spec.ReinvocationPolicy, reinvocationOptions)...)
}

// mutatingExpressions returns the expressions of a policy, which may be nil.
func mutatingExpressions(policy *admissionregistrationv1.MutatingAdmissionPolicy) (expressions []string) {
	if policy == nil {
		return nil
	}
	expressions = conditionExpressions(policy.Spec.MatchConditions)
	for _, variable := range policy.Spec.Variables {
		expressions = append(expressions, variable.Expression)
	}
	for _, mutation := range policy.Spec.Mutations {
		if mutation.ApplyConfiguration != nil {
			expressions = append(expressions, strings.TrimSpace(mutation.ApplyConfiguration.Expression))
		}
		if mutation.JSONPatch != nil {
			expressions = append(expressions, strings.TrimSpace(mutation.JSONPatch.Expression))
		}
	}
	return expressions
}

// validatePolicy validates what policies of both types have, except for their expressions.
func validatePolicy(meta *metav1.ObjectMeta, params *admissionregistrationv1.ParamKind,
	failure *admissionregistrationv1.FailurePolicyType, constraints *admissionregistrationv1.MatchResources) field.ErrorList {
	path := field.NewPath("spec")
	errs := apivalidation.ValidateObjectMeta(meta, false, apivalidation.NameIsDNSSubdomain, field.NewPath("metadata"))
	errs = append(errs, validateParamKind(params, path.Child("paramKind"))...)
	errs = append(errs, required(path.Child("failurePolicy"), failure, failurePolicies)...)
	return append(errs, validateConstraints(constraints, path.Child("matchConstraints"))...)
}

// validateConstraints validates which objects a policy is for. It must have a rule, which
// gives expressions the types of the objects.
func validateConstraints(constraints *admissionregistrationv1.MatchResources, path *field.Path) field.ErrorList {
	if constraints == nil {
		return field.ErrorList{field.Required(path, "")}
	}
	errs := validateMatch(constraints, path)
	if len(constraints.ResourceRules) == 0 {
		errs = append(errs, field.Required(path.Child("resourceRules"), ""))
	}
	return errs
}

// validateMutatingOperations rejects operations that mutate no object.
func validateMutatingOperations(match *admissionregistrationv1.MatchResources, path *field.Path) (errs field.ErrorList) {
	if match == nil {
		return nil
	}
	for _, rule := range match.ResourceRules {
		for _, operation := range rule.Operations {
			errs = append(errs, supported(path.Child("resourceRules", "operations"), operation, mutatingOperations)...)
		}
	}
	return errs
}

func validateParamKind(kind *admissionregistrationv1.ParamKind, path *field.Path) (errs field.ErrorList) {
	if kind == nil {
		return nil
	}
	version := path.Child("apiVersion")
	if kind.APIVersion == "" {
		errs = append(errs, field.Required(version, ""))
	} else if gv, err := schema.ParseGroupVersion(kind.APIVersion); err != nil {
		errs = append(errs, field.Invalid(version, kind.APIVersion, err.Error()))
	} else {
		if problems := utilvalidation.IsDNS1123Subdomain(gv.Group); gv.Group != "" && len(problems) > 0 {
			errs = append(errs, field.Invalid(version, gv.Group, strings.Join(problems, ",")))
		}
		if gv.Version == "" {
			errs = append(errs, field.Invalid(version, kind.APIVersion, "version must be specified"))
		} else if problems := utilvalidation.IsDNS1035Label(gv.Version); len(problems) > 0 {
			errs = append(errs, field.Invalid(version, gv.Version, strings.Join(problems, ",")))
		}
	}
	if kind.Kind == "" {
		errs = append(errs, field.Required(path.Child("kind"), ""))
	} else if problems := utilvalidation.IsDNS1035Label(strings.ToLower(kind.Kind)); len(problems) > 0 {
		errs = append(errs, field.Invalid(path.Child("kind"), kind.Kind,
			"may have mixed case, but should otherwise match: "+strings.Join(problems, ",")))
	}
	return errs
}
