package admission

import (
	"context"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/admission"
	mutatingadmissionpolicy "k8s.io/apiserver/pkg/admission/plugin/policy/mutating"
)

// ConvertEquivalent decorates the plugin MutatingAdmissionPolicy, so that a policy for one API
// group can change what is written through another one. The framework (policy/mutating,
// dispatcher.go) converts the object that the policy returns to the version of the request,
// although it is one of the policy's kind. Types of different groups do not convert to each
// other. The framework converts the object to the type of the request afterwards.
func ConvertEquivalent(handler admission.Interface, name string) admission.Interface {
	mutation, ok := handler.(admission.MutationInterface)
	if !ok || name != mutatingadmissionpolicy.PluginName {
		return handler
	}
	return equivalentPolicies{mutation}
}

type equivalentPolicies struct {
	admission.MutationInterface
}

// Admit implements admission.MutationInterface.
func (p equivalentPolicies) Admit(ctx context.Context, a admission.Attributes, o admission.ObjectInterfaces) error {
	return p.MutationInterface.Admit(ctx, a, equivalentObjects{o})
}

type equivalentObjects struct {
	admission.ObjectInterfaces
}

// GetObjectConvertor implements admission.ObjectInterfaces.
func (o equivalentObjects) GetObjectConvertor() runtime.ObjectConvertor {
	return ownVersion{o.ObjectInterfaces.GetObjectConvertor()}
}

// ownVersion makes typed objects of untyped ones, in their own version.
type ownVersion struct {
	runtime.ObjectConvertor
}

// ConvertToVersion implements runtime.ObjectConvertor.
func (c ownVersion) ConvertToVersion(in runtime.Object, _ runtime.GroupVersioner) (runtime.Object, error) {
	return c.ObjectConvertor.ConvertToVersion(in, in.GetObjectKind().GroupVersionKind().GroupVersion())
}
