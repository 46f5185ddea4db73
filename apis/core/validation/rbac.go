package validation

import (
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/validate/content"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	portolanvalidation "github.com/portolan-dev/portolan/apis/portolan/validation"
)

const (
	roleKind        = "Role"
	clusterRoleKind = "ClusterRole"
)

var (
	roleRefPath   = field.NewPath("roleRef")
	selectorsPath = field.NewPath("aggregationRule", "clusterRoleSelectors")
)

// rbacName is the rule for the names of roles and bindings: they may be anything that a
// URL's path can name.
func rbacName(name string, _ bool) []string { return content.IsPathSegmentName(name) }

// ValidateRole validates a Role.
func ValidateRole(role *rbacv1.Role) field.ErrorList {
	errs := portolanvalidation.ValidateObjectMeta(&role.ObjectMeta, true, rbacName, metadataPath)
	return portolanvalidation.Bounded(append(errs, validateRules(role.Rules, true)...))
}

// ValidateRoleUpdate validates an update of a Role.
func ValidateRoleUpdate(role, old *rbacv1.Role) field.ErrorList {
	return portolanvalidation.Bounded(append(ValidateRole(role),
		portolanvalidation.ValidateObjectMetaUpdate(&role.ObjectMeta, &old.ObjectMeta, metadataPath)...))
}

// ValidateClusterRole validates a ClusterRole.
func ValidateClusterRole(role *rbacv1.ClusterRole) field.ErrorList {
	return validateClusterRole(role, false)
}

// ValidateClusterRoleUpdate validates an update of a ClusterRole. Label values that are
// stored already may be invalid.
func ValidateClusterRoleUpdate(role, old *rbacv1.ClusterRole) field.ErrorList {
	errs := validateClusterRole(role, len(validateSelectorsOf(old, false)) > 0)
	return portolanvalidation.Bounded(append(errs,
		portolanvalidation.ValidateObjectMetaUpdate(&role.ObjectMeta, &old.ObjectMeta, metadataPath)...))
}

func validateClusterRole(role *rbacv1.ClusterRole, invalidValues bool) field.ErrorList {
	errs := portolanvalidation.ValidateObjectMeta(&role.ObjectMeta, false, rbacName, metadataPath)
	errs = append(errs, validateRules(role.Rules, false)...)
	if role.AggregationRule != nil && len(role.AggregationRule.ClusterRoleSelectors) == 0 {
		errs = append(errs, field.Required(selectorsPath, "at least one clusterRoleSelector required if aggregationRule is non-nil"))
	}
	return portolanvalidation.Bounded(append(errs, validateSelectorsOf(role, invalidValues)...))
}

func validateSelectorsOf(role *rbacv1.ClusterRole, invalidValues bool) (errs field.ErrorList) {
	if role.AggregationRule == nil {
		return nil
	}
	options := metav1validation.LabelSelectorValidationOptions{AllowInvalidLabelValueInSelector: invalidValues}
	for i, selector := range role.AggregationRule.ClusterRoleSelectors {
		path := selectorsPath.Index(i)
		errs = append(errs, metav1validation.ValidateLabelSelector(&selector, options, path)...)
		if parsed, err := metav1.LabelSelectorAsSelector(&selector); err != nil {
			errs = append(errs, field.Invalid(path, parsed, "invalid label selector."))
		}
	}
	return errs
}

func validateRules(rules []rbacv1.PolicyRule, namespaced bool) (errs field.ErrorList) {
	for i, rule := range rules {
		path := field.NewPath("rules").Index(i)
		if len(rule.Verbs) == 0 {
			errs = append(errs, field.Required(path.Child("verbs"), "verbs must contain at least one value"))
		}
		urls := path.Child("nonResourceURLs")
		if len(rule.NonResourceURLs) > 0 {
			if namespaced {
				errs = append(errs, field.Invalid(urls, rule.NonResourceURLs, "namespaced rules cannot apply to non-resource URLs"))
			}
			if len(rule.APIGroups) > 0 || len(rule.Resources) > 0 || len(rule.ResourceNames) > 0 {
				errs = append(errs, field.Invalid(urls, rule.NonResourceURLs, "rules cannot apply to both regular resources and non-resource URLs"))
			}
			continue
		}
		if len(rule.APIGroups) == 0 {
			errs = append(errs, field.Required(path.Child("apiGroups"), "resource rules must supply at least one api group"))
		}
		if len(rule.Resources) == 0 {
			errs = append(errs, field.Required(path.Child("resources"), "resource rules must supply at least one resource"))
		}
	}
	return errs
}

// ValidateRoleBinding validates a RoleBinding.
func ValidateRoleBinding(binding *rbacv1.RoleBinding) field.ErrorList {
	errs := portolanvalidation.ValidateObjectMeta(&binding.ObjectMeta, true, rbacName, metadataPath)
	errs = append(errs, validateRoleRef(binding.RoleRef, roleKind, clusterRoleKind)...)
	return portolanvalidation.Bounded(append(errs, validateSubjects(binding.Subjects, true)...))
}

// ValidateRoleBindingUpdate validates an update of a RoleBinding.
func ValidateRoleBindingUpdate(binding, old *rbacv1.RoleBinding) field.ErrorList {
	errs := ValidateRoleBinding(binding)
	errs = append(errs, portolanvalidation.ValidateObjectMetaUpdate(&binding.ObjectMeta, &old.ObjectMeta, metadataPath)...)
	return portolanvalidation.Bounded(append(errs, validateSameRole(binding.RoleRef, old.RoleRef)...))
}

// ValidateClusterRoleBinding validates a ClusterRoleBinding.
func ValidateClusterRoleBinding(binding *rbacv1.ClusterRoleBinding) field.ErrorList {
	errs := portolanvalidation.ValidateObjectMeta(&binding.ObjectMeta, false, rbacName, metadataPath)
	errs = append(errs, validateRoleRef(binding.RoleRef, clusterRoleKind)...)
	return portolanvalidation.Bounded(append(errs, validateSubjects(binding.Subjects, false)...))
}

// ValidateClusterRoleBindingUpdate validates an update of a ClusterRoleBinding.
func ValidateClusterRoleBindingUpdate(binding, old *rbacv1.ClusterRoleBinding) field.ErrorList {
	errs := ValidateClusterRoleBinding(binding)
	errs = append(errs, portolanvalidation.ValidateObjectMetaUpdate(&binding.ObjectMeta, &old.ObjectMeta, metadataPath)...)
	return portolanvalidation.Bounded(append(errs, validateSameRole(binding.RoleRef, old.RoleRef)...))
}

func validateRoleRef(ref rbacv1.RoleRef, kinds ...string) (errs field.ErrorList) {
	if ref.APIGroup != rbacv1.GroupName {
		errs = append(errs, field.NotSupported(roleRefPath.Child("apiGroup"), ref.APIGroup, []string{rbacv1.GroupName}))
	}
	if !slices.Contains(kinds, ref.Kind) {
		errs = append(errs, field.NotSupported(roleRefPath.Child("kind"), ref.Kind, kinds))
	}
	if ref.Name == "" {
		return append(errs, field.Required(roleRefPath.Child("name"), ""))
	}
	return append(errs, portolanvalidation.Invalid(roleRefPath.Child("name"), ref.Name, rbacName(ref.Name, false))...)
}

// validateSameRole rejects a change of the role. The error shows the role in
// kube-apiserver's internal form, whose fields have other names.
func validateSameRole(ref, old rbacv1.RoleRef) field.ErrorList {
	if ref == old {
		return nil
	}
	return field.ErrorList{field.Invalid(roleRefPath, struct{ APIGroup, Kind, Name string }(ref), "cannot change roleRef")}
}

func validateSubjects(subjects []rbacv1.Subject, namespaced bool) (errs field.ErrorList) {
	for i, subject := range subjects {
		path := field.NewPath("subjects").Index(i)
		if subject.Name == "" {
			errs = append(errs, field.Required(path.Child("name"), ""))
		}
		switch subject.Kind {
		case rbacv1.ServiceAccountKind:
			if subject.Name != "" {
				errs = append(errs, portolanvalidation.Invalid(path.Child("name"), subject.Name,
					apivalidation.ValidateServiceAccountName(subject.Name, false))...)
			}
			if subject.APIGroup != "" {
				errs = append(errs, field.NotSupported(path.Child("apiGroup"), subject.APIGroup, []string{""}))
			}
			if !namespaced && subject.Namespace == "" {
				errs = append(errs, field.Required(path.Child("namespace"), ""))
			}
		case rbacv1.UserKind, rbacv1.GroupKind:
			if subject.APIGroup != rbacv1.GroupName {
				errs = append(errs, field.NotSupported(path.Child("apiGroup"), subject.APIGroup, []string{rbacv1.GroupName}))
			}
		default:
			errs = append(errs, field.NotSupported(path.Child("kind"), subject.Kind,
				[]string{rbacv1.ServiceAccountKind, rbacv1.UserKind, rbacv1.GroupKind}))
		}
	}
	return errs
}
