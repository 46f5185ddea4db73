package admissionregistration

import (
	"fmt"
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/sets"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	webhookutil "k8s.io/apiserver/pkg/util/webhook"

	"github.com/portolan-dev/portolan/apis/portolan/validation"
)

// reviewVersions are the versions of AdmissionReview that the server sends.
var reviewVersions = []string{"v1", "v1beta1"}

func validateValidatingWebhooks(config, old *admissionregistrationv1.ValidatingWebhookConfiguration) field.ErrorList {
	var stored []admissionregistrationv1.MutatingWebhook
	if old != nil {
		stored = asMutating(old.Webhooks)
	}
	return validateWebhooks(&config.ObjectMeta, asMutating(config.Webhooks), stored)
}

func validateMutatingWebhooks(config, old *admissionregistrationv1.MutatingWebhookConfiguration) field.ErrorList {
	var stored []admissionregistrationv1.MutatingWebhook
	if old != nil {
		stored = old.Webhooks
	}
	return validateWebhooks(&config.ObjectMeta, config.Webhooks, stored)
}

// asMutating converts webhooks. A mutating webhook has all fields of a validating one.
func asMutating(hooks []admissionregistrationv1.ValidatingWebhook) (mutating []admissionregistrationv1.MutatingWebhook) {
	for _, hook := range hooks {
		mutating = append(mutating, admissionregistrationv1.MutatingWebhook{
			Name: hook.Name, ClientConfig: hook.ClientConfig, Rules: hook.Rules, FailurePolicy: hook.FailurePolicy, MatchPolicy: hook.MatchPolicy,
			NamespaceSelector: hook.NamespaceSelector, ObjectSelector: hook.ObjectSelector, SideEffects: hook.SideEffects,
			TimeoutSeconds: hook.TimeoutSeconds, AdmissionReviewVersions: hook.AdmissionReviewVersions, MatchConditions: hook.MatchConditions,
		})
	}
	return mutating
}

// validateWebhooks validates the webhooks of a configuration, which replace stored ones.
func validateWebhooks(meta *metav1.ObjectMeta, hooks, stored []admissionregistrationv1.MutatingWebhook) field.ErrorList {
	errs := apivalidation.ValidateObjectMeta(meta, false, apivalidation.NameIsDNSSubdomain, field.NewPath("metadata"))
	var known []string
	for _, hook := range stored {
		known = append(known, conditionExpressions(hook.MatchConditions)...)
	}
	compiler := newExpressions(false, known)
	names := sets.New[string]()
	for i, hook := range hooks {
		path := field.NewPath("webhooks").Index(i)
		errs = append(errs, validateWebhook(hook, path)...)
		errs = append(errs, compiler.validateMatchConditions(hook.MatchConditions, path.Child("matchConditions"))...)
		errs = append(errs, validateReviewVersions(hook.AdmissionReviewVersions, path.Child("admissionReviewVersions"))...)
		if names.Has(hook.Name) && hook.Name != "" {
			errs = append(errs, field.Duplicate(path.Child("name"), hook.Name))
		}
		names.Insert(hook.Name)
	}
	return errs
}

func validateWebhook(hook admissionregistrationv1.MutatingWebhook, path *field.Path) field.ErrorList {
	errs := utilvalidation.IsFullyQualifiedName(path.Child("name"), hook.Name)
	for i, rule := range hook.Rules {
		errs = append(errs, validateRule(rule, path.Child("rules").Index(i))...)
	}
	if hook.FailurePolicy != nil {
		errs = append(errs, supported(path.Child("failurePolicy"), *hook.FailurePolicy, failurePolicies)...)
	}
	if hook.MatchPolicy != nil {
		errs = append(errs, supported(path.Child("matchPolicy"), *hook.MatchPolicy, matchPolicies)...)
	}
	if hook.SideEffects == nil {
		errs = append(errs, field.Required(path.Child("sideEffects"), fmt.Sprintf("must specify one of %s", strings.Join(sideEffects, ", "))))
	} else {
		errs = append(errs, supported(path.Child("sideEffects"), *hook.SideEffects, sideEffects)...)
	}
	if seconds := hook.TimeoutSeconds; seconds != nil && (*seconds < 1 || *seconds > 30) {
		errs = append(errs, field.Invalid(path.Child("timeoutSeconds"), *seconds, "the timeout value must be between 1 and 30 seconds"))
	}
	selectors := metav1validation.LabelSelectorValidationOptions{}
	errs = append(errs, metav1validation.ValidateLabelSelector(hook.NamespaceSelector, selectors, path.Child("namespaceSelector"))...)
	errs = append(errs, metav1validation.ValidateLabelSelector(hook.ObjectSelector, selectors, path.Child("objectSelector"))...)
	if hook.ReinvocationPolicy != nil {
		errs = append(errs, supported(path.Child("reinvocationPolicy"), *hook.ReinvocationPolicy, reinvocationOptions)...)
	}
	return append(errs, validateClient(hook.ClientConfig, path.Child("clientConfig"))...)
}

func validateClient(config admissionregistrationv1.WebhookClientConfig, path *field.Path) field.ErrorList {
	switch {
	case (config.URL == nil) == (config.Service == nil):
		return field.ErrorList{field.Required(path, "exactly one of url or service is required")}
	case config.URL != nil:
		return webhookutil.ValidateWebhookURL(path.Child("url"), *config.URL, true)
	}
	service := config.Service
	var port int32
	if service.Port != nil {
		port = *service.Port
	}
	return webhookutil.ValidateWebhookService(path.Child("service"), service.Name, service.Namespace, service.Path, port)
}

func validateReviewVersions(versions []string, path *field.Path) (errs field.ErrorList) {
	if len(versions) == 0 {
		return field.ErrorList{field.Required(path, "must specify one of "+strings.Join(reviewVersions, ", "))}
	}
	for i, version := range versions {
		if slices.Contains(versions[:i], version) {
			errs = append(errs, field.Invalid(path.Index(i), version, "duplicate version"))
			continue
		}
		errs = append(errs, validation.Invalid(path.Index(i), version, utilvalidation.IsDNS1035Label(version))...)
	}
	if !slices.ContainsFunc(versions, func(version string) bool { return slices.Contains(reviewVersions, version) }) {
		errs = append(errs, field.Invalid(path, versions, "must include at least one of "+strings.Join(reviewVersions, ", ")))
	}
	return errs
}
