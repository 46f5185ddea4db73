package registry

import (
	"slices"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/portolan-dev/portolan/pkg/registry/admissionregistration"
	"github.com/portolan-dev/portolan/pkg/registry/customresourcedefinition"
	"github.com/portolan-dev/portolan/pkg/registry/generic"
)

// extensionKinds returns the kinds of objects with which users extend the API.
func extensionKinds() []Kind {
	return []Kind{
		{
			Kind: generic.Kind{
				Resource: apiextensions.Resource("customresourcedefinitions"), Singular: "customresourcedefinition",
				New: object[apiextensions.CustomResourceDefinition], NewList: object[apiextensions.CustomResourceDefinitionList],
				Table: customresourcedefinition.TableConvertor, Attributes: customresourcedefinition.Attributes,
			},
			Rules: func(in Inputs) generic.Rules { return customresourcedefinition.Rules(in.Typer, isOwnGroup) },
			Groups: []generic.Group{{
				GroupVersion: apiextensionsv1.SchemeGroupVersion,
				Names:        generic.Names{Short: []string{"crd", "crds"}, Sets: []string{"api-extensions"}},
			}},
			Serve: serve(customresourcedefinition.Serve),
		},
	}
}

// admissionKinds returns the kinds that configure admission.
func admissionKinds() []Kind {
	groups := []generic.Group{{
		GroupVersion: admissionregistrationv1.SchemeGroupVersion, Names: generic.Names{Sets: []string{"api-extensions"}},
	}}
	authorized := func(rules func(runtime.ObjectTyper, authorizer.UnconditionalAuthorizer) generic.Rules) func(Inputs) generic.Rules {
		return func(in Inputs) generic.Rules { return rules(in.Typer, in.Authorizer) }
	}
	return []Kind{
		{
			Kind: generic.Kind{
				Resource: admissionregistrationv1.Resource("validatingadmissionpolicies"), Singular: "validatingadmissionpolicy",
				New:     object[admissionregistrationv1.ValidatingAdmissionPolicy],
				NewList: object[admissionregistrationv1.ValidatingAdmissionPolicyList],
				Table:   admissionregistration.ValidatingPolicyTable,
			},
			Rules: authorized(admissionregistration.ValidatingPolicyRules), Groups: groups,
		},
		{
			Kind: generic.Kind{
				Resource: admissionregistrationv1.Resource("validatingadmissionpolicybindings"), Singular: "validatingadmissionpolicybinding",
				New:     object[admissionregistrationv1.ValidatingAdmissionPolicyBinding],
				NewList: object[admissionregistrationv1.ValidatingAdmissionPolicyBindingList],
				Table:   admissionregistration.ValidatingBindingTable,
			},
			Rules: authorized(admissionregistration.ValidatingBindingRules), Groups: groups,
		},
		{
			Kind: generic.Kind{
				Resource: admissionregistrationv1.Resource("mutatingadmissionpolicies"), Singular: "mutatingadmissionpolicy",
				New:     object[admissionregistrationv1.MutatingAdmissionPolicy],
				NewList: object[admissionregistrationv1.MutatingAdmissionPolicyList],
				Table:   admissionregistration.MutatingPolicyTable,
			},
			Rules: authorized(admissionregistration.MutatingPolicyRules), Groups: groups,
		},
		{
			Kind: generic.Kind{
				Resource: admissionregistrationv1.Resource("mutatingadmissionpolicybindings"), Singular: "mutatingadmissionpolicybinding",
				New:     object[admissionregistrationv1.MutatingAdmissionPolicyBinding],
				NewList: object[admissionregistrationv1.MutatingAdmissionPolicyBindingList],
				Table:   admissionregistration.MutatingBindingTable,
			},
			Rules: authorized(admissionregistration.MutatingBindingRules), Groups: groups,
		},
		{
			Kind: generic.Kind{
				Resource: admissionregistrationv1.Resource("validatingwebhookconfigurations"), Singular: "validatingwebhookconfiguration",
				New:     object[admissionregistrationv1.ValidatingWebhookConfiguration],
				NewList: object[admissionregistrationv1.ValidatingWebhookConfigurationList],
				Table:   admissionregistration.ValidatingWebhookTable,
			},
			Rules: plain(admissionregistration.ValidatingWebhookRules), Groups: groups,
		},
		{
			Kind: generic.Kind{
				Resource: admissionregistrationv1.Resource("mutatingwebhookconfigurations"), Singular: "mutatingwebhookconfiguration",
				New:     object[admissionregistrationv1.MutatingWebhookConfiguration],
				NewList: object[admissionregistrationv1.MutatingWebhookConfigurationList],
				Table:   admissionregistration.MutatingWebhookTable,
			},
			Rules: plain(admissionregistration.MutatingWebhookRules), Groups: groups,
		},
	}
}

// GroupVersions returns the API groups of the built-in kinds, reviews and absent kinds, with their versions.
func GroupVersions() []schema.GroupVersion {
	served := sets.New[schema.GroupVersion]()
	for _, kind := range Kinds() {
		for _, group := range kind.Groups {
			served.Insert(group.GroupVersion)
		}
	}
	for _, review := range Reviews() {
		served.Insert(review.GroupVersion)
	}
	for _, kind := range AbsentKinds() {
		served.Insert(kind.Resource.GroupVersion())
	}
	return served.UnsortedList()
}

// isOwnGroup reports whether a server has resources of its own in an API group.
func isOwnGroup(group string) bool {
	return slices.ContainsFunc(GroupVersions(), func(served schema.GroupVersion) bool { return served.Group == group })
}
