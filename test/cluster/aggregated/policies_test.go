//go:build e2e

package aggregated

import (
	"context"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	v1 "github.com/portolan-dev/portolan/apis/portolan/v1"
	"github.com/portolan-dev/portolan/test/framework"
)

// selectNamespace selects one by its name.
func selectNamespace(name string) *metav1.LabelSelector {
	return metav1.SetAsLabelSelector(labels.Set{"kubernetes.io/metadata.name": name})
}

// creations are those of Services.
func creations() admissionregistrationv1.RuleWithOperations {
	return admissionregistrationv1.RuleWithOperations{
		Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create},
		Rule:       admissionregistrationv1.Rule{APIGroups: []string{v1.GroupName}, APIVersions: []string{"*"}, Resources: []string{"services"}},
	}
}

// testPolicies has policies of the cluster change and refuse what is created
// here. The cluster itself asks them for nothing that it passes on.
func testPolicies(t *testing.T, g *fixture) {
	ctx := t.Context()
	ns := g.newNamespace(t, "policies")
	match := &admissionregistrationv1.MatchResources{
		NamespaceSelector: selectNamespace(ns),
		ResourceRules:     []admissionregistrationv1.NamedRuleWithOperations{{RuleWithOperations: creations()}},
	}
	meta := metav1.ObjectMeta{Name: ns}
	const refusal = "Services have a team"
	policies := g.client.AdmissionregistrationV1()
	_, err := policies.ValidatingAdmissionPolicies().Create(ctx, &admissionregistrationv1.ValidatingAdmissionPolicy{ObjectMeta: meta,
		Spec: admissionregistrationv1.ValidatingAdmissionPolicySpec{
			MatchConstraints: match,
			Validations: []admissionregistrationv1.Validation{
				{Expression: "has(object.metadata.labels) && 'team' in object.metadata.labels", Message: refusal},
			},
		}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = policies.ValidatingAdmissionPolicyBindings().Create(ctx,
		&admissionregistrationv1.ValidatingAdmissionPolicyBinding{ObjectMeta: meta,
			Spec: admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec{
				PolicyName: ns, ValidationActions: []admissionregistrationv1.ValidationAction{admissionregistrationv1.Deny},
			}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	services := g.portolan.PortolanV1().Services(ns)
	create := func(ctx context.Context) (*v1.Service, error) {
		return services.Create(ctx, newService("web"), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	}
	// Both replicas have it a little later.
	framework.Eventually(t, "a Service without a team is refused", func(ctx context.Context) (bool, error) {
		for range 20 {
			if _, err := create(ctx); !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), refusal) {
				return false, err
			}
		}
		return true, nil
	})

	mutation := "Object{metadata: Object.metadata{labels: {'team': 'none'}}}"
	_, err = policies.MutatingAdmissionPolicies().Create(ctx, &admissionregistrationv1.MutatingAdmissionPolicy{ObjectMeta: meta,
		Spec: admissionregistrationv1.MutatingAdmissionPolicySpec{
			MatchConstraints:   match,
			ReinvocationPolicy: admissionregistrationv1.NeverReinvocationPolicy,
			Mutations: []admissionregistrationv1.Mutation{{
				PatchType:          admissionregistrationv1.PatchTypeApplyConfiguration,
				ApplyConfiguration: &admissionregistrationv1.ApplyConfiguration{Expression: mutation},
			}},
		}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = policies.MutatingAdmissionPolicyBindings().Create(ctx, &admissionregistrationv1.MutatingAdmissionPolicyBinding{ObjectMeta: meta,
		Spec: admissionregistrationv1.MutatingAdmissionPolicyBindingSpec{PolicyName: ns}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	framework.Eventually(t, "a Service without a team is given one", func(ctx context.Context) (bool, error) {
		made, err := create(ctx)
		return err == nil && made.Labels["team"] == "none", err
	})
}
