package garbagecollector

import (
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestCustom resolves references to a kind with three versions, of which two are served.
func TestCustom(t *testing.T) {
	definition := &apiextensionsv1.CustomResourceDefinition{
		Spec: apiextensionsv1.CustomResourceDefinitionSpec{
			Group: "example.com", Scope: apiextensionsv1.NamespaceScoped, Versions: []apiextensionsv1.CustomResourceDefinitionVersion{
				{Name: "v1alpha1"}, {Name: "v1beta1", Served: true}, {Name: "v1", Served: true, Storage: true},
			},
		},
		Status: apiextensionsv1.CustomResourceDefinitionStatus{
			AcceptedNames: apiextensionsv1.CustomResourceDefinitionNames{Plural: "ships", Kind: "Ship"},
		},
	}
	if _, served := custom(definition); served {
		t.Error("it is served before it is established")
	}
	definition.Status.Conditions = []apiextensionsv1.CustomResourceDefinitionCondition{
		{Type: apiextensionsv1.Established, Status: apiextensionsv1.ConditionTrue},
	}
	kind, served := custom(definition)
	if !served || kind.Resource.Version != "v1" || !kind.Namespaced || kind.name() != "ships.example.com" {
		t.Errorf("it is %+v, served: %t", kind, served)
	}
	k := &kinds{}
	k.set([]Kind{kind})
	for version, want := range map[string]bool{"v1alpha1": false, "v1beta1": true, "v1": true, "v1/x": false} {
		reference := metav1.OwnerReference{APIVersion: "example.com/" + version, Kind: "Ship"}
		if resource, _, served := k.resolve(reference); served != want || served && resource != "ships.example.com" {
			t.Errorf("%s: %q, served: %t", version, resource, served)
		}
	}
	definition.Spec.Versions = definition.Spec.Versions[:1]
	if _, served := custom(definition); served {
		t.Error("no version is served")
	}
}
