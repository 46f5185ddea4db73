package admissionregistration

import (
	"fmt"
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/validate/content"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/portolan-dev/portolan/apis/portolan/validation"
)

const all = "*"

// The values that fields can have, in the order of upstream's messages.
var (
	failurePolicies     = []string{string(admissionregistrationv1.Fail), string(admissionregistrationv1.Ignore)}
	matchPolicies       = []string{string(admissionregistrationv1.Equivalent), string(admissionregistrationv1.Exact)}
	scopes              = []string{all, string(admissionregistrationv1.ClusterScope), string(admissionregistrationv1.NamespacedScope)}
	operations          = []string{all, "CONNECT", "CREATE", "DELETE", "UPDATE"}
	mutatingOperations  = []string{all, "CONNECT", "CREATE", "UPDATE"}
	reinvocationOptions = []string{
		string(admissionregistrationv1.IfNeededReinvocationPolicy), string(admissionregistrationv1.NeverReinvocationPolicy),
	}
	sideEffects = []string{string(admissionregistrationv1.SideEffectClassNone), string(admissionregistrationv1.SideEffectClassNoneOnDryRun)}
	patchTypes  = []string{string(admissionregistrationv1.PatchTypeApplyConfiguration), string(admissionregistrationv1.PatchTypeJSONPatch)}
	actions     = []string{string(admissionregistrationv1.Audit), string(admissionregistrationv1.Deny), string(admissionregistrationv1.Warn)}
	reasons     = []string{
		string(metav1.StatusReasonForbidden), string(metav1.StatusReasonInvalid), string(metav1.StatusReasonRequestEntityTooLarge),
	}
)

// supported rejects a value that is not one of a list.
func supported[T ~string](path *field.Path, value T, values []string) field.ErrorList {
	if slices.Contains(values, string(value)) {
		return nil
	}
	return field.ErrorList{field.NotSupported(path, value, values)}
}

// required rejects a missing value, and one that is not one of a list.
func required[T ~string](path *field.Path, value *T, values []string) field.ErrorList {
	if value == nil {
		return field.ErrorList{field.Required(path, "")}
	}
	return supported(path, *value, values)
}

// validateMatch validates which objects a policy or a binding is for.
func validateMatch(match *admissionregistrationv1.MatchResources, path *field.Path) field.ErrorList {
	errs := required(path.Child("matchPolicy"), match.MatchPolicy, matchPolicies)
	errs = append(errs, validateSelector(match.NamespaceSelector, path.Child("namespaceSelector"))...)
	errs = append(errs, validateSelector(match.ObjectSelector, path.Child("objectSelector"))...)
	for i, rule := range match.ResourceRules {
		errs = append(errs, validateNamedRule(rule, path.Child("resourceRules").Index(i))...)
	}
	for i, rule := range match.ExcludeResourceRules {
		errs = append(errs, validateNamedRule(rule, path.Child("excludeResourceRules").Index(i))...)
	}
	return errs
}

func validateSelector(selector *metav1.LabelSelector, path *field.Path) field.ErrorList {
	if selector == nil {
		return field.ErrorList{field.Required(path, "")}
	}
	return metav1validation.ValidateLabelSelector(selector, metav1validation.LabelSelectorValidationOptions{}, path)
}

func validateNamedRule(rule admissionregistrationv1.NamedRuleWithOperations, path *field.Path) (errs field.ErrorList) {
	seen := sets.New[string]()
	for i, name := range rule.ResourceNames {
		path := path.Child("resourceNames").Index(i)
		errs = append(errs, validation.Invalid(path, name, content.IsPathSegmentName(name))...)
		if seen.Has(name) {
			errs = append(errs, field.Duplicate(path, name))
		}
		seen.Insert(name)
	}
	return append(errs, validateRule(rule.RuleWithOperations, path)...)
}

func validateRule(rule admissionregistrationv1.RuleWithOperations, path *field.Path) field.ErrorList {
	errs := validateList(rule.Operations, path.Child("operations"), "if '*' is present, must not specify other operations")
	for i, operation := range rule.Operations {
		errs = append(errs, supported(path.Child("operations").Index(i), operation, operations)...)
	}
	errs = append(errs, validateList(rule.APIGroups, path.Child("apiGroups"), "if '*' is present, must not specify other API groups")...)
	versions := path.Child("apiVersions")
	errs = append(errs, validateList(rule.APIVersions, versions, "if '*' is present, must not specify other API versions")...)
	for i, version := range rule.APIVersions {
		if version == "" {
			errs = append(errs, field.Required(versions.Index(i), ""))
		}
	}
	errs = append(errs, validateResources(rule.Resources, path.Child("resources"))...)
	if rule.Scope != nil {
		errs = append(errs, supported(path.Child("scope"), *rule.Scope, scopes)...)
	}
	return errs
}

// validateList rejects an empty list, and one with the wildcard and other items.
func validateList[T ~string](list []T, path *field.Path, alone string) field.ErrorList {
	if len(list) == 0 {
		return field.ErrorList{field.Required(path, "")}
	}
	if len(list) > 1 && slices.Contains(list, all) {
		return field.ErrorList{field.Invalid(path, list, alone)}
	}
	return nil
}

// validateResources validates resources with subresources: x, x/y, x/*, */y, * and */*.
func validateResources(resources []string, path *field.Path) (errs field.ErrorList) {
	if len(resources) == 0 {
		return field.ErrorList{field.Required(path, "")}
	}
	anySubresource, anyResource := sets.New[string](), sets.New[string]()
	plain := false
	for i, text := range resources {
		path := path.Index(i)
		if text == "" {
			errs = append(errs, field.Required(path, ""))
			continue
		}
		resource, subresource, found := strings.Cut(text, "/")
		if !found {
			plain = text != all
			continue
		}
		if anySubresource.Has(resource) {
			errs = append(errs, field.Invalid(path, text, fmt.Sprintf("if '%s/*' is present, must not specify %s", resource, text)))
		}
		if anyResource.Has(subresource) {
			errs = append(errs, field.Invalid(path, text, fmt.Sprintf("if '*/%s' is present, must not specify %s", subresource, text)))
		}
		if subresource == all {
			anySubresource.Insert(resource)
		}
		if resource == all {
			anyResource.Insert(subresource)
		}
	}
	if len(resources) > 1 && slices.Contains(resources, "*/*") {
		errs = append(errs, field.Invalid(path, resources, "if '*/*' is present, must not specify other resources"))
	}
	if plain && slices.Contains(resources, all) {
		errs = append(errs, field.Invalid(path, resources, "if '*' is present, must not specify other resources without subresources"))
	}
	return errs
}
