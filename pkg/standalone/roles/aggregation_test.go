package roles

import (
	"errors"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

// TestFill expects a role that cannot be updated not to keep others from being filled.
func TestFill(t *testing.T) {
	label := map[string]string{"in": "all"}
	everything := &rbacv1.AggregationRule{ClusterRoleSelectors: []metav1.LabelSelector{{MatchLabels: label}}}
	client := fake.NewClientset()
	factory := informers.NewSharedInformerFactory(client, 0)
	informer := factory.Rbac().V1().ClusterRoles()
	for _, role := range []*rbacv1.ClusterRole{
		{ObjectMeta: metav1.ObjectMeta{Name: "a"}, AggregationRule: everything},
		{ObjectMeta: metav1.ObjectMeta{Name: "b"}, AggregationRule: everything},
		{ObjectMeta: metav1.ObjectMeta{Name: "part", Labels: label}, Rules: []rbacv1.PolicyRule{{Verbs: []string{"get"}}}},
	} {
		if err := informer.Informer().GetStore().Add(role); err != nil {
			t.Fatal(err)
		}
	}
	errTooLarge := errors.New("too large")
	var filled []string
	client.PrependReactor("update", "clusterroles", func(action clienttesting.Action) (bool, runtime.Object, error) {
		role := action.(clienttesting.UpdateAction).GetObject().(*rbacv1.ClusterRole)
		if role.Name == "a" {
			return true, nil, errTooLarge
		}
		filled = append(filled, role.Name)
		return true, role, nil
	})
	aggregation, err := NewAggregation(client.RbacV1().ClusterRoles(), informer)
	if err != nil {
		t.Fatal(err)
	}
	if err := aggregation.fill(t.Context()); !errors.Is(err, errTooLarge) || err.Error() != "ClusterRole a: too large" {
		t.Errorf("%v", err)
	}
	if len(filled) != 1 || filled[0] != "b" {
		t.Errorf("filled: %v", filled)
	}
}

// TestSame expects the order of rules not to matter.
func TestSame(t *testing.T) {
	of := func(verbs ...string) (rules []rbacv1.PolicyRule) {
		for _, verb := range verbs {
			rules = append(rules, rbacv1.PolicyRule{Verbs: []string{verb}})
		}
		return rules
	}
	for _, test := range []struct {
		gathered, rules []rbacv1.PolicyRule
		want            bool
	}{
		{of(), nil, true},
		{of("get", "list"), of("get", "list"), true},
		{of("get", "list"), of("list", "get"), true},
		{of("get"), of("get", "get"), false},
		{of("get", "list"), of("get", "get"), false},
		{of("get", "list"), of("get", "watch"), false},
		{of("get"), of("get", "list"), false},
	} {
		if got := same(test.gathered, test.rules); got != test.want {
			t.Errorf("%v, %v: %v", test.gathered, test.rules, got)
		}
	}
}
