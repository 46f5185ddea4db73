package core

import (
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

const (
	// webhookTimeout is how long the server waits for a webhook, in seconds.
	webhookTimeout = 10
	webhookPort    = 443
)

// admissionTypes returns the objects that configure admission, and their lists.
func admissionTypes() []runtime.Object {
	return []runtime.Object{
		&admissionregistrationv1.ValidatingAdmissionPolicy{}, &admissionregistrationv1.ValidatingAdmissionPolicyList{},
		&admissionregistrationv1.ValidatingAdmissionPolicyBinding{}, &admissionregistrationv1.ValidatingAdmissionPolicyBindingList{},
		&admissionregistrationv1.MutatingAdmissionPolicy{}, &admissionregistrationv1.MutatingAdmissionPolicyList{},
		&admissionregistrationv1.MutatingAdmissionPolicyBinding{}, &admissionregistrationv1.MutatingAdmissionPolicyBindingList{},
		&admissionregistrationv1.ValidatingWebhookConfiguration{}, &admissionregistrationv1.ValidatingWebhookConfigurationList{},
		&admissionregistrationv1.MutatingWebhookConfiguration{}, &admissionregistrationv1.MutatingWebhookConfigurationList{},
	}
}

// addAdmissionDefaults registers the defaults of the objects that configure admission, which
// are upstream's (pkg/apis/admissionregistration/v1).
func addAdmissionDefaults(scheme *runtime.Scheme) {
	addObjectDefaults(scheme, func(policy *admissionregistrationv1.ValidatingAdmissionPolicy) {
		setMissing(&policy.Spec.FailurePolicy, admissionregistrationv1.Fail)
		setMatchDefaults(policy.Spec.MatchConstraints)
	}, func(list *admissionregistrationv1.ValidatingAdmissionPolicyList) []admissionregistrationv1.ValidatingAdmissionPolicy {
		return list.Items
	})
	addObjectDefaults(scheme, func(policy *admissionregistrationv1.MutatingAdmissionPolicy) {
		setMissing(&policy.Spec.FailurePolicy, admissionregistrationv1.Fail)
		setMatchDefaults(policy.Spec.MatchConstraints)
	}, func(list *admissionregistrationv1.MutatingAdmissionPolicyList) []admissionregistrationv1.MutatingAdmissionPolicy {
		return list.Items
	})
	addObjectDefaults(scheme, func(binding *admissionregistrationv1.ValidatingAdmissionPolicyBinding) {
		setMatchDefaults(binding.Spec.MatchResources)
	}, func(list *admissionregistrationv1.ValidatingAdmissionPolicyBindingList) []admissionregistrationv1.ValidatingAdmissionPolicyBinding {
		return list.Items
	})
	addObjectDefaults(scheme, func(binding *admissionregistrationv1.MutatingAdmissionPolicyBinding) {
		setMatchDefaults(binding.Spec.MatchResources)
	}, func(list *admissionregistrationv1.MutatingAdmissionPolicyBindingList) []admissionregistrationv1.MutatingAdmissionPolicyBinding {
		return list.Items
	})
	addObjectDefaults(scheme, setValidatingWebhookDefaults,
		func(list *admissionregistrationv1.ValidatingWebhookConfigurationList) []admissionregistrationv1.ValidatingWebhookConfiguration {
			return list.Items
		})
	addObjectDefaults(scheme, setMutatingWebhookDefaults,
		func(list *admissionregistrationv1.MutatingWebhookConfigurationList) []admissionregistrationv1.MutatingWebhookConfiguration {
			return list.Items
		})
}

func setMatchDefaults(match *admissionregistrationv1.MatchResources) {
	if match == nil {
		return
	}
	setMissing(&match.MatchPolicy, admissionregistrationv1.Equivalent)
	setMissing(&match.NamespaceSelector, metav1.LabelSelector{})
	setMissing(&match.ObjectSelector, metav1.LabelSelector{})
	for _, rules := range [][]admissionregistrationv1.NamedRuleWithOperations{match.ResourceRules, match.ExcludeResourceRules} {
		for i := range rules {
			setMissing(&rules[i].Scope, admissionregistrationv1.AllScopes)
		}
	}
}

func setValidatingWebhookDefaults(config *admissionregistrationv1.ValidatingWebhookConfiguration) {
	for i := range config.Webhooks {
		hook := &config.Webhooks[i]
		setHookDefaults(&hook.FailurePolicy, &hook.MatchPolicy, &hook.TimeoutSeconds, &hook.NamespaceSelector, &hook.ObjectSelector)
		setClientDefaults(&hook.ClientConfig, hook.Rules)
	}
}

func setMutatingWebhookDefaults(config *admissionregistrationv1.MutatingWebhookConfiguration) {
	for i := range config.Webhooks {
		hook := &config.Webhooks[i]
		setHookDefaults(&hook.FailurePolicy, &hook.MatchPolicy, &hook.TimeoutSeconds, &hook.NamespaceSelector, &hook.ObjectSelector)
		setMissing(&hook.ReinvocationPolicy, admissionregistrationv1.NeverReinvocationPolicy)
		setClientDefaults(&hook.ClientConfig, hook.Rules)
	}
}

// setHookDefaults sets the defaults of the fields that webhooks of both types have.
func setHookDefaults(failure **admissionregistrationv1.FailurePolicyType, match **admissionregistrationv1.MatchPolicyType, timeout **int32,
	selectors ...**metav1.LabelSelector) {
	setMissing(failure, admissionregistrationv1.Fail)
	setMissing(match, admissionregistrationv1.Equivalent)
	setMissing(timeout, webhookTimeout)
	for _, selector := range selectors {
		setMissing(selector, metav1.LabelSelector{})
	}
}

func setClientDefaults(config *admissionregistrationv1.WebhookClientConfig, rules []admissionregistrationv1.RuleWithOperations) {
	if config.Service != nil {
		setMissing(&config.Service.Port, webhookPort)
	}
	for i := range rules {
		setMissing(&rules[i].Scope, admissionregistrationv1.AllScopes)
	}
}
