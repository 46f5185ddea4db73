package admissionregistration

import (
	"context"
	"fmt"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/admission/plugin/manifest"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/registry/rest"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/portolan-dev/portolan/apis/portolan/validation"
	"github.com/portolan-dev/portolan/pkg/registry/generic"
)

type object interface {
	runtime.Object
	metav1.Object
}

var (
	_ rest.RESTCreateStrategy = strategy[*admissionregistrationv1.MutatingAdmissionPolicy]{}
	_ rest.RESTUpdateStrategy = strategy[*admissionregistrationv1.MutatingAdmissionPolicy]{}
	_ rest.RESTDeleteStrategy = strategy[*admissionregistrationv1.MutatingAdmissionPolicy]{}
)

// strategy follows upstream's strategies of the kinds (pkg/registry/admissionregistration). T
// is the type of the objects.
type strategy[T object] struct {
	generic.DefaultStrategy
	// spec returns the part of an object of which the generation counts the changes.
	spec func(T) any
	// validate validates an object, which updates old if that is not nil.
	validate func(obj, old T) field.ErrorList
	// reads returns what an object makes the server read. It may be nil.
	reads func(T) reading
	// authorizer decides whether users may read that.
	authorizer authorizer.UnconditionalAuthorizer
}

// ValidatingPolicyRules returns the rules of ValidatingAdmissionPolicies.
func ValidatingPolicyRules(typer runtime.ObjectTyper, authz authorizer.UnconditionalAuthorizer) generic.Rules {
	plain := strategy[*admissionregistrationv1.ValidatingAdmissionPolicy]{
		DefaultStrategy: generic.NewDefaultStrategy(typer), validate: validateValidatingPolicy, authorizer: authz,
		spec: func(p *admissionregistrationv1.ValidatingAdmissionPolicy) any { return p.Spec },
		reads: func(p *admissionregistrationv1.ValidatingAdmissionPolicy) reading {
			return readingKind(p.Spec.ParamKind)
		},
	}
	return generic.Rules{Strategy: policyStrategy{plain}, Status: statusStrategy{plain}}
}

// MutatingPolicyRules returns the rules of MutatingAdmissionPolicies.
func MutatingPolicyRules(typer runtime.ObjectTyper, authz authorizer.UnconditionalAuthorizer) generic.Rules {
	return generic.Rules{Strategy: strategy[*admissionregistrationv1.MutatingAdmissionPolicy]{
		DefaultStrategy: generic.NewDefaultStrategy(typer), validate: validateMutatingPolicy, authorizer: authz,
		spec:  func(p *admissionregistrationv1.MutatingAdmissionPolicy) any { return p.Spec },
		reads: func(p *admissionregistrationv1.MutatingAdmissionPolicy) reading { return readingKind(p.Spec.ParamKind) },
	}}
}

// ValidatingBindingRules returns the rules of ValidatingAdmissionPolicyBindings.
func ValidatingBindingRules(typer runtime.ObjectTyper, authz authorizer.UnconditionalAuthorizer) generic.Rules {
	return generic.Rules{Strategy: strategy[*admissionregistrationv1.ValidatingAdmissionPolicyBinding]{
		DefaultStrategy: generic.NewDefaultStrategy(typer), validate: validateValidatingBinding, authorizer: authz,
		spec: func(b *admissionregistrationv1.ValidatingAdmissionPolicyBinding) any { return b.Spec },
		reads: func(b *admissionregistrationv1.ValidatingAdmissionPolicyBinding) reading {
			return readingRef(b.Spec.PolicyName, b.Spec.ParamRef)
		},
	}}
}

// MutatingBindingRules returns the rules of MutatingAdmissionPolicyBindings.
func MutatingBindingRules(typer runtime.ObjectTyper, authz authorizer.UnconditionalAuthorizer) generic.Rules {
	return generic.Rules{Strategy: strategy[*admissionregistrationv1.MutatingAdmissionPolicyBinding]{
		DefaultStrategy: generic.NewDefaultStrategy(typer), validate: validateMutatingBinding, authorizer: authz,
		spec: func(b *admissionregistrationv1.MutatingAdmissionPolicyBinding) any { return b.Spec },
		reads: func(b *admissionregistrationv1.MutatingAdmissionPolicyBinding) reading {
			return readingRef(b.Spec.PolicyName, b.Spec.ParamRef)
		},
	}}
}

// ValidatingWebhookRules returns the rules of ValidatingWebhookConfigurations.
func ValidatingWebhookRules(typer runtime.ObjectTyper) generic.Rules {
	return generic.Rules{Strategy: strategy[*admissionregistrationv1.ValidatingWebhookConfiguration]{
		DefaultStrategy: generic.NewDefaultStrategy(typer), validate: validateValidatingWebhooks,
		spec: func(c *admissionregistrationv1.ValidatingWebhookConfiguration) any { return c.Webhooks },
	}}
}

// MutatingWebhookRules returns the rules of MutatingWebhookConfigurations.
func MutatingWebhookRules(typer runtime.ObjectTyper) generic.Rules {
	return generic.Rules{Strategy: strategy[*admissionregistrationv1.MutatingWebhookConfiguration]{
		DefaultStrategy: generic.NewDefaultStrategy(typer), validate: validateMutatingWebhooks,
		spec: func(c *admissionregistrationv1.MutatingWebhookConfiguration) any { return c.Webhooks },
	}}
}

func (strategy[T]) NamespaceScoped() bool { return false }

func (strategy[T]) PrepareForCreate(_ context.Context, obj runtime.Object) { obj.(T).SetGeneration(1) }

func (s strategy[T]) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	if !equality.Semantic.DeepEqual(s.spec(obj.(T)), s.spec(old.(T))) {
		obj.(T).SetGeneration(old.(T).GetGeneration() + 1)
	}
}

func (s strategy[T]) Validate(ctx context.Context, obj runtime.Object) field.ErrorList {
	var none T
	errs := s.validate(obj.(T), none)
	if name := obj.(T).GetName(); strings.HasSuffix(name, manifest.StaticConfigSuffix) {
		errs = append(errs, field.Invalid(field.NewPath("metadata", "name"), name, fmt.Sprintf(
			"names ending with %q are reserved for static manifest-based configurations and cannot be managed via the API",
			manifest.StaticConfigSuffix)))
	}
	return s.checkReading(ctx, errs, obj.(T), reading{})
}

func (s strategy[T]) ValidateUpdate(ctx context.Context, obj, old runtime.Object) field.ErrorList {
	var before reading
	if s.reads != nil {
		before = s.reads(old.(T))
	}
	return s.checkReading(ctx, s.validate(obj.(T), old.(T)), obj.(T), before)
}

// checkReading checks what a valid object reads, unless it read the same before.
func (s strategy[T]) checkReading(ctx context.Context, errs field.ErrorList, obj T, before reading) field.ErrorList {
	if len(errs) > 0 || s.reads == nil {
		return validation.Bounded(errs)
	}
	now := s.reads(obj)
	if now == (reading{}) || now == before {
		return nil
	}
	if err := mayRead(ctx, s.authorizer, now); err != nil {
		return field.ErrorList{err}
	}
	return nil
}

func (strategy[T]) AllowUnconditionalUpdate(context.Context) bool { return false }

// policyStrategy is for a kind with a status.
type policyStrategy struct {
	strategy[*admissionregistrationv1.ValidatingAdmissionPolicy]
}

func (s policyStrategy) PrepareForCreate(ctx context.Context, obj runtime.Object) {
	s.strategy.PrepareForCreate(ctx, obj)
	obj.(*admissionregistrationv1.ValidatingAdmissionPolicy).Status = admissionregistrationv1.ValidatingAdmissionPolicyStatus{}
}

func (s policyStrategy) PrepareForUpdate(ctx context.Context, obj, old runtime.Object) {
	s.strategy.PrepareForUpdate(ctx, obj, old)
	obj.(*admissionregistrationv1.ValidatingAdmissionPolicy).Status = old.(*admissionregistrationv1.ValidatingAdmissionPolicy).Status
}

// GetResetFields implements rest.ResetFieldsStrategy.
func (policyStrategy) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return generic.ResetFieldsOf(version, fieldpath.MakePathOrDie("status"))
}

// version is the API version of the kinds.
var version = fieldpath.APIVersion(admissionregistrationv1.SchemeGroupVersion.String())

// statusStrategy has the rules for the status.
type statusStrategy struct {
	strategy[*admissionregistrationv1.ValidatingAdmissionPolicy]
}

func (statusStrategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	policy, stored := obj.(*admissionregistrationv1.ValidatingAdmissionPolicy), old.(*admissionregistrationv1.ValidatingAdmissionPolicy)
	policy.Spec = stored.Spec
	metav1.ResetObjectMetaForStatus(&policy.ObjectMeta, &stored.ObjectMeta)
}

func (statusStrategy) ValidateUpdate(_ context.Context, obj, _ runtime.Object) field.ErrorList {
	return validation.Bounded(validatePolicyStatus(obj.(*admissionregistrationv1.ValidatingAdmissionPolicy)))
}

// GetResetFields implements rest.ResetFieldsStrategy.
func (statusStrategy) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return generic.ResetFieldsOf(version, fieldpath.MakePathOrDie("spec"), fieldpath.MakePathOrDie("metadata"))
}
